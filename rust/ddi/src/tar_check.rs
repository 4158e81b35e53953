// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walks a tar archive before mkfs.erofs gets it.
//!
//! mkfs.erofs 1.8.6 never ends on an archive that is cut off inside a file (it reads 0 bytes again and again), drops
//! sparse files or packs their map as their contents, and says "invalid chksum @ 0" of a compressed archive. Only headers
//! are read; file contents are skipped, not looked at.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::file_error::{Action, FileError};

/// Bytes of a tar header, and what every file's contents are padded to.
const RECORD: u64 = 512;
/// Zero bytes behind the last member.
const END_MARK: u64 = 1024;

const SPARSE: &str = "a sparse file";

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory, device or pipe was given.
    #[error("{}: expected a regular file, found {found}", path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    /// A compressed archive.
    #[error("{}: at byte 0 expected an uncompressed tar archive, found {found} data: decompress it first", path.display())]
    Compressed { path: PathBuf, found: &'static str },
    /// Something that is no tar header where one has to be.
    #[error("{}: at byte {offset} expected a tar header: {source}", path.display())]
    Header { path: PathBuf, offset: u64, source: io::Error },
    /// The archive ends inside a file.
    #[error(
        "{}: truncated: at byte {offset} expected {needed} bytes of {}, found {available}",
        path.display(), member.display()
    )]
    Truncated { path: PathBuf, member: PathBuf, offset: u64, needed: u64, available: u64 },
    /// The two zero records at the end are missing.
    #[error(
        "{}: truncated: at byte {offset} expected a tar header or the end mark (1024 zero bytes), found {available} bytes",
        path.display()
    )]
    NoEndMark { path: PathBuf, offset: u64, available: u64 },
    /// A member that mkfs.erofs would drop or mangle without a word.
    #[error(
        "{}: at byte {offset} expected a file, directory, link, device or pipe, found {found} {}",
        path.display(), member.display()
    )]
    Kind { path: PathBuf, offset: u64, found: String, member: PathBuf },
}

/// Checks that every header of the archive at `path` is one, that the archive is whole, and that mkfs.erofs knows all
/// that is in it.
///
/// # Errors
/// See [`Error`].
pub fn check(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(FileError::on(path, Action::Open))?;
    let metadata = file.metadata().map_err(FileError::on(path, Action::Examine))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned(), found: crate::output::kind(metadata.file_type()) });
    }
    refuse_compressed(path, &file)?;
    let size = metadata.len();
    let mut end = 0;
    let broken = |offset: u64, source: io::Error| match size.saturating_sub(offset) {
        available if available < RECORD => Error::NoEndMark { path: path.to_owned(), offset, available },
        _ => Error::Header { path: path.to_owned(), offset, source },
    };
    let mut archive = tar::Archive::new(BufReader::new(&file));
    for entry in archive.entries_with_seek().map_err(|error| broken(0, error))? {
        let mut entry = entry.map_err(|error| broken(end, error))?;
        refuse_unknown(path, &mut entry).map_err(|error| broken(end, error))??;
        let (offset, needed) = (entry.raw_file_position(), entry.size());
        let available = size.saturating_sub(offset);
        if needed > available {
            let member = member_path(&entry);
            return Err(Error::Truncated { path: path.to_owned(), member, offset, needed, available });
        }
        end = offset.saturating_add(needed.next_multiple_of(RECORD));
    }
    let available = size.saturating_sub(end);
    match available < END_MARK {
        true => Err(Error::NoEndMark { path: path.to_owned(), offset: end, available }),
        false => Ok(()),
    }
}

/// The outer error is one of reading, the inner one is the refusal.
fn refuse_unknown<R: io::Read>(path: &Path, entry: &mut tar::Entry<'_, R>) -> io::Result<Result<(), Error>> {
    let member = member_path(entry);
    let (found, member) = match entry.header().entry_type() {
        EntryType::Regular
        | EntryType::Link
        | EntryType::Symlink
        | EntryType::Char
        | EntryType::Block
        | EntryType::Directory
        | EntryType::Fifo => match pax_sparse_name(entry, &member)? {
            None => return Ok(Ok(())),
            Some(name) => (SPARSE.to_owned(), name),
        },
        EntryType::GNUSparse => (SPARSE.to_owned(), member),
        other => (format!("a member of type '{}'", other.as_byte().escape_ascii()), member),
    };
    Ok(Err(Error::Kind { path: path.to_owned(), offset: entry.raw_header_position(), found, member }))
}

/// Sparse files of pax archives are plain files under a made-up name, with keys beside them. Gives the true name.
fn pax_sparse_name<R: io::Read>(entry: &mut tar::Entry<'_, R>, made_up: &Path) -> io::Result<Option<PathBuf>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    let mut found = None;
    for extension in extensions {
        let extension = extension?;
        match extension.key_bytes() {
            b"GNU.sparse.name" => found = Some(PathBuf::from(OsStr::from_bytes(extension.value_bytes()))),
            key if key.starts_with(b"GNU.sparse.") => found = found.or_else(|| Some(made_up.to_owned())),
            _ => {}
        }
    }
    Ok(found)
}

fn member_path<R: io::Read>(entry: &tar::Entry<'_, R>) -> PathBuf {
    entry.path().unwrap_or_default().into_owned()
}

fn refuse_compressed(path: &Path, file: &File) -> Result<(), Error> {
    let mut start = [0; 6];
    let read = file.read_at(&mut start, 0).map_err(FileError::on(path, Action::Read(0)))?;
    let found = match start.get(..read).unwrap_or_default() {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
        _ => return Ok(()),
    };
    Err(Error::Compressed { path: path.to_owned(), found })
}
