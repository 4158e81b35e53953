// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one error of an I/O call: which file, what was tried, at which byte, and what the operating system said.

use std::io;
use std::path::{Path, PathBuf};

/// What was tried on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Opening it for reading.
    Open,
    /// Creating it.
    Create,
    /// Creating something in this directory.
    CreateIn,
    /// Asking for its type or size.
    Examine,
    /// Setting its size.
    Resize,
    /// Shifting its contents by this many bytes.
    Shift(u64),
    /// Reading, from this byte on.
    Read(u64),
    /// Writing, from this byte on.
    Write(u64),
    /// Forcing it to the disk.
    Sync,
    /// Removing it.
    Remove,
    /// Giving it its final name.
    Rename,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Create => f.write_str("create"),
            Self::CreateIn => f.write_str("create a file in this directory"),
            Self::Examine => f.write_str("examine"),
            Self::Resize => f.write_str("resize"),
            Self::Shift(bytes) => write!(f, "shift the contents by {bytes} bytes"),
            Self::Read(offset) => write!(f, "read at byte {offset}"),
            Self::Write(offset) => write!(f, "write at byte {offset}"),
            Self::Sync => f.write_str("sync"),
            Self::Remove => f.write_str("remove"),
            Self::Rename => f.write_str("rename to its final name"),
        }
    }
}

/// An I/O call that failed. Keeps the error of the operating system as its source.
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
    /// For `map_err`: `file.sync_all().map_err(FileError::on(path, Action::Sync))`.
    pub fn on(path: &Path, action: Action) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), action, source }
    }
}
