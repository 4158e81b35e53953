// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GPT header (UEFI 2.10, section 5.3.2).

use super::{Error, Geometry, Which};
use crate::bytes;
use crate::crc32::Crc32;
use crate::guid::Guid;
use crate::range::ByteRange;

/// Most bytes of an entry array that are read: 512 entries of the usual size, four times what tools write. A larger
/// one would let a disk decide how long PID 1 reads.
pub const MAX_ENTRY_ARRAY: u64 = 64 * 1024;

const SIGNATURE: [u8; 8] = *b"EFI PART";
const REVISION_1_0: u32 = 0x0001_0000;
/// Bytes of a header that are defined; the rest of the sector is zero.
const MIN_HEADER_SIZE: u32 = 92;
const CRC_FIELD: core::ops::Range<usize> = 16..20;
/// Bytes of an entry that are defined; larger entries are this times a power of two.
const MIN_ENTRY_SIZE: u32 = 128;
/// A page. The specification has no limit; tools write 128.
const MAX_ENTRY_SIZE: u32 = 4096;

/// A header that passed every check that needs no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which copy it is.
    pub which: Which,
    /// The disk's GUID.
    pub disk_guid: Guid,
    /// First sector partitions may cover.
    pub first_usable_lba: u64,
    /// Last sector partitions may cover.
    pub last_usable_lba: u64,
    /// Sector of the other copy's header, as this one states it.
    pub alternate_lba: u64,
    /// Slots of the entry array.
    pub entry_count: u32,
    /// Bytes of a slot.
    pub entry_size: u32,
    /// CRC of the entry array.
    pub entries_crc32: u32,
    entries: ByteRange,
}

impl Header {
    /// Where the entry array lies: inside the disk, at most [`MAX_ENTRY_ARRAY`] bytes.
    #[must_use]
    pub const fn entry_array(&self) -> ByteRange {
        self.entries
    }
}

/// The header's fields as they are on the disk, nothing checked.
struct Raw {
    signature: [u8; 8],
    revision: u32,
    header_size: u32,
    header_crc32: u32,
    my_lba: u64,
    alternate_lba: u64,
    first_usable_lba: u64,
    last_usable_lba: u64,
    disk_guid: Guid,
    entries_lba: u64,
    entry_count: u32,
    entry_size: u32,
    entries_crc32: u32,
}

fn layout(sector: &[u8]) -> Result<Raw, Error> {
    Ok(Raw {
        signature: bytes::array(sector, 0)?,
        revision: bytes::le_u32(sector, 8)?,
        header_size: bytes::le_u32(sector, 12)?,
        header_crc32: bytes::le_u32(sector, CRC_FIELD.start)?,
        my_lba: bytes::le_u64(sector, 24)?,
        alternate_lba: bytes::le_u64(sector, 32)?,
        first_usable_lba: bytes::le_u64(sector, 40)?,
        last_usable_lba: bytes::le_u64(sector, 48)?,
        disk_guid: Guid::from_disk(bytes::array(sector, 56)?),
        entries_lba: bytes::le_u64(sector, 72)?,
        entry_count: bytes::le_u32(sector, 80)?,
        entry_size: bytes::le_u32(sector, 84)?,
        entries_crc32: bytes::le_u32(sector, 88)?,
    })
}

/// Checks the header in `sector`, which the caller read from [`Geometry::header`] of `which`.
///
/// # Errors
/// The first of these that is not so: signature, revision, header size and CRC; the header's own place and that of the
/// other one; usable range inside the disk; entry size and count; the entry array between header and usable range.
pub fn parse_header(sector: &[u8], geometry: Geometry, which: Which) -> Result<Header, Error> {
    let raw = layout(sector)?;
    check_integrity(sector, &raw, geometry)?;
    check_places(&raw, geometry, which)?;
    let entries = entry_array(&raw, geometry, which)?;
    Ok(Header {
        which,
        disk_guid: raw.disk_guid,
        first_usable_lba: raw.first_usable_lba,
        last_usable_lba: raw.last_usable_lba,
        alternate_lba: raw.alternate_lba,
        entry_count: raw.entry_count,
        entry_size: raw.entry_size,
        entries_crc32: raw.entries_crc32,
        entries,
    })
}

fn check_integrity(sector: &[u8], raw: &Raw, geometry: Geometry) -> Result<(), Error> {
    if raw.signature != SIGNATURE {
        return Err(Error::Signature { found: raw.signature });
    }
    if raw.revision != REVISION_1_0 {
        return Err(Error::Revision { found: raw.revision });
    }
    let max = geometry.sector_size();
    let header_size = match usize::try_from(raw.header_size) {
        Ok(size) if (MIN_HEADER_SIZE..=max).contains(&raw.header_size) => size,
        _ => return Err(Error::HeaderSize { found: raw.header_size, max }),
    };
    // The CRC is of the header with its own field as zeros.
    let before = bytes::slice(sector, 0, CRC_FIELD.start)?;
    let after = bytes::slice(sector, CRC_FIELD.end, header_size.saturating_sub(CRC_FIELD.end))?;
    let computed = Crc32::new().update(before).update(&[0; 4]).update(after).finish();
    if computed != raw.header_crc32 {
        return Err(Error::HeaderCrc { stored: raw.header_crc32, computed });
    }
    Ok(())
}

fn check_places(raw: &Raw, geometry: Geometry, which: Which) -> Result<(), Error> {
    let last_lba = geometry.last_lba();
    let expected = geometry.header_lba(which);
    if raw.my_lba != expected {
        return Err(Error::MyLba { found: raw.my_lba, expected });
    }
    let (first, last) = (raw.first_usable_lba, raw.last_usable_lba);
    // Sector 1 is the primary header, the last sector the backup one.
    if first > last || first < 2 || last >= last_lba {
        return Err(Error::UsableRange { first, last, last_lba });
    }
    let alternate_is_possible = match which {
        Which::Primary => last < raw.alternate_lba && raw.alternate_lba <= last_lba,
        Which::Backup => raw.alternate_lba == geometry.header_lba(Which::Primary),
    };
    if !alternate_is_possible {
        return Err(Error::AlternateLba { found: raw.alternate_lba, last_lba });
    }
    Ok(())
}

fn entry_array(raw: &Raw, geometry: Geometry, which: Which) -> Result<ByteRange, Error> {
    let (count, size) = (raw.entry_count, raw.entry_size);
    if !size.is_power_of_two() || !(MIN_ENTRY_SIZE..=MAX_ENTRY_SIZE).contains(&size) {
        return Err(Error::EntrySize { found: size });
    }
    if count == 0 {
        return Err(Error::NoEntries);
    }
    // The product of two 32-bit numbers: saturates never.
    let len = u64::from(count).saturating_mul(u64::from(size));
    if len > MAX_ENTRY_ARRAY {
        return Err(Error::TooManyEntries { count, size, limit: MAX_ENTRY_ARRAY });
    }
    let sector_size = u64::from(geometry.sector_size());
    let sectors = len.div_ceil(sector_size);
    let first_lba = raw.entries_lba;
    let (from, to) = match which {
        Which::Primary => (2, raw.first_usable_lba),
        Which::Backup => (raw.last_usable_lba.saturating_add(1), raw.my_lba),
    };
    let outside = Error::EntryArrayOutside { first_lba, sectors, from, to };
    match first_lba.checked_add(sectors) {
        Some(end) if from <= first_lba && end <= to => {}
        _ => return Err(outside),
    }
    let offset = first_lba.checked_mul(sector_size).ok_or(outside)?;
    Ok(ByteRange { offset, len })
}
