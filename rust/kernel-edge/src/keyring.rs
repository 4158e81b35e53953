// SPDX-License-Identifier: MIT OR Apache-2.0
//! `add_key(2)`, `keyctl(KEYCTL_REVOKE)`: hands a root-hash signature to dm-verity, a volume key to dm-crypt.
//!
//! Both take it as the payload of a key that they look up in the keyrings of the process that loads the table. The process
//! keyring is gone after exec, so nothing of it is left for init. dm-verity wants a `user` key; dm-crypt takes a `logon` key, whose
//! payload no process can read back.
//!
//! See add_key(2), keyctl(2), drivers/md/dm-verity-verify-sig.c (`verity_verify_get_sig_from_key`) and drivers/md/dm-crypt.c
//! (`crypt_set_keyring_key`).

use core::ffi::CStr;

use nix::libc;

use crate::Errno;

/// `KEY_SPEC_PROCESS_KEYRING` of include/uapi/linux/keyctl.h.
const PROCESS_KEYRING: libc::c_long = -2;
/// `KEYCTL_REVOKE` of the same file.
const KEYCTL_REVOKE: libc::c_long = 3;

/// The name under which dm-verity finds the key. Its own type, so that a table cannot name a key that was not added.
#[derive(Debug)]
pub struct UserKey<'a>(&'a CStr);

impl<'a> UserKey<'a> {
    /// Adds `payload` to the process keyring as the `user` key `description`, replacing one of that name.
    ///
    /// # Errors
    /// ENOSYS without CONFIG_KEYS, EDQUOT or ENOMEM where the kernel cannot keep it, EINVAL for an empty payload.
    pub fn add(description: &'a CStr, payload: &[u8]) -> Result<Self, Errno> {
        add(c"user", description, payload)?;
        Ok(Self(description))
    }

    /// The key's description.
    #[must_use]
    pub fn description(&self) -> &CStr {
        self.0
    }
}

/// A key that dm-crypt finds by its name, and nobody can read; revoked when dropped, which wipes it.
#[derive(Debug)]
pub struct LogonKey<'a> {
    description: &'a CStr,
    serial: libc::c_long,
}

impl<'a> LogonKey<'a> {
    /// Adds `payload` to the process keyring as the `logon` key `description`, which has the form `PREFIX:NAME`.
    ///
    /// # Errors
    /// As [`UserKey::add`]; EINVAL for a description without a prefix.
    pub fn add(description: &'a CStr, payload: &[u8]) -> Result<Self, Errno> {
        add(c"logon", description, payload).map(|serial| Self { description, serial })
    }

    /// The key's description.
    #[must_use]
    pub fn description(&self) -> &CStr {
        self.description
    }
}

impl Drop for LogonKey<'_> {
    fn drop(&mut self) {
        // SAFETY: keyctl(2) with KEYCTL_REVOKE takes a serial number and touches no memory of ours. A key that it does not
        // revoke goes with the process.
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_REVOKE, self.serial) };
    }
}

/// The key's serial number.
fn add(kind: &CStr, description: &CStr, payload: &[u8]) -> Result<libc::c_long, Errno> {
    // SAFETY: add_key(2) reads two NUL-terminated strings (CStr) and `payload.len()` bytes at `payload`, all of which live
    // through the call, and writes nothing.
    let serial = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            kind.as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            PROCESS_KEYRING,
        )
    };
    if serial < 0 { Err(Errno::from_raw_os_error(nix::Error::last_raw())) } else { Ok(serial) }
}
