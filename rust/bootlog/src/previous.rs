// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of the boot before this one, out of what pstore kept over the reset.
//!
//! The kernel shows it in /sys/fs/pstore until someone removes it; systemd-pstore moves it to /var/lib/systemd/pstore, where
//! it stays until the next one of its name. Both name it `pmsg-BACKEND-NUMBER`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::{self, Log};

/// Where it is looked for, in this order.
pub const FOLDERS: [&str; 2] = ["/sys/fs/pstore", "/var/lib/systemd/pstore"];
/// How the files begin that programs wrote to /dev/pmsg0.
const PREFIX: &str = "pmsg-";

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder has such a file: the memory was lost, or the kernel has no pstore.
    #[error("no boot left a log in {}", list(.looked_in))]
    None {
        /// The folders.
        looked_in: Vec<PathBuf>,
    },
    /// There are such files, but no log in them.
    #[error("{}: {source}", path.display())]
    NoLog {
        /// The last one looked at.
        path: PathBuf,
        /// Why it is none.
        source: log::Error,
    },
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Finds the log: the first file of the first folder that holds one. Gives the file and its bytes.
///
/// # Errors
/// Each of [`Error`].
pub fn find(folders: &[PathBuf]) -> Result<(PathBuf, Vec<u8>), Error> {
    let mut no_log = None;
    for path in folders.iter().map(|folder| files(folder)).collect::<Result<Vec<_>, _>>()?.concat() {
        let bytes = read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        match Log::find(&bytes).map(|_| ()) {
            Ok(()) => return Ok((path, bytes)),
            Err(source) => no_log = Some(Error::NoLog { path, source }),
        }
    }
    Err(no_log.unwrap_or_else(|| Error::None { looked_in: folders.to_vec() }))
}

/// Reads a log file; what is longer than any log is cut.
///
/// # Errors
/// The operating system's.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, log::MAX_LOG), &mut bytes)?;
    Ok(bytes)
}

/// The files of a folder that may hold a log, by name; none where there is no such folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(" or ")
}
