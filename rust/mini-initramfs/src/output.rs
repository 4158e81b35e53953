// SPDX-License-Identifier: MIT OR Apache-2.0
//! All or nothing: the archive is written beside its place and renamed when it is whole and on the disk.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::file_error::{Action, FileError};

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// No file name at the end of the path, or something else than a file is there.
    #[error("{}: expected the name of a file to write or replace", path.display())]
    NotReplaceable { path: PathBuf },
}

/// Writes `contents` to `path`, in the place of a file of that name.
///
/// # Errors
/// See [`Error`]; nothing has changed then.
pub fn write(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let not_replaceable = || Error::NotReplaceable { path: path.to_owned() };
    let found = std::fs::symlink_metadata(path);
    if path.file_name().is_none() || found.is_ok_and(|metadata| !metadata.is_file()) {
        return Err(not_replaceable());
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".mini-initramfs-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(FileError::on(path, Action::Create))?;
    file.write_all(contents).map_err(FileError::on(path, Action::Write))?;
    file.as_file().sync_all().map_err(FileError::on(path, Action::Sync))?;
    file.persist(path).map_err(|error| FileError::on(path, Action::Rename)(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::on(folder, Action::Sync))?;
    Ok(())
}
