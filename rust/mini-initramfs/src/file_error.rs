// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one error of an I/O call: which file, what was tried, and what the operating system said.

use std::io;
use std::path::{Path, PathBuf};

/// What was tried on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading all of it.
    Read,
    /// Decompressing it.
    Decompress,
    /// Creating a file beside it.
    Create,
    /// Writing it.
    Write,
    /// Forcing it to the disk.
    Sync,
    /// Giving it its name.
    Rename,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Decompress => "decompress",
            Self::Create => "create a file beside it",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename to its final name",
        })
    }
}

/// A call that failed. Keeps the error of the operating system as its source.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {source}", path.display())]
pub struct FileError {
    /// The file as it was named to us.
    pub path: PathBuf,
    /// What was tried.
    pub action: Action,
    /// What the operating system said.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: `fs::read(path).map_err(FileError::on(path, Action::Read))`.
    pub fn on(path: &Path, action: Action) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), action, source }
    }
}

/// All bytes of a file.
///
/// # Errors
/// The file and what the operating system said.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(FileError::on(path, Action::Read))
}
