// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition tables of sfdisk, fdisk and systemd-repart.

use crate::golden::{Disk, Line, layout};
use boot_formats::ByteRange;
use boot_formats::gpt::{self, Error, Geometry, Table, Which};

const ALL: [&str; 4] = ["disk-512", "disk-short", "disk-4096", "repart"];

fn lines(table: &Table, sector_size: u64) -> Vec<Line> {
    let line = |p: &gpt::Partition| {
        let ByteRange { offset, len } = p.range;
        assert!(p.range.is_aligned(sector_size));
        (offset / sector_size, len / sector_size, p.type_guid.to_string(), p.guid.to_string(), p.label.to_string())
    };
    table.partitions.iter().map(line).collect()
}

#[test]
fn both_copies_say_what_the_tool_was_told() {
    for name in ALL {
        let disk = Disk::open(name);
        let (disk_guid, expected) = layout(name);
        for which in [Which::Primary, Which::Backup] {
            let table = disk.table(which).unwrap_or_else(|error| panic!("{name} {which}: {error}"));
            assert_eq!(table.disk_guid.to_string(), disk_guid, "{name} {which}");
            assert_eq!(lines(&table, disk.geometry.sector_size().into()), expected, "{name} {which}");
            let numbers: Vec<u32> = table.partitions.iter().map(|p| p.number).collect();
            assert_eq!(numbers, (1..).take(expected.len()).collect::<Vec<_>>(), "{name} {which}");
        }
    }
}

#[test]
fn copies_have_names() {
    assert_eq!([Which::Primary, Which::Backup].map(|which| which.to_string()), ["primary", "backup"]);
}

#[test]
fn attributes_are_kept() {
    let table = Disk::open("disk-512").table(Which::Primary).unwrap();
    assert_eq!(table.partitions.iter().map(|p| p.attributes).collect::<Vec<_>>(), [0, 0, 1 << 60]);
}

#[test]
fn a_broken_primary_header_leaves_the_backup() {
    let mut disk = Disk::open("disk-4096");
    let good = disk.table(Which::Primary).unwrap();
    let header = disk.place(disk.geometry.primary_header().offset);
    disk.bytes[header..header + 512].fill(0);
    assert_eq!(disk.table(Which::Primary), Err(Error::Signature { found: [0; 8] }));
    assert_eq!(disk.table(Which::Backup), Ok(good));
}

#[test]
fn a_flipped_bit_in_the_primary_array_leaves_the_backup() {
    let mut disk = Disk::open("disk-512");
    let good = disk.table(Which::Primary).unwrap();
    disk.bytes[1024 + 32] ^= 1;
    assert_eq!(disk.table(Which::Primary), Err(Error::EntriesCrc { stored: 0x25db_2e08, computed: 0x9fdd_e976 }));
    assert_eq!(disk.table(Which::Backup), Ok(good));
}

#[test]
fn an_image_copied_to_a_larger_disk_still_has_its_primary_table() {
    let mut disk = Disk::open("disk-512");
    let good = disk.table(Which::Primary).unwrap();
    disk.geometry = Geometry::new(512, 1 << 40).unwrap();
    assert_eq!(disk.table(Which::Primary), Ok(good));
}

#[test]
fn with_both_headers_bad_each_says_why() {
    let mut disk = Disk::open("disk-512");
    let primary = disk.place(disk.geometry.primary_header().offset);
    let backup = disk.place(disk.geometry.backup_header().offset);
    disk.bytes[primary + 56] ^= 1;
    disk.bytes[backup..backup + 512].fill(0);
    assert_eq!(disk.table(Which::Primary).unwrap_err().to_string(), "gpt: header CRC is 0e9d8930, expected 9bed5da5");
    assert_eq!(disk.table(Which::Backup), Err(Error::Signature { found: [0; 8] }));
}

/// The kernel looks for the protective MBR first, and takes a disk without one for unpartitioned: it then has no
/// partitions to boot from, and storage-init says so. The table itself is none the worse.
#[test]
fn a_missing_protective_mbr_is_for_the_kernel_to_miss() {
    let mut disk = Disk::open("disk-512");
    let good = disk.table(Which::Primary);
    assert_eq!(disk.bytes[510..512], [0x55, 0xaa]);
    disk.bytes[..512].fill(0);
    assert!(good.is_ok());
    assert_eq!(disk.table(Which::Primary), good);
}

