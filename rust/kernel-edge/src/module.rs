// SPDX-License-Identifier: MIT OR Apache-2.0
//! `finit_module(2)`: a driver that is not built into the kernel.
//!
//! What the kernel checks (its version, signatures where it wants them, that all symbols are there) it says in its log with
//! more words than an errno.
//!
//! See finit_module(2) and kernel/module/main.c (`load_module`).

use core::ffi::CStr;
use core::fmt;
use std::os::fd::AsFd;

use nix::kmod::{ModuleInitFlags, finit_module};

use crate::Errno;

/// What a load came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The module is there now.
    Now,
    /// It was there already, and is live: of one whose init function failed or still runs the kernel says EBUSY
    /// (`module_patient_check_exists`).
    Before,
}

/// The kernel does not take the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(Errno);

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self(errno)
    }
}

impl Error {
    /// The module is a good one, and this machine has nothing that it is for.
    #[must_use]
    pub fn is_without_hardware(self) -> bool {
        self.0 == Errno::NODEV
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(errno) = *self;
        let meaning = match errno {
            Errno::NOEXEC => "not a module of this kernel",
            Errno::NOENT => "needs a symbol that this kernel does not have",
            Errno::BADMSG | Errno::KEYREJECTED | Errno::NOKEY | Errno::NOPKG | Errno::NODATA => {
                "the kernel does not accept its signature"
            }
            Errno::PERM => "the kernel is closed to modules",
            Errno::NOSYS => "the kernel has no support for modules",
            Errno::NODEV => "nothing in this machine is what it is for",
            _ => "cannot be loaded",
        };
        write!(f, "{meaning}: {errno}")
    }
}

/// Loads the module in `file`, an uncompressed ELF object, and returns when its init function has. `parameters` are words as on
/// the kernel command line, without the module's name: `debug=1 quirks="a b"`.
///
/// # Errors
/// See [`Error`].
pub fn load(file: impl AsFd, parameters: &CStr) -> Result<Loaded, Error> {
    match finit_module(file, parameters, ModuleInitFlags::empty()) {
        Ok(()) => Ok(Loaded::Now),
        Err(nix::Error::EEXIST) => Ok(Loaded::Before),
        Err(errno) => Err(Error(Errno::from_raw_os_error(errno as i32))),
    }
}
