// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open`, `write`: small files, written whole.
//!
//! See open(2) and write(2).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::Errno;

/// Makes a file that is not there yet, for all to read and nobody to write.
///
/// # Errors
/// The errno of open(2): EEXIST where there is one.
pub fn create(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o444))
}

/// Writes all of `bytes`.
///
/// # Errors
/// The errno of write(2); EIO where it takes nothing and gives no reason.
pub fn write_all(file: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_device_is_an_error_and_a_file_is_written_whole() {
        let full = rustix::fs::open("/dev/full", OFlags::WRONLY, Mode::empty()).unwrap();
        assert_eq!(write_all(&full, b"x"), Err(Errno::NOSPC));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let path = path.to_str().unwrap();
        write_all(create(path).unwrap(), &[7; 100_000]).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), [7; 100_000]);
        assert_eq!(create(path).unwrap_err(), Errno::EXIST);
    }
}
