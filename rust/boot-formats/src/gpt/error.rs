// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a partition table.

use crate::bytes::OutOfRange;
use core::fmt;

/// Why a partition table is refused. LBAs count the disk's own sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The sector size is neither 512 nor 4096.
    SectorSize {
        /// The size given.
        found: u32,
    },
    /// No room for two headers, two entry arrays and a partition.
    DiskTooSmall {
        /// Size of the disk.
        bytes: u64,
        /// Size of the smallest disk with a GPT.
        needed: u64,
    },
    /// The slice given is shorter than the structure in it.
    OutOfRange(OutOfRange),
    /// Not "EFI PART": most likely no GPT at all.
    Signature {
        /// The eight bytes in its place.
        found: [u8; 8],
    },
    /// Any revision but 1.0.
    Revision {
        /// Major number in the upper, minor in the lower half.
        found: u32,
    },
    /// Below 92 bytes or above a sector.
    HeaderSize {
        /// The size the header states.
        found: u32,
        /// Bytes of a sector.
        max: u32,
    },
    /// The header's bytes are not those that were written.
    HeaderCrc {
        /// As the header states it.
        stored: u32,
        /// Of the header's bytes.
        computed: u32,
    },
    /// The header was written for another sector.
    MyLba {
        /// The sector it states.
        found: u64,
        /// The sector it was read from.
        expected: u64,
    },
    /// The other header lies outside the disk, in the usable range or in this header's own sector.
    AlternateLba {
        /// The sector stated for it.
        found: u64,
        /// The last sector of the disk.
        last_lba: u64,
    },
    /// The usable range is reversed, reaches outside the disk or covers a header.
    UsableRange {
        /// First usable sector.
        first: u64,
        /// Last usable sector.
        last: u64,
        /// The last sector of the disk.
        last_lba: u64,
    },
    /// Not 128 * 2^n, or more than 4096.
    EntrySize {
        /// Bytes of an entry.
        found: u32,
    },
    /// The entry array has no entries.
    NoEntries,
    /// The entry array is larger than this program reads.
    TooManyEntries {
        /// Entries stated.
        count: u32,
        /// Bytes of an entry.
        size: u32,
        /// Most bytes read, [`MAX_ENTRY_ARRAY`](super::MAX_ENTRY_ARRAY).
        limit: u64,
    },
    /// The entry array is not between its header and the usable range.
    EntryArrayOutside {
        /// First sector of the array.
        first_lba: u64,
        /// Sectors it covers.
        sectors: u64,
        /// First sector it may cover.
        from: u64,
        /// First sector after those it may cover.
        to: u64,
    },
    /// The entry array's bytes are not those that were written.
    EntriesCrc {
        /// As the header states it.
        stored: u32,
        /// Of the array's bytes.
        computed: u32,
    },
    /// An entry ends before it starts.
    EntryReversed {
        /// Number of the partition, from 1.
        number: u32,
        /// First sector.
        first: u64,
        /// Last sector.
        last: u64,
    },
    /// An entry reaches outside the usable range.
    EntryOutside {
        /// Number of the partition, from 1.
        number: u32,
        /// First sector.
        first: u64,
        /// Last sector.
        last: u64,
        /// First usable sector.
        first_usable: u64,
        /// Last usable sector.
        last_usable: u64,
    },
    /// Two entries have sectors in common.
    EntriesOverlap {
        /// Number of the partition, from 1.
        number: u32,
        /// Number of the earlier entry it overlaps.
        other: u32,
    },
    /// More entries in use than this program keeps.
    TooManyPartitions {
        /// The most it keeps, [`MAX_PARTITIONS`](super::MAX_PARTITIONS).
        limit: usize,
    },
}

impl From<OutOfRange> for Error {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gpt: ")?;
        match self {
            Self::SectorSize { found } => write!(f, "sector size {found}, expected 512 or 4096"),
            Self::DiskTooSmall { bytes, needed } => write!(f, "disk of {bytes} bytes, need {needed}"),
            Self::OutOfRange(error) => error.fmt(f),
            Self::Signature { found } => {
                write!(f, "signature \"{}\", expected \"EFI PART\"", found.escape_ascii())
            }
            Self::Revision { found } => write!(f, "revision {found:#010x}, expected 0x00010000"),
            Self::HeaderSize { found, max } => write!(f, "header size {found}, expected 92 to {max}"),
            Self::HeaderCrc { stored, computed } => {
                write!(f, "header CRC is {computed:08x}, expected {stored:08x}")
            }
            Self::MyLba { found, expected } => {
                write!(f, "header was written for sector {found}, read from {expected}")
            }
            Self::AlternateLba { found, last_lba } => {
                write!(f, "other header at sector {found}, last sector is {last_lba}")
            }
            Self::UsableRange { first, last, last_lba } => {
                write!(f, "usable sectors {first} to {last}, last sector is {last_lba}")
            }
            Self::EntrySize { found } => {
                write!(f, "entry size {found}, expected 128, 256, 512, 1024, 2048 or 4096")
            }
            Self::NoEntries => f.write_str("no entries"),
            Self::TooManyEntries { count, size, limit } => {
                write!(f, "{count} entries of {size} bytes, at most {limit} bytes are read")
            }
            Self::EntryArrayOutside { first_lba, sectors, from, to } => {
                write!(f, "entry array of {sectors} sectors at {first_lba}, must lie from {from} up to {to}")
            }
            Self::EntriesCrc { stored, computed } => {
                write!(f, "entry array CRC is {computed:08x}, expected {stored:08x}")
            }
            Self::EntryReversed { number, first, last } => {
                write!(f, "partition {number}: last sector {last} is before the first, {first}")
            }
            Self::EntryOutside { number, first, last, first_usable, last_usable } => write!(
                f,
                "partition {number}: sectors {first} to {last} outside the usable {first_usable} to {last_usable}"
            ),
            Self::EntriesOverlap { number, other } => {
                write!(f, "partition {number} overlaps partition {other}")
            }
            Self::TooManyPartitions { limit } => write!(f, "more than {limit} partitions"),
        }
    }
}

impl core::error::Error for Error {}