/// Tools leave room behind the header for other things, such as a boot loader that has to start at a fixed sector.
#[test]
fn entries_may_lie_anywhere_between_header_and_partitions() {
    let mut disk = written(&[(2048, 2999, &[0x61])], 128, 128);
    let good = disk.table(Which::Primary).unwrap();
    let array = disk.bytes.split_off(1024);
    for first_lba in [3_u64, 34, 2016] {
        let mut moved = disk.clone();
        moved.bytes.resize(usize::try_from(first_lba * 512).unwrap(), 0xee);
        moved.bytes.extend_from_slice(&array);
        moved.head = moved.bytes.len();
        let header = &mut moved.bytes[512..604];
        header[72..80].copy_from_slice(&first_lba.to_le_bytes());
        header[16..20].fill(0);
        let crc = crate::bad_lines::crc32(header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(moved.table(Which::Primary).as_ref(), Ok(&good), "{first_lba}");
    }
}

#[test]
fn where_headers_are() {
    for (sector_size, bytes, primary, backup) in
        [(512, 10 << 20, 512, (10 << 20) - 512), (4096, 8 << 20, 4096, (8 << 20) - 4096), (512, 5000, 512, 4096)]
    {
        let geometry = Geometry::new(sector_size, bytes).unwrap();
        let len = u64::from(sector_size);
        assert_eq!(geometry.primary_header(), ByteRange { offset: primary, len });
        assert_eq!(geometry.backup_header(), ByteRange { offset: backup, len });
    }
    // The largest disk there can be: no offset wraps.
    let geometry = Geometry::new(512, u64::MAX).unwrap();
    assert_eq!(geometry.backup_header(), ByteRange { offset: u64::MAX - 1023, len: 512 });
}

#[test]
fn disks_without_room_for_a_table() {
    for (sector_size, bytes, error, line) in [
        (520, 1 << 30, Error::SectorSize { found: 520 }, "gpt: sector size 520, expected 512 or 4096"),
        (0, 1 << 30, Error::SectorSize { found: 0 }, "gpt: sector size 0, expected 512 or 4096"),
        (512, 0, Error::DiskTooSmall { bytes: 0, needed: 3072 }, "gpt: disk of 0 bytes, need 3072"),
        (512, 3071, Error::DiskTooSmall { bytes: 3071, needed: 3072 }, "gpt: disk of 3071 bytes, need 3072"),
        (4096, 24575, Error::DiskTooSmall { bytes: 24575, needed: 24576 }, "gpt: disk of 24575 bytes, need 24576"),
    ] {
        assert_eq!(Geometry::new(sector_size, bytes), Err(error));
        assert_eq!(error.to_string(), line);
    }
}

/// A table with these entries: first and last sector, label units.
fn written(entries: &[(u64, u64, &[u16])], size: u32, count: u32) -> Disk {
    let mut disk = Disk::open("disk-512");
    let array = crate::bad_lines::crc32;
    let size = usize::try_from(size).unwrap();
    let mut bytes = vec![0; usize::try_from(count).unwrap() * size];
    for (number, ((first, last, label), entry)) in entries.iter().zip(bytes.chunks_mut(size)).enumerate() {
        entry[..16].fill(1);
        entry[16] = u8::try_from(number + 1).unwrap();
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
        for (unit, place) in label.iter().zip(entry[56..128].chunks_mut(2)) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    disk.head = 1024 + bytes.len();
    disk.bytes.truncate(1024);
    disk.bytes.extend_from_slice(&bytes);
    let header = &mut disk.bytes[512..604];
    header[40..48].copy_from_slice(&2048_u64.to_le_bytes());
    header[80..84].copy_from_slice(&count.to_le_bytes());
    header[84..88].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
    header[88..92].copy_from_slice(&array(&bytes).to_le_bytes());
    header[16..20].fill(0);
    let crc = array(header);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    disk
}

#[test]
fn an_unpaired_surrogate_in_a_label_becomes_the_replacement_character() {
    let disk = written(&[(2048, 2048, &[0xd83e, 0xdd55, 0xd800, 0x62, 0xdc00]), (2049, 2049, &[0xd83e; 36])], 128, 128);
    let table = disk.table(Which::Primary).unwrap();
    assert_eq!(table.partitions[0].label, "🥕\u{fffd}b\u{fffd}");
    // The longest label as UTF-8: 36 times three bytes.
    assert_eq!(table.partitions[1].label.len(), gpt::MAX_LABEL_BYTES);
}

#[test]
fn entries_may_be_larger_than_what_is_defined_of_them() {
    for (size, count) in [(128, 512), (256, 256), (4096, 16)] {
        let disk = written(&[(2048, 2999, &[0x61]), (3000, 3000, &[0x62])], size, count);
        let table = disk.table(Which::Primary).unwrap();
        assert_eq!(table.partitions[1].range, ByteRange { offset: 3000 * 512, len: 512 }, "{size}");
        assert_eq!(table.partitions[1].label, "b");
    }
}

#[test]
fn one_partition_more_than_are_kept() {
    let entries: Vec<(u64, u64, &[u16])> = (2048..2048 + 129).map(|lba| (lba, lba, &[][..])).collect();
    assert_eq!(written(&entries[..128], 128, 256).table(Which::Primary).unwrap().partitions.len(), 128);
    let error = written(&entries, 128, 256).table(Which::Primary).unwrap_err();
    assert_eq!(error, Error::TooManyPartitions { limit: 128 });
    assert_eq!(error.to_string(), "gpt: more than 128 partitions");
}

#[test]
fn a_header_or_array_cut_short_says_where() {
    let disk = Disk::open("disk-512");
    let header = disk.header(Which::Primary);
    let error = gpt::parse_header(&header[..75], disk.geometry, Which::Primary).unwrap_err();
    assert_eq!(error.to_string(), "gpt: out of range at byte 72: need 8, have 3");
    let header = gpt::parse_header(header, disk.geometry, Which::Primary).unwrap();
    let error = gpt::parse_entries(&header, disk.geometry, &[0; 4096]).unwrap_err();
    assert_eq!(error.to_string(), "gpt: out of range at byte 0: need 16384, have 4096");
}
