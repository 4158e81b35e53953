// SPDX-License-Identifier: MIT OR Apache-2.0
//! `getrandom(2)`: bytes that nobody else knows.
//!
//! See getrandom(2) and drivers/char/random.c (`try_to_generate_entropy`).

use crate::Errno;

/// Fills `bytes` with random ones. Waits until the kernel has gathered enough to begin with: on a machine without any source this
/// takes about a second, by the kernel's own doing.
///
/// # Errors
/// The errno of getrandom(2).
pub fn fill_random(mut bytes: &mut [u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(filled) => bytes = bytes.get_mut(filled..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
