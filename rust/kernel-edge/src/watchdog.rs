// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open("/dev/watchdog0")`, `ioctl(WDIOC_SETTIMEOUT)`, `write`: the hardware watchdog.
//!
//! It is started and never stopped: closing it without the magic character leaves it counting, so that init must take it
//! over (RuntimeWatchdogSec= of systemd) within the time set here.
//!
//! See Documentation/watchdog/watchdog-api.rst.

use core::fmt;
use core::time::Duration;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::Errno;

const NODE: &str = "/dev/watchdog0";

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such device, or another process has it.
    Open(Errno),
    /// The hardware cannot count this long.
    Timeout(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(errno) => write!(f, "{NODE}: {errno}"),
            Self::Timeout(errno) => write!(f, "{NODE}: set timeout: {errno}"),
        }
    }
}

/// The running watchdog.
#[derive(Debug)]
pub struct Watchdog(OwnedFd);

impl Watchdog {
    /// Starts the watchdog: the machine is reset when `time`, in whole seconds, passes without
    /// [`Watchdog::keep_alive`].
    ///
    /// # Errors
    /// See [`Error`]. Where the time is refused, the watchdog runs with the driver's own.
    pub fn start(time: Duration) -> Result<Self, Error> {
        let fd = rustix::fs::open(NODE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(Error::Open)?;
        let mut seconds = i32::try_from(time.as_secs()).map_err(|_| Error::Timeout(Errno::RANGE))?;
        // SAFETY: WDIOC_SETTIMEOUT reads and writes one int, which lives through the call.
        unsafe { set_timeout(fd.as_raw_fd(), &raw mut seconds) }
            .map_err(|errno| Error::Timeout(Errno::from_raw_os_error(errno as i32)))?;
        Ok(Self(fd))
    }

    /// Begins the time anew. It cannot fail in a way that helps: then the machine is reset.
    pub fn keep_alive(&self) {
        // Any byte but 'V', which would allow the watchdog to be stopped.
        let _ = rustix::io::write(&self.0, b"\0");
    }
}

nix::ioctl_readwrite!(
    /// `WDIOC_SETTIMEOUT _IOWR('W', 6, int)`
    set_timeout,
    b'W',
    6,
    i32
);
