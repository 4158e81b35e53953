// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GPT entry array (UEFI 2.10, section 5.3.3).

use super::{Error, Geometry, Header};
use crate::bytes;
use crate::crc32;
use crate::guid::Guid;
use crate::range::ByteRange;
use heapless::{String, Vec};

/// Most partitions of a disk: what every tool's usual table has room for.
pub const MAX_PARTITIONS: usize = 128;

/// Most bytes of a label as UTF-8: 36 UTF-16 units, three bytes each at most.
pub const MAX_LABEL_BYTES: usize = 108;

const LABEL_OFFSET: usize = 56;
const LABEL_BYTES: usize = 72;

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Slot in the entry array, from 1: the number in the kernel's name (`vda2`).
    pub number: u32,
    /// What it is for; see [`dps`](crate::dps).
    pub type_guid: Guid,
    /// Its own GUID.
    pub guid: Guid,
    /// Where it lies: inside the disk's usable range, overlapping no other.
    pub range: ByteRange,
    /// Attribute bits, meaning by type.
    pub attributes: u64,
    /// Name, untrusted text: may hold control characters. An unpaired surrogate becomes U+FFFD, since a label is a
    /// hint and a stranger's bad one must not make a whole disk unreadable; no [image
    /// name](crate::file_name::parse_label) has that character.
    pub label: String<MAX_LABEL_BYTES>,
}

/// A disk's partitions in the order of their slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's GUID.
    pub disk_guid: Guid,
    /// Its partitions.
    pub partitions: Vec<Partition, MAX_PARTITIONS>,
}

/// Checks the entry array, which the caller read from [`Header::entry_array`]; further bytes are ignored.
///
/// # Errors
/// CRC, more than [`MAX_PARTITIONS`] in use, an entry reversed, outside the usable range or overlapping another.
pub fn parse_entries(header: &Header, geometry: Geometry, array: &[u8]) -> Result<Table, Error> {
    let mut table = Table::new();
    table.read(header, geometry, array)?;
    Ok(table)
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// A table without partitions, to [`read`](Self::read) one into.
    #[must_use]
    pub const fn new() -> Self {
        Self { disk_guid: Guid::ZERO, partitions: Vec::new() }
    }

    /// As [`parse_entries`], into the place where the table stays: it has room for [`MAX_PARTITIONS`], which is much to move.
    ///
    /// # Errors
    /// As [`parse_entries`]. The table is half read then.
    pub fn read(&mut self, header: &Header, geometry: Geometry, array: &[u8]) -> Result<(), Error> {
        let wanted = header.entry_array().len;
        // At most 64 KiB: fits any usize.
        let array = bytes::slice(array, 0, usize::try_from(wanted).unwrap_or(usize::MAX))?;
        let computed = crc32::of(array);
        if computed != header.entries_crc32 {
            return Err(Error::EntriesCrc { stored: header.entries_crc32, computed });
        }
        self.disk_guid = header.disk_guid;
        self.partitions.clear();
        // At least 128 for every header that was parsed.
        let entry_size = usize::try_from(header.entry_size).unwrap_or(usize::MAX).max(1);
        for (number, entry) in (1..).zip(array.chunks_exact(entry_size)) {
            let type_guid = Guid::from_disk(bytes::array(entry, 0)?);
            if type_guid == Guid::ZERO {
                continue;
            }
            let partition = Partition {
                number,
                type_guid,
                guid: Guid::from_disk(bytes::array(entry, 16)?),
                range: range(number, bytes::le_u64(entry, 32)?, bytes::le_u64(entry, 40)?, header, geometry)?,
                attributes: bytes::le_u64(entry, 48)?,
                label: label(bytes::slice(entry, LABEL_OFFSET, LABEL_BYTES)?),
            };
            if let Some(other) = self.partitions.iter().find(|other| other.range.overlaps(&partition.range)) {
                return Err(Error::EntriesOverlap { number, other: other.number });
            }
            if self.partitions.push(partition).is_err() {
                return Err(Error::TooManyPartitions { limit: MAX_PARTITIONS });
            }
        }
        Ok(())
    }
}

fn range(number: u32, first: u64, last: u64, header: &Header, geometry: Geometry) -> Result<ByteRange, Error> {
    if last < first {
        return Err(Error::EntryReversed { number, first, last });
    }
    let (first_usable, last_usable) = (header.first_usable_lba, header.last_usable_lba);
    let outside = Error::EntryOutside { number, first, last, first_usable, last_usable };
    if first < first_usable || last > last_usable {
        return Err(outside);
    }
    let sector_size = u64::from(geometry.sector_size());
    let in_bytes = |sectors: u64| sectors.checked_mul(sector_size).ok_or(outside);
    // Not below zero: checked above. Not above 2^64: last is inside the disk.
    let sectors = last.saturating_sub(first).saturating_add(1);
    Ok(ByteRange { offset: in_bytes(first)?, len: in_bytes(sectors)? })
}

/// The text before the first NUL.
fn label(bytes: &[u8]) -> String<MAX_LABEL_BYTES> {
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0);
    let mut label = String::new();
    for character in char::decode_utf16(units) {
        // Always fits: 36 units are at most 108 bytes.
        let _ = label.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    label
}
