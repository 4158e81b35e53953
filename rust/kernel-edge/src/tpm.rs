// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open("/dev/tpm0")`, `write`, `poll`, `read`: one command there, one response back.
//!
//! Opened without blocking: write(2) hands the command to a thread of the kernel and returns, so that a TPM that does not answer
//! costs the time that it is given and not the process. /dev/tpm0 has one user at a time, which is right for the boot stage; /dev/tpmrm0 saves
//! and loads sessions and objects around each command, which is twice the traffic, and right for a running system.
//!
//! See drivers/char/tpm/tpm-dev-common.c (`tpm_common_write`, `tpm_common_poll`) and tpm-sysfs.c (`tpm2_pcr_groups`).

use core::fmt;
use core::time::Duration;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::Errno;
use crate::poll::await_readable;

/// The first TPM, which is the one that firmware measures into.
pub const NODE: &str = "/dev/tpm0";
/// The first TPM, shared: the kernel saves and loads for each user what is his (drivers/char/tpm/tpmrm-dev.c).
pub const SHARED_NODE: &str = "/dev/tpmrm0";
/// The kernel's folder of TPMs, which is there from the moment that its drivers' common part is.
const DRIVERS: &str = "/sys/class/tpm";
/// Its folder in sysfs.
const CLASS: &str = "/sys/class/tpm/tpm0";

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The command was not taken.
    Write(Errno),
    /// Not all of it was taken.
    Short {
        /// Bytes of the command.
        needed: usize,
        /// Bytes that were taken.
        available: usize,
    },
    /// Waiting failed.
    Poll(Errno),
    /// No response in time.
    TimedOut,
    /// The response was not given.
    Read(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(errno) => write!(f, "{NODE}: write: {errno}"),
            Self::Short { needed, available } => write!(f, "{NODE}: write: {available} of {needed} bytes taken"),
            Self::Poll(errno) => write!(f, "{NODE}: poll: {errno}"),
            Self::TimedOut => write!(f, "{NODE}: no response in time"),
            Self::Read(errno) => write!(f, "{NODE}: read: {errno}"),
        }
    }
}

/// The open TPM.
#[derive(Debug)]
pub struct Device(OwnedFd);

impl Device {
    /// Opens it for this process alone: nobody else can.
    ///
    /// # Errors
    /// ENOENT, ENXIO and ENODEV where there is none yet; EBUSY where another process has it.
    pub fn open() -> Result<Self, Errno> {
        Self::open_node(NODE)
    }

    /// Opens it beside whoever else uses it, as programs of a running system do.
    ///
    /// # Errors
    /// As [`Device::open`], but for EBUSY; ENOENT also where the kernel shares no TPM of this kind.
    pub fn open_shared() -> Result<Self, Errno> {
        Self::open_node(SHARED_NODE)
    }

    fn open_node(node: &str) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(node, flags, Mode::empty()).map(Self)
    }

    /// Sends one command; gives the number of bytes of its response.
    ///
    /// # Errors
    /// See [`Error`]. After one, the next command may find the TPM busy.
    pub fn exchange(&self, command: &[u8], response: &mut [u8], patience: Duration) -> Result<usize, Error> {
        let taken = rustix::io::write(&self.0, command).map_err(Error::Write)?;
        if taken != command.len() {
            return Err(Error::Short { needed: command.len(), available: taken });
        }
        if !await_readable(&self.0, Some(patience)).map_err(Error::Poll)? {
            return Err(Error::TimedOut);
        }
        rustix::io::read(&self.0, response).map_err(Error::Read)
    }
}

/// Whether the kernel has drivers for TPMs, built in or loaded. Not whether there is a TPM.
#[must_use]
pub fn has_drivers() -> bool {
    rustix::fs::access(DRIVERS, rustix::fs::Access::EXISTS).is_ok()
}

/// Names of the TPM's active banks (`sha1`, `sha256`): the kernel asked it when it found it, and has a folder for each.
///
/// # Errors
/// The errno of the folder.
pub fn banks() -> Result<heapless::Vec<heapless::String<16>, 8>, Errno> {
    let folder = rustix::fs::open(CLASS, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut banks = heapless::Vec::new();
    for entry in rustix::fs::Dir::new(folder)? {
        let entry = entry?;
        let bank = entry.file_name().to_str().ok().and_then(|name| name.strip_prefix("pcr-"));
        if let Some(bank) = bank {
            let bank = heapless::String::try_from(bank).map_err(|_| Errno::NAMETOOLONG)?;
            banks.push(bank).map_err(|_| Errno::TOOBIG)?;
        }
    }
    Ok(banks)
}
