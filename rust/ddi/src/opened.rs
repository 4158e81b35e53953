// SPDX-License-Identifier: MIT OR Apache-2.0
//! A finished image, opened for reading in the order and by the rules of the boot stage: 512-byte sectors before 4096,
//! the primary partition table before the backup.
//!
//! Reads what it is asked for and judges nothing: [`inspect`](crate::inspect) and [`verify`](crate::verify) do.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use boot_formats::gpt::{self, Geometry, Table, Which};
use boot_formats::range::ByteRange;

use crate::file_error::{Action, FileError};
use crate::output;

/// Why there is nothing to read from.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory or pipe was given.
    #[error("{}: expected a regular file or a block device, found {found}", path.display())]
    NotAnImage { path: PathBuf, found: &'static str },
}

/// Why an image has no partition table: as the boot stage says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableError {
    /// Too small for one.
    Geometry(gpt::Error),
    /// Both copies are bad, with sectors of 512 bytes.
    Bad {
        /// What is wrong with the first copy.
        primary: gpt::Error,
        /// And with the one at the end.
        backup: gpt::Error,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(error) => write!(f, "{error}"),
            Self::Bad { primary, backup } => write!(f, "primary {primary}; backup {backup}"),
        }
    }
}

impl std::error::Error for TableError {}

/// A partition table, and where it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The table.
    pub table: Table,
    /// Which copy it is.
    pub which: Which,
    /// Bytes of the sectors it counts in.
    pub sector_size: u32,
}

/// An image. Holding one says that it can be read, nothing about what it is.
#[derive(Debug)]
pub struct Opened {
    /// The file, open for reading.
    pub file: File,
    /// Its name, for messages.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

impl Opened {
    /// Opens a file or block device.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(FileError::on(path, Action::Open))?;
        let file_type = file.metadata().map_err(FileError::on(path, Action::Examine))?.file_type();
        if !file_type.is_file() && !file_type.is_block_device() {
            return Err(Error::NotAnImage { path: path.to_owned(), found: output::kind(file_type) });
        }
        // A device's metadata has no size.
        let size = file.seek(SeekFrom::End(0)).map_err(FileError::on(path, Action::Examine))?;
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// The first bytes of `range`, at most `limit`: fewer where the file ends.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn read(&self, range: ByteRange, limit: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; usize::try_from(range.len).unwrap_or(limit).min(limit)];
        let mut filled = 0_usize;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let offset = range.offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.file.read_at(rest, offset) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FileError::on(&self.path, Action::Read(offset))(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The partition table that the boot stage would use; the inner error is that of 512-byte sectors.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn partition_table(&self) -> Result<Result<Found, TableError>, FileError> {
        let error = match self.table_in_sectors(512)? {
            Ok(found) => return Ok(Ok(found)),
            Err(error) => error,
        };
        Ok(self.table_in_sectors(4096)?.map_err(|_| error))
    }

    fn table_in_sectors(&self, sector_size: u32) -> Result<Result<Found, TableError>, FileError> {
        let geometry = match Geometry::new(sector_size, self.size) {
            Ok(geometry) => geometry,
            Err(error) => return Ok(Err(TableError::Geometry(error))),
        };
        let primary = match self.copy(geometry, Which::Primary)? {
            Ok(table) => return Ok(Ok(Found { table, which: Which::Primary, sector_size })),
            Err(error) => error,
        };
        Ok(match self.copy(geometry, Which::Backup)? {
            Ok(table) => Ok(Found { table, which: Which::Backup, sector_size }),
            Err(backup) => Err(TableError::Bad { primary, backup }),
        })
    }

    fn copy(&self, geometry: Geometry, which: Which) -> Result<Result<Table, gpt::Error>, FileError> {
        let sector = self.read(geometry.header(which), usize::MAX)?;
        let header = match gpt::parse_header(&sector, geometry, which) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        // At most gpt::MAX_ENTRY_ARRAY: the header's parser refuses more.
        let array = self.read(header.entry_array(), usize::MAX)?;
        Ok(gpt::parse_entries(&header, geometry, &array))
    }
}
