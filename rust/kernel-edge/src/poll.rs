// SPDX-License-Identifier: MIT OR Apache-2.0
//! `poll`: waits until something can be read, and no longer than it may.
//!
//! See poll(2).

use core::time::Duration;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags};

use crate::Errno;
use crate::clock::{now_us, timespec};

/// How long a wait lasts until whoever keeps a watchdog alive is told that it is meant: a quarter of the shortest watchdog's time.
const SLICE: Duration = Duration::from_millis(250);

/// Waits until `fd` can be read or its other end is gone, up to `patience`; whether it is so. `alive` is called again and again
/// meanwhile.
///
/// # Errors
/// As [`await_readable`].
pub(crate) fn await_readable_alive(fd: impl AsFd, patience: Duration, alive: impl Fn()) -> Result<bool, Errno> {
    let mut left = patience;
    while left > SLICE {
        if await_readable(&fd, Some(SLICE))? {
            return Ok(true);
        }
        left = left.saturating_sub(SLICE);
        alive();
    }
    await_readable(fd, Some(left))
}

/// Waits until `fd` can be read or its other end is gone, up to `patience` or without end; whether it is so. A signal does not end
/// the wait.
///
/// # Errors
/// The errno of poll(2).
pub(crate) fn await_readable(fd: impl AsFd, patience: Option<Duration>) -> Result<bool, Errno> {
    let deadline =
        patience.map(|patience| now_us().saturating_add(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX)));
    loop {
        let mut poll = [PollFd::new(&fd, PollFlags::IN)];
        let left = deadline.map(|deadline| timespec(Duration::from_micros(deadline.saturating_sub(now_us()))));
        match rustix::event::poll(&mut poll, left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
