// SPDX-License-Identifier: MIT OR Apache-2.0
//! systemd's log of what user space measured, `/run/log/systemd/tpm2-measure.log`: `systemd-pcrlock log` lists it, and a replay of it
//! gives the registers.
//!
//! systemd's protocol (src/shared/tpm2-util.c, `tpm2_userspace_log_open`): whoever measures takes the lock (flock) and sets the
//! sticky bit before the extend, appends, and clears the bit. A file with the bit and without a lock holder is one whose writer
//! died between: it is no longer appended to.

use core::fmt;
use std::os::fd::OwnedFd;

use kernel_edge::{Errno, clock, file};
use rustix::fs::{FlockOperation, Mode, OFlags, SeekFrom};
use tpm_policy::Digests;
use tpm_policy::log_record::Record;

/// Its place.
pub const PATH: &str = "/run/log/systemd/tpm2-measure.log";
/// The folders above it, which systemd makes with this mode.
const FOLDERS: [&str; 2] = ["/run/log", "/run/log/systemd"];
/// The kernel's ID of this boot, with dashes.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// None but root may lock it.
const MODE: u32 = 0o600;
const STICKY: u32 = 0o1000;

/// Why nothing can be, or was, written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A call failed.
    Call(Errno),
    /// An earlier writer died between extend and record.
    Aborted,
    /// There is no ID of this boot.
    BootId,
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Call(errno)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PATH}: ")?;
        match self {
            Self::Call(errno) => errno.fmt(f),
            Self::Aborted => f.write_str("a record is missing in it"),
            Self::BootId => write!(f, "{BOOT_ID} holds no ID"),
        }
    }
}

/// The log, locked and marked: something is about to be measured.
#[derive(Debug)]
pub struct Open {
    file: OwnedFd,
    boot_id: [u8; 16],
}

impl Open {
    /// Makes folders and file where there are none, locks and marks it.
    ///
    /// # Errors
    /// See [`Error`]; nothing is marked then.
    pub fn new() -> Result<Self, Error> {
        for folder in FOLDERS {
            match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Self::at(PATH, boot_id()?)
    }

    fn at(path: &str, boot_id: [u8; 16]) -> Result<Self, Error> {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(MODE))?;
        // Nobody else runs yet; a lock that another process holds all the same must not stop the boot.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        if rustix::fs::fstat(&file)?.st_mode & STICKY != 0 {
            return Err(Error::Aborted);
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(MODE | STICKY))?;
        Ok(Self { file, boot_id })
    }

    /// Writes down what was measured, and clears the mark.
    ///
    /// # Errors
    /// See [`Error`]; the mark stays then.
    pub fn append(self, pcr: u8, digests: &Digests, text: &str) -> Result<(), Error> {
        let record =
            Record { pcr, digests, text, boot_id: &self.boot_id, boottime_us: clock::boottime_us() }.to_string();
        rustix::fs::seek(&self.file, SeekFrom::End(0))?;
        file::write_all(&self.file, record.as_bytes())?;
        self.unmark()
    }

    /// Clears the mark: nothing was measured after all.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn unmark(self) -> Result<(), Error> {
        Ok(rustix::fs::fchmod(&self.file, Mode::from_raw_mode(MODE))?)
    }
}

/// `1b4e28ba-2fa1-11d2-883f-0016d3cca427`, 16 bytes.
fn boot_id() -> Result<[u8; 16], Error> {
    let text = file::read(BOOT_ID, 64).map_err(|_| Error::BootId)?;
    core::str::from_utf8(&text).ok().and_then(|text| parse_boot_id(text.trim_ascii())).ok_or(Error::BootId)
}

fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let mut digits = text.bytes().filter(|byte| *byte != b'-').map(|byte| char::from(byte).to_digit(16));
    let mut boot_id = [0; 16];
    for byte in &mut boot_id {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(boot_id)
}

#[cfg(test)]
mod tests;
