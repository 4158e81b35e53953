// SPDX-License-Identifier: MIT OR Apache-2.0
//! GUID partition tables (UEFI 2.10, section 5.3), read only.
//!
//! Three steps, each on bytes the caller has read: [`Geometry`] says where a header lies, [`parse_header`] checks it
//! and says where the entry array lies, [`parse_entries`] checks that and gives the [`Table`]. A caller tries
//! [`Which::Primary`] first and [`Which::Backup`] after any error.
//!
//! Stricter than Linux (block/partitions/efi.c): overlapping entries, entries outside the usable range and arrays
//! above [`MAX_ENTRY_ARRAY`] are refused. Like Linux, it accepts a primary header whose backup is not in the last
//! block (an image copied to a larger disk).
//!
//! Not read: the protective MBR, and the attributes' meaning.

mod entries;
mod error;
mod header;

pub use entries::{MAX_LABEL_BYTES, MAX_PARTITIONS, Partition, Table, parse_entries};
pub use error::Error;
pub use header::{Header, MAX_ENTRY_ARRAY, parse_header};

use crate::range::ByteRange;
use core::fmt;

/// Which of a disk's two copies of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one in the second block of the disk.
    Primary,
    /// The one in the last block.
    Backup,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        })
    }
}

/// Size of a disk and of its logical blocks ("sectors").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    sector_size: u32,
    sectors: u64,
}

/// Protective MBR, two headers, two entry arrays of a sector each and one usable sector.
const MIN_SECTORS: u64 = 6;

impl Geometry {
    /// For a disk or image of `bytes` bytes; a last partial sector does not count, as in the kernel.
    ///
    /// # Errors
    /// [`Error::SectorSize`] unless `sector_size` is 512 or 4096, [`Error::DiskTooSmall`] below six sectors.
    pub fn new(sector_size: u32, bytes: u64) -> Result<Self, Error> {
        // Division by one of two constants: cannot be by zero.
        let (sectors, needed) = match sector_size {
            512 => (bytes / 512, MIN_SECTORS * 512),
            4096 => (bytes / 4096, MIN_SECTORS * 4096),
            found => return Err(Error::SectorSize { found }),
        };
        if sectors < MIN_SECTORS {
            return Err(Error::DiskTooSmall { bytes, needed });
        }
        Ok(Self { sector_size, sectors })
    }

    /// Bytes of a sector: 512 or 4096.
    #[must_use]
    pub const fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Whole sectors of the disk, at least six.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// The sector that [`parse_header`] wants for [`Which::Primary`].
    #[must_use]
    pub fn primary_header(&self) -> ByteRange {
        self.sector(self.header_lba(Which::Primary))
    }

    /// The sector that [`parse_header`] wants for [`Which::Backup`].
    #[must_use]
    pub fn backup_header(&self) -> ByteRange {
        self.sector(self.header_lba(Which::Backup))
    }

    /// The sector that [`parse_header`] wants.
    #[must_use]
    pub fn header(&self, which: Which) -> ByteRange {
        self.sector(self.header_lba(which))
    }

    const fn header_lba(&self, which: Which) -> u64 {
        match which {
            Which::Primary => 1,
            Which::Backup => self.last_lba(),
        }
    }

    const fn last_lba(&self) -> u64 {
        self.sectors.saturating_sub(1)
    }

    /// `lba` lies inside the disk wherever this is called, so that its byte offset is below the disk's size.
    fn sector(&self, lba: u64) -> ByteRange {
        let sector_size = u64::from(self.sector_size);
        ByteRange { offset: lba.saturating_mul(sector_size), len: sector_size }
    }
}
