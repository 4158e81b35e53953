// SPDX-License-Identifier: MIT OR Apache-2.0
//! All or nothing: the image is made in a directory beside the output and renamed into place when it is whole and on
//! the disk. On an error, and on SIGINT, SIGTERM and SIGHUP, the directory is removed.

use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::file_error::{Action, FileError};

/// The directories to remove when a signal ends the program.
static TO_REMOVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often a directory is tried to be removed, into which another thread may still put a file.
const TRIES: u32 = 100;

/// Exit status after a signal: what a shell reports for SIGINT.
const INTERRUPTED: i32 = 130;

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// No file name at the end of the path.
    #[error("{}: expected the name of a file to write", path.display())]
    NoName { path: PathBuf },
    /// There is something else than a file already.
    #[error("{}: expected a regular file or nothing to replace, found {found}", path.display())]
    NotReplaceable { path: PathBuf, found: &'static str },
    /// Two outputs under one name.
    #[error("{}: expected another file than that of the image", path.display())]
    Same { path: PathBuf },
    /// The image would be packed into itself, or replace what it is made from.
    #[error("{}: the output lies in the input {}", path.display(), input.display())]
    InsideInput { path: PathBuf, input: PathBuf },
}

/// What kind of file this is, for messages.
#[must_use]
pub fn kind(file_type: FileType) -> &'static str {
    match file_type {
        t if t.is_file() => "a regular file",
        t if t.is_dir() => "a directory",
        t if t.is_symlink() => "a symbolic link",
        t if t.is_block_device() => "a block device",
        t if t.is_char_device() => "a character device",
        t if t.is_fifo() => "a pipe",
        t if t.is_socket() => "a socket",
        _ => "a file of unknown type",
    }
}

/// Removes unfinished work when SIGINT, SIGTERM or SIGHUP ends the program. To be called once, by `main`.
///
/// # Errors
/// [`ctrlc::Error`].
pub fn remove_on_signals() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        // Held to the end: nobody else removes meanwhile.
        let directories = to_remove();
        directories.iter().for_each(|directory| remove(directory));
        std::process::exit(INTERRUPTED);
    })
}

/// Removes a directory, also while files are put into it. Nobody is left to hear of an error.
fn remove(directory: &Path) {
    let is_gone = |result: io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let _ = (0..TRIES).any(|_| is_gone(fs::remove_dir_all(directory)));
}

fn to_remove() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    TO_REMOVE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// An output that does not exist yet. Dropping it removes all that was made for it.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    /// The same without links and relative parts.
    real_path: PathBuf,
    parent: PathBuf,
    work: Work,
}

/// A work directory whose name is in [`TO_REMOVE`]. Dropping it removes both.
#[derive(Debug)]
struct Work(PathBuf);

impl Output {
    /// Makes the work directory beside `path`, after checking that `path` may be written and lies outside `inputs`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(path: &Path, inputs: &[&Path]) -> Result<Self, Error> {
        let name = path.file_name().ok_or_else(|| Error::NoName { path: path.to_owned() })?;
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let real_parent = parent.canonicalize().map_err(FileError::on(parent, Action::Open))?;
        require_replaceable(path)?;
        for input in inputs {
            let real_input = input.canonicalize().map_err(FileError::on(input, Action::Open))?;
            if real_parent.join(name).starts_with(&real_input) {
                return Err(Error::InsideInput { path: path.to_owned(), input: input.to_path_buf() });
            }
        }
        let mut registered = to_remove();
        let work = tempfile::Builder::new()
            .prefix(".ddi-")
            .tempdir_in(parent)
            .map_err(|error| FileError::on(parent, Action::CreateIn)(bare(&error)))?
            .keep();
        registered.push(work.clone());
        let real_path = real_parent.join(name);
        Ok(Self { path: path.to_owned(), real_path, parent: parent.to_owned(), work: Work(work) })
    }

    /// Refuses to be the same file as `other`, of which one would replace the other.
    ///
    /// # Errors
    /// [`Error::Same`].
    pub fn require_other_than(&self, other: &Self) -> Result<(), Error> {
        match self.real_path == other.real_path {
            true => Err(Error::Same { path: self.path.clone() }),
            false => Ok(()),
        }
    }

    /// A file of this name in the work directory.
    #[must_use]
    pub fn work_file(&self, name: &str) -> PathBuf {
        self.work.0.join(name)
    }

    /// Gives `finished`, a file in the work directory, its final name, after forcing it to the disk.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn publish(self, finished: &File, finished_path: &Path) -> Result<(), Error> {
        finished.sync_all().map_err(FileError::on(&self.path, Action::Sync))?;
        fs::rename(finished_path, &self.path).map_err(FileError::on(&self.path, Action::Rename))?;
        let sync_directory = || File::open(&self.parent)?.sync_all();
        sync_directory().map_err(FileError::on(&self.parent, Action::Sync))?;
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut directories = to_remove();
        remove(&self.0);
        directories.retain(|directory| *directory != self.0);
    }
}

fn require_replaceable(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) => Err(Error::NotReplaceable { path: path.to_owned(), found: kind(metadata.file_type()) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::on(path, Action::Examine)(error).into()),
    }
}

/// The tempfile crate wraps its errors with the random name it tried; keep what the operating system said.
fn bare(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::from(error.kind()),
    }
}
