// SPDX-License-Identifier: MIT OR Apache-2.0
//! Room before a file's contents without copying them: ext4 and XFS insert blocks into the file's map
//! (fallocate(2), FALLOC_FL_INSERT_RANGE). Others, such as tmpfs and btrfs, do not.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::Errno;

use crate::file_error::{Action, FileError};
use crate::image::ALIGNMENT;
use crate::output::Output;

/// Whether files beside `output` can be shifted by multiples of [`ALIGNMENT`]: tried on a small one.
///
/// # Errors
/// The small file cannot be made.
pub fn is_supported(output: &Output) -> Result<bool, FileError> {
    let path = output.work_file("shift");
    let file = File::create_new(&path).map_err(FileError::on(&path, Action::Create))?;
    fs::remove_file(&path).map_err(FileError::on(&path, Action::Remove))?;
    file.set_len(ALIGNMENT).map_err(FileError::on(&path, Action::Resize))?;
    match fallocate(&file, FallocateFlags::INSERT_RANGE, 0, ALIGNMENT) {
        Ok(()) => Ok(true),
        // No such operation, or blocks that are larger than our alignment.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
        Err(errno) => Err(FileError::on(&path, Action::Shift(ALIGNMENT))(io::Error::from(errno))),
    }
}

/// Has the kernel begin to write the file's pages to the disk, which [`shift`] would otherwise wait for from its
/// beginning; the hash pass runs meanwhile. Advice: where it is not taken, nothing is lost but time.
pub fn begin_writing(file: &File) {
    // Dirty pages are not dropped by this, they are queued (mm/fadvise.c).
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

/// Moves the contents of `file` up by `bytes`, a multiple of [`ALIGNMENT`]; zeros come before them.
///
/// # Errors
/// What the operating system said.
pub fn shift(file: &File, path: &Path, bytes: u64) -> Result<(), FileError> {
    fallocate(file, FallocateFlags::INSERT_RANGE, 0, bytes)
        .map_err(|errno| FileError::on(path, Action::Shift(bytes))(io::Error::from(errno)))
}
