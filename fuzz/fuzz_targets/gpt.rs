// SPDX-License-Identifier: MIT OR Apache-2.0
//! GPT: header and entry array of a disk of any size.
//!
//! Input: flags, sectors of the disk, the header's sector (first 512 bytes), the entry array. A flag has the CRCs made
//! right, so that what lies behind them is reached.
#![no_main]

use boot_formats::ByteRange;
use boot_formats::gpt::{self, Geometry, Header, MAX_ENTRY_ARRAY, MAX_PARTITIONS, Table, Which};
use fuzz::{Input, crc32};
use gptman::GPTHeader;
use libfuzzer_sys::fuzz_target;
use std::io::{self, Read, Seek, SeekFrom};

const LARGE_SECTORS: u8 = 1;
const BACKUP: u8 = 2;
const REPAIR: u8 = 4;
/// Of the header that is defined.
const HEADER: usize = 92;

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let flags = input.byte()?;
    let sector_size = if flags & LARGE_SECTORS == 0 { 512 } else { 4096 };
    let which = if flags & BACKUP == 0 { Which::Primary } else { Which::Backup };
    let disk_bytes = input.number()?.saturating_mul(u64::from(sector_size));
    let geometry = Geometry::new(sector_size, disk_bytes).ok()?;
    let disk = ByteRange { offset: 0, len: geometry.sectors() * u64::from(sector_size) };
    assert!(disk.contains(&geometry.header(which)));

    let mut sector = input.padded(512);
    sector.resize(geometry.sector_size() as usize, 0);
    if flags & REPAIR != 0 {
        repair(&mut sector, input.rest());
    }
    let header = gpt::parse_header(&sector, geometry, which).ok()?;
    check_header(&header, geometry, disk);
    let array = input.padded(header.entry_array().len as usize);
    let table = gpt::parse_entries(&header, geometry, &array).ok()?;
    check_table(&table, &header, geometry, disk);
    // What lies behind the array is nobody's business.
    let longer = [array.as_slice(), &[0xff; 128]].concat();
    assert_eq!(gpt::parse_entries(&header, geometry, &longer), Ok(table.clone()));
    if sector[12..16] == 92_u32.to_le_bytes() && header.entry_size == 128 {
        compare_with_gptman(&table, &header, geometry, &sector, &array);
    }
    Some(())
}

/// Makes both CRCs right, as far as the header says where the array ends.
fn repair(sector: &mut [u8], entries: &[u8]) {
    let field =
        |sector: &[u8], at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
    let len = u64::from(field(sector, 80)) * u64::from(field(sector, 84));
    if len <= MAX_ENTRY_ARRAY {
        let array = Input::new(entries).padded(len as usize);
        sector[88..92].copy_from_slice(&crc32(&array).to_le_bytes());
    }
    let size = (field(sector, 12) as usize).clamp(HEADER, sector.len());
    sector[16..20].fill(0);
    let crc = crc32(&sector[..size]);
    sector[16..20].copy_from_slice(&crc.to_le_bytes());
}

fn check_header(header: &Header, geometry: Geometry, disk: ByteRange) {
    let array = header.entry_array();
    assert!(disk.contains(&array) && array.len <= MAX_ENTRY_ARRAY);
    assert_eq!(array.len, u64::from(header.entry_count) * u64::from(header.entry_size));
    for which in [Which::Primary, Which::Backup] {
        // The place of the other copy is only known to be the disk's end if the header says so.
        let is_there = header.which == which || which == Which::Primary;
        assert!(!is_there || !array.overlaps(&geometry.header(which)), "the array covers the {which} header");
    }
    assert!(header.first_usable_lba <= header.last_usable_lba && header.last_usable_lba < geometry.sectors());
}

fn check_table(table: &Table, header: &Header, geometry: Geometry, disk: ByteRange) {
    let sector = u64::from(geometry.sector_size());
    let usable = ByteRange {
        offset: header.first_usable_lba * sector,
        len: (header.last_usable_lba - header.first_usable_lba + 1) * sector,
    };
    assert!(table.partitions.len() <= MAX_PARTITIONS);
    for (index, partition) in table.partitions.iter().enumerate() {
        assert!(disk.contains(&partition.range) && usable.contains(&partition.range), "{partition:?}");
        assert!(partition.range.len > 0 && partition.range.is_aligned(sector), "{partition:?}");
        assert!((1..=header.entry_count).contains(&partition.number));
        let before = &table.partitions[..index];
        assert!(before.iter().all(|other| other.number < partition.number && !other.range.overlaps(&partition.range)));
    }
}

/// What we accept, gptman accepts, and it sees the same.
fn compare_with_gptman(table: &Table, header: &Header, geometry: Geometry, sector: &[u8], array: &[u8]) {
    let mut disk = Pieces {
        pieces: [(geometry.header(header.which).offset, sector), (header.entry_array().offset, array)],
        at: geometry.header(header.which).offset,
    };
    let theirs = GPTHeader::read_from(&mut disk).expect("gptman refuses a header that we accept");
    let sector_size = u64::from(geometry.sector_size());
    let entries = theirs.read_partitions(&mut disk, sector_size).expect("gptman refuses an array that we accept");
    assert_eq!(theirs.disk_guid, table.disk_guid.to_disk());
    let used: Vec<_> = (1..).zip(&entries).filter(|(_, entry)| entry.is_used()).collect();
    assert_eq!(used.len(), table.partitions.len());
    for ((number, entry), ours) in used.into_iter().zip(&table.partitions) {
        assert_eq!(number, ours.number);
        assert_eq!(entry.partition_type_guid, ours.type_guid.to_disk());
        assert_eq!(entry.unique_partition_guid, ours.guid.to_disk());
        assert_eq!(entry.starting_lba * sector_size, ours.range.offset);
        assert_eq!(entry.size().expect("a reversed entry") * sector_size, ours.range.len);
        assert_eq!(entry.attribute_bits, ours.attributes);
    }
}

/// A disk with something in two places, and zeros everywhere else. gptman reads more than an entry at a time, so also
/// behind the last.
struct Pieces<'a> {
    pieces: [(u64, &'a [u8]); 2],
    at: u64,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for (offset, bytes) in self.pieces {
            let Some(skip) = self.at.checked_sub(offset).filter(|skip| *skip < bytes.len() as u64) else { continue };
            let mut rest = &bytes[skip as usize..];
            let read = rest.read(buffer)?;
            self.at += read as u64;
            return Ok(read);
        }
        buffer.fill(0);
        self.at += buffer.len() as u64;
        Ok(buffer.len())
    }
}

impl Seek for Pieces<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(at) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        self.at = at;
        Ok(at)
    }
}
