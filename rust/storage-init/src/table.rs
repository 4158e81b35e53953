// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a GPT: of a disk, or of a DDI in a file or partition. The primary one, or the backup where that is bad.

use core::fmt;

use boot_formats::gpt::{self, Geometry, Header, Table, Which};
use kernel_edge::block::{self, ReadOnly};

/// Why there is no table.
#[derive(Clone, Copy, Debug)]
pub enum Error {
    /// The size or sector size cannot be that of a disk with a GPT.
    Geometry(gpt::Error),
    /// Both copies are bad.
    Bad {
        /// What is wrong with the first copy.
        primary: CopyError,
        /// And with the one at the end.
        backup: CopyError,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(error) => write!(f, "{error}"),
            Self::Bad { primary, backup } => write!(f, "primary {primary}; backup {backup}"),
        }
    }
}

/// What is wrong with one copy.
#[derive(Clone, Copy, Debug)]
pub enum CopyError {
    /// It could not be read: a bad sector.
    Read(block::Error),
    /// It does not hold together.
    Bad(gpt::Error),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "{error}"),
            Self::Bad(error) => write!(f, "{error}"),
        }
    }
}

/// Reads the table of a disk with sectors of `sector_size` into `table`. Says which copy it is from.
///
/// # Errors
/// See [`Error`].
pub fn read(device: &ReadOnly, sector_size: u32, table: &mut Table) -> Result<Which, Error> {
    let geometry = Geometry::new(sector_size, device.bytes()).map_err(Error::Geometry)?;
    let Err(primary) = read_copy(device, geometry, Which::Primary, table) else { return Ok(Which::Primary) };
    let Err(backup) = read_copy(device, geometry, Which::Backup, table) else { return Ok(Which::Backup) };
    Err(Error::Bad { primary, backup })
}

/// Reads the table of an image, whose sector size is nowhere said: 512 bytes first, as `systemd-repart` and `ddi`
/// write it, then 4096.
///
/// # Errors
/// That of 512-byte sectors.
pub fn read_image(image: &ReadOnly, table: &mut Table) -> Result<Which, Error> {
    read(image, 512, table).or_else(|error| read(image, 4096, table).map_err(|_| error))
}

fn read_copy(device: &ReadOnly, geometry: Geometry, which: Which, table: &mut Table) -> Result<(), CopyError> {
    let at = geometry.header(which);
    // What is not there, the parsers miss by themselves.
    let sector = device.read_vec(at.offset, usize::try_from(at.len).unwrap_or_default()).map_err(CopyError::Read)?;
    let header: Header = gpt::parse_header(&sector, geometry, which).map_err(CopyError::Bad)?;
    let array = header.entry_array();
    // At most gpt::MAX_ENTRY_ARRAY: the header's parser refuses more.
    let len = usize::try_from(array.len).unwrap_or_default();
    let entries = device.read_vec(array.offset, len).map_err(CopyError::Read)?;
    table.read(&header, geometry, &entries).map_err(CopyError::Bad)
}
