// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open`, `read`, `write`, `mkdir`: small files, read and written whole.
//!
//! See open(2), read(2), write(2) and mkdir(2).

use core::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::Errno;

/// Bytes that are read at once: most files are smaller.
const PAGE: usize = 4096;

/// The whole of a file that has at most `most` bytes.
///
/// # Errors
/// The errno of open(2), or as [`read_all`].
pub fn read(path: &str, most: usize) -> Result<Vec<u8>, Errno> {
    read_all(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, most)
}

/// Reads `file` to its end.
///
/// # Errors
/// The errno of read(2); EFBIG where it has more than `most` bytes.
pub fn read_all(file: impl AsFd, most: usize) -> Result<Vec<u8>, Errno> {
    let mut page = [MaybeUninit::uninit(); PAGE];
    let mut bytes = Vec::new();
    loop {
        match rustix::io::read(&file, &mut page) {
            Ok(([], _)) => return Ok(bytes),
            Ok((read, _)) => bytes.extend_from_slice(read),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if bytes.len() > most {
            return Err(Errno::FBIG);
        }
    }
}

/// Makes a file that is not there yet, for all to read and nobody to write.
///
/// # Errors
/// The errno of open(2): EEXIST where there is one.
pub fn create(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o444))
}

/// Makes the folder at an absolute path and those above it, as far as there is nothing of their names.
///
/// # Errors
/// The errno of mkdir(2).
pub fn make_folders(path: &str) -> Result<(), Errno> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for folder in ends.filter_map(|end| path.get(..end)).filter(|folder| !folder.is_empty()) {
        match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
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
        assert_eq!(read(path, 100_000).unwrap(), [7; 100_000]);
        assert_eq!(read(path, 99_999), Err(Errno::FBIG));
        assert_eq!(read("/nowhere", 1), Err(Errno::NOENT));
        assert_eq!(create(path).unwrap_err(), Errno::EXIST);
        let below = format!("{}/a/b", folder.path().display());
        assert_eq!(make_folders(&below), Ok(()));
        assert_eq!(make_folders(&below), Ok(()), "it is there");
        assert!(std::path::Path::new(&below).is_dir());
        assert_eq!(make_folders(&format!("{path}/below-a-file")), Err(Errno::NOTDIR));
    }
}
