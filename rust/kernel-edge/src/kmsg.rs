// SPDX-License-Identifier: MIT OR Apache-2.0
//! `write("/dev/kmsg")`: one record of the kernel log for each write.
//!
//! See Documentation/ABI/testing/dev-kmsg.

use core::cell::Cell;
use core::fmt::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::Errno;

/// Longest record written, in bytes. The kernel refuses more than PRINTKRB_RECORD_MAX (1024) less its own prefix.
const RECORD: usize = 960;

/// How much a line of the kernel log matters (syslog(3)); the console shows those below its log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The boot ends here.
    Critical,
    /// A candidate or device was refused.
    Error,
    /// The normal course of a boot.
    Notice,
}

impl Level {
    /// The record's prefix: facility daemon (3), which the kernel would otherwise set to user.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Critical => "<26>",
            Self::Error => "<27>",
            Self::Notice => "<29>",
        }
    }
}

/// The kernel log, opened for writing.
#[derive(Debug)]
pub struct Kmsg {
    log: OwnedFd,
    /// Whether the rate limit was lifted.
    lifted: Cell<bool>,
}

/// The switch of the rate limit that the kernel puts on what programs write (kernel/printk/printk.c).
const RATE_LIMIT: &str = "/proc/sys/kernel/printk_devkmsg";

impl Kmsg {
    /// Opens /dev/kmsg.
    ///
    /// # Errors
    /// The errno of the open.
    pub fn open() -> Result<Self, Errno> {
        let fd = rustix::fs::open("/dev/kmsg", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { log: fd, lifted: Cell::new(false) })
    }

    /// Puts the rate limit back, for the system that is started.
    pub fn restore_rate_limit(&self) {
        if self.lifted.replace(false) {
            switch_rate_limit(b"ratelimit\n");
        }
    }

    /// Writes `storage-init: LINE` as one record; what is longer than a record is cut. A log that cannot be written
    /// stops no boot, so there is no error.
    ///
    /// The first line that is no notice lifts the kernel's rate limit (ten lines in five seconds), which would hide why a boot failed:
    /// many may follow. A kernel without that switch has no limit.
    pub fn line(&self, level: Level, line: fmt::Arguments<'_>) {
        if level != Level::Notice && !self.lifted.replace(true) {
            switch_rate_limit(b"on\n");
        }
        let mut record: heapless::Vec<u8, RECORD> = heapless::Vec::new();
        let mut text = Cut(&mut record);
        let _ = write!(text, "{}storage-init: {line}", level.prefix());
        let _ = rustix::io::write(&self.log, &record);
    }
}

fn switch_rate_limit(value: &[u8]) {
    if let Ok(switch) = rustix::fs::open(RATE_LIMIT, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&switch, value);
    }
}

/// Text that is cut at the record's end, and has its control characters replaced: names come from the disk.
struct Cut<'a>(&'a mut heapless::Vec<u8, RECORD>);

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let byte = if byte.is_ascii_control() { b'?' } else { byte };
            self.0.push(byte).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
