// SPDX-License-Identifier: MIT OR Apache-2.0
//! `write("/dev/pmsg0")`, and the memory behind it: where defmt's frames go.
//!
//! * This is the program's defmt logger. A frame goes into a ring of fixed size; nothing is allocated.
//! * Each thread has a ring of its own. PID 1 has one thread: the boot's.
//! * [`flush`] hands what is new to /dev/pmsg0, if [`Persistent::open`] found one: memory that outlives a reset.
//! * What cannot be kept is not needed to boot: nothing here fails, and a full ring loses its oldest frames.
//!
//! See Documentation/admin-guide/ramoops.rst and pstore.rst.

mod ring;

use core::cell::RefCell;
use core::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

use crate::Errno;
use crate::clock::now_us;
use crate::file::write_all;
use ring::{Before, Ring};

/// Bytes of the ring: a hundred events as they come, and thirty of the longest (160 bytes of device, 200 of detail).
const CAPACITY: usize = 16 * 1024;
/// What the kernel keeps over a reset.
const PMSG: &str = "/dev/pmsg0";

struct Log {
    encoder: defmt::Encoder,
    ring: Ring<CAPACITY>,
}

thread_local! {
    // Never dropped: a destructor would have to be registered, and PID 1 does not end.
    static LOG: RefCell<ManuallyDrop<Log>> =
        const { RefCell::new(ManuallyDrop::new(Log { encoder: defmt::Encoder::new(), ring: Ring::new() })) };
}

static PERSISTENT: OnceLock<OwnedFd> = OnceLock::new();

#[defmt::global_logger]
struct Logger;

// SAFETY: a frame is acquired, written and released by one thread, and goes into that thread's own ring, so that no two are
// mixed. acquire() takes no lock, so that it cannot wait; a frame that a panic left open is taken back by the next.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        with_log(|log| {
            if log.ring.start() == Before::LeftOpen {
                // It is in the middle of that frame, too.
                log.encoder = defmt::Encoder::new();
            }
            // What it would write is a zero before the very first frame: the header ends with one.
            log.encoder.start_frame(|_| {});
        });
    }

    unsafe fn flush() {
        flush();
    }

    unsafe fn release() {
        with_log(|log| {
            log.encoder.end_frame(|bytes| log.ring.write(bytes));
            log.ring.end();
        });
    }

    unsafe fn write(bytes: &[u8]) {
        with_log(|log| log.encoder.write(bytes, |bytes| log.ring.write(bytes)));
    }
}

defmt::timestamp!("{=u64:us}", now_us());

/// A log that is in use by an outer call (a panic inside this module) is left alone.
fn with_log<T>(use_it: impl FnOnce(&mut Log) -> T) -> Option<T> {
    LOG.with(|log| log.try_borrow_mut().ok().map(|mut log| use_it(&mut log)))
}

/// Opens /dev/pmsg0 where the kernel has one, and writes `header` there; from here on [`flush`] has somewhere to write to.
pub fn open_persistent(header: &[u8]) {
    if let Ok(file) = rustix::fs::open(PMSG, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        // Without its whole header a log would be taken for a part of the one before it.
        if write_all(&file, header).is_ok() {
            let _ = PERSISTENT.set(file);
        }
    }
}

/// Whether [`flush`] has somewhere to write to.
#[must_use]
pub fn is_persistent() -> bool {
    PERSISTENT.get().is_some()
}

/// Writes what is new to /dev/pmsg0.
pub fn flush() {
    let Some(file) = PERSISTENT.get() else { return };
    with_log(|log| {
        let _ = write_all(file, log.ring.take_unread());
    });
}

/// How many frames of this thread are gone.
#[must_use]
pub fn lost() -> u32 {
    with_log(|log| log.ring.lost()).unwrap_or_default()
}

/// Writes all frames of this thread, oldest first.
///
/// # Errors
/// The errno of the write.
pub fn write_to(file: impl AsFd) -> Result<(), Errno> {
    with_log(|log| write_all(&file, log.ring.frames())).unwrap_or(Ok(()))
}
