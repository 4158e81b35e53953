// SPDX-License-Identifier: MIT OR Apache-2.0
//! `add_key(2)`: hands a root-hash signature to dm-verity.
//!
//! dm-verity takes the signature as the payload of a `user` key that it looks up in the keyrings of the process that
//! loads the table. The process keyring is gone after exec, so nothing of it is left for init.
//!
//! See add_key(2), keyctl(2) and drivers/md/dm-verity-verify-sig.c (`verity_verify_get_sig_from_key`).

use core::ffi::CStr;

use nix::libc;

use crate::Errno;

/// `KEY_SPEC_PROCESS_KEYRING` of include/uapi/linux/keyctl.h.
const PROCESS_KEYRING: libc::c_long = -2;

/// The name under which dm-verity finds the key. Its own type, so that a table cannot name a key that was not added.
#[derive(Debug)]
pub struct UserKey<'a>(&'a CStr);

impl<'a> UserKey<'a> {
    /// Adds `payload` to the process keyring as the `user` key `description`, replacing one of that name.
    ///
    /// # Errors
    /// ENOSYS without CONFIG_KEYS, EDQUOT or ENOMEM where the kernel cannot keep it, EINVAL for an empty payload.
    pub fn add(description: &'a CStr, payload: &[u8]) -> Result<Self, Errno> {
        // SAFETY: add_key(2) reads two NUL-terminated strings (CStr) and `payload.len()` bytes at `payload`, all of
        // which live through the call, and writes nothing.
        let serial = unsafe {
            libc::syscall(
                libc::SYS_add_key,
                c"user".as_ptr(),
                description.as_ptr(),
                payload.as_ptr(),
                payload.len(),
                PROCESS_KEYRING,
            )
        };
        if serial < 0 {
            return Err(Errno::from_raw_os_error(nix::Error::last_raw()));
        }
        Ok(Self(description))
    }

    /// The key's description.
    #[must_use]
    pub fn description(&self) -> &CStr {
        self.0
    }
}
