// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties: no bytes make a parser panic, and what is built comes back as it was.

use crate::bad_lines::crc32;
use crate::golden;
use boot_formats::dps::Role;
use boot_formats::gpt::{self, Geometry, Which};
use boot_formats::verity::{self, Superblock};
use boot_formats::{
    ByteRange, Guid, ddi, der, file_name, json, luks2, os_release, pkcs7, signature_json, uevent, version, x509,
};
use gptman::{GPT, GPTPartitionEntry};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cmp::Ordering;
use std::io::Cursor;

/// Every parser, on the same bytes.
fn parse_all(bytes: &[u8]) {
    for sector_size in [512, 4096] {
        let geometry = Geometry::new(sector_size, 1 << 20).unwrap();
        for which in [Which::Primary, Which::Backup] {
            let _ = gpt::parse_header(bytes, geometry, which);
        }
    }
    let _ = verity::parse(bytes).map(|superblock| (superblock.data_bytes(), superblock.tree_bytes()));
    let _ = signature_json::parse(bytes);
    let _ = json::parse(bytes);
    for which in [luks2::Which::Primary, luks2::Which::Secondary { offset: 16 << 10 }] {
        let metadata = luks2::parse_header(bytes, which).and_then(|header| header.metadata(1 << 30));
        let _ = metadata.map(|metadata| (metadata.tokens(), metadata.keyslot(0), metadata.digest(0)));
    }
    let _ = pkcs7::sole_signer(bytes);
    let _ = x509::parse(bytes);
    let _ = uevent::parse(bytes);
    let _ = uevent::parse_sysfs("/devices/x", bytes);
    let _ = os_release::parse(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = file_name::parse(&text);
    let _ = Guid::parse(&text);
    let mut reader = der::Reader::new(bytes);
    while reader.any().is_ok_and(|value| !value.whole.is_empty()) {}
}

/// Good files, to be damaged: arbitrary bytes alone would never pass the first check.
const SEEDS: [&str; 9] = [
    "luks2/small-key.luks2",
    "two-levels.verity",
    "compact.json",
    "bare.p7",
    "embedded.p7",
    "two-signers.p7",
    "attributes.p7",
    "development.crt",
    "nameless.crt",
];

/// A disk's table as gptman writes it: sector size, sectors, partitions as first and last sector with a label.
fn write_with_gptman(sector_size: u64, sectors: u64, partitions: &[(u64, u64, String)]) -> Vec<u8> {
    let mut disk = Cursor::new(vec![0; usize::try_from(sectors * sector_size).unwrap()]);
    let mut gpt = GPT::new_from(&mut disk, sector_size, [0xd1; 16]).unwrap();
    for (number, (first, last, label)) in (1..).zip(partitions) {
        gpt[number] = GPTPartitionEntry {
            partition_type_guid: [0x70; 16],
            unique_partition_guid: [u8::try_from(number).unwrap(); 16],
            starting_lba: *first,
            ending_lba: *last,
            attribute_bits: u64::from(number),
            partition_name: label.as_str().into(),
        };
    }
    gpt.write_into(&mut disk).unwrap();
    disk.into_inner()
}

fn read(disk: &[u8], geometry: Geometry, which: Which) -> Result<gpt::Table, gpt::Error> {
    let at = |range: ByteRange| {
        let start = usize::try_from(range.offset).unwrap();
        &disk[start..start + usize::try_from(range.len).unwrap()]
    };
    let header = gpt::parse_header(at(geometry.header(which)), geometry, which)?;
    gpt::parse_entries(&header, geometry, at(header.entry_array()))
}

/// Partitions that do not overlap, by the gaps and lengths between them.
fn partitions() -> impl Strategy<Value = Vec<(u64, u64, String)>> {
    vec((0_u64..20, 1_u64..50, "[ -~äöü€]{0,20}"), 0..20).prop_map(|pieces| {
        let mut next = 40;
        let place = |(gap, len, label): (u64, u64, String)| {
            let first = next + gap;
            next = first + len;
            (first, next - 1, label)
        };
        pieces.into_iter().map(place).collect()
    })
}

fn superblock_bytes(of: &Superblock) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(b"verity\0\0");
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(of.uuid);
    bytes.extend(b"sha256");
    bytes.resize(64, 0);
    bytes.extend(of.data_block_size.to_le_bytes());
    bytes.extend(of.hash_block_size.to_le_bytes());
    bytes.extend(of.data_blocks.to_le_bytes());
    bytes.extend(u16::try_from(of.salt.len()).unwrap().to_le_bytes());
    bytes.resize(88, 0);
    bytes.extend(of.salt.iter());
    bytes.resize(512, 0);
    bytes
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..2048)) {
        parse_all(&bytes);
    }

    #[test]
    fn no_damage_to_a_good_file_makes_a_parser_panic(
        seed in 0..SEEDS.len(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = golden::bytes(SEEDS[seed]);
        for (place, value) in damage {
            *place.get_mut(&mut bytes) = value;
        }
        parse_all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        parse_all(&bytes);
    }

    /// The CRC keeps arbitrary bytes away from the checks behind it; so make it right.
    #[test]
    fn no_header_with_a_good_crc_makes_the_parser_panic_or_point_outside(
        fields in vec(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>(), 0_u64..3000], 9),
        which in prop_oneof![Just(Which::Primary), Just(Which::Backup)],
        in_place in any::<bool>(),
    ) {
        let geometry = Geometry::new(512, 1 << 20).unwrap();
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(b"EFI PART");
        sector[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        for (field, place) in fields.iter().zip(sector[24..].chunks_mut(8)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        if in_place {
            sector[24..32].copy_from_slice(&(geometry.header(which).offset / 512).to_le_bytes());
            let alternate = if which == Which::Primary { 2047_u64 } else { 1 };
            sector[32..56].copy_from_slice(&[alternate, 34, 2014].map(u64::to_le_bytes).concat());
            sector[84..88].copy_from_slice(&128_u32.to_le_bytes());
        }
        let crc = crc32(&sector[..92]);
        sector[16..20].copy_from_slice(&crc.to_le_bytes());
        if let Ok(header) = gpt::parse_header(&sector, geometry, which) {
            let disk = ByteRange { offset: 0, len: 1 << 20 };
            prop_assert!(disk.contains(&header.entry_array()));
            prop_assert!(header.entry_array().len <= gpt::MAX_ENTRY_ARRAY);
        }
    }

    #[test]
    fn what_gptman_writes_comes_back(parts in partitions(), large in any::<bool>()) {
        let sector_size = if large { 4096 } else { 512 };
        let disk = write_with_gptman(sector_size, 2048, &parts);
        let geometry = Geometry::new(u32::try_from(sector_size).unwrap(), disk.len() as u64).unwrap();
        let table = read(&disk, geometry, Which::Primary).unwrap();
        prop_assert_eq!(read(&disk, geometry, Which::Backup).unwrap(), table.clone());
        prop_assert_eq!(table.disk_guid.to_disk(), [0xd1; 16]);
        prop_assert_eq!(table.partitions.len(), parts.len());
        for ((number, (first, last, label)), found) in (1_u8..).zip(parts).zip(&table.partitions) {
            prop_assert_eq!(found.number, u32::from(number));
            prop_assert_eq!(found.type_guid.to_disk(), [0x70; 16]);
            prop_assert_eq!(found.guid.to_disk(), [number; 16]);
            let range = ByteRange { offset: first * sector_size, len: (last - first + 1) * sector_size };
            prop_assert_eq!(found.range, range);
            prop_assert_eq!(found.attributes, u64::from(number));
            prop_assert_eq!(found.label.as_str(), label);
        }
        // A table of anything is a DDI only if it says so.
        let expected = match table.partitions.first() {
            Some(first) => ddi::Error::Unexpected { number: 1, role: Role::Unknown, type_guid: first.type_guid },
            None => ddi::Error::Missing(Role::Root),
        };
        prop_assert_eq!(ddi::layout(&table), Err(expected));
    }

    #[test]
    fn a_superblock_comes_back(
        uuid in any::<[u8; 16]>(),
        data_size in 9_u32..=12,
        hash_size in 9_u32..=12,
        data_blocks in 1..=u64::MAX,
        salt in vec(any::<u8>(), 0..=256),
    ) {
        let superblock = Superblock {
            uuid,
            data_block_size: 1 << data_size,
            hash_block_size: 1 << hash_size,
            data_blocks,
            salt: heapless::Vec::from_slice(&salt).unwrap(),
        };
        prop_assert_eq!(verity::parse(&superblock_bytes(&superblock)), Ok(superblock));
    }

    /// The kernel's own formula: level i has ceil(data_blocks / digests^i) blocks, while more than one is below.
    #[test]
    fn levels_are_as_the_kernel_counts_them(data_blocks in 1..=u64::MAX, hash_size in 9_u32..=12) {
        let bits = hash_size - 5;
        let mut expected = Vec::new();
        while bits * u32::try_from(expected.len()).unwrap() < 64
            && (data_blocks - 1) >> (bits * u32::try_from(expected.len()).unwrap()) != 0
        {
            let level = u32::try_from(expected.len()).unwrap() + 1;
            let digests = 1_u128 << (bits * level);
            expected.push(u64::try_from(u128::from(data_blocks).div_ceil(digests)).unwrap());
        }
        expected.reverse();
        prop_assert_eq!(verity::levels(data_blocks, 1 << hash_size).unwrap().to_vec(), expected);
    }

    #[test]
    fn guids_come_back(bytes in any::<[u8; 16]>()) {
        let guid = Guid::from_disk(bytes);
        prop_assert_eq!(guid.to_disk(), bytes);
        prop_assert_eq!(Guid::from_uuid_bytes(guid.to_uuid_bytes()), guid);
        prop_assert_eq!(Guid::parse(&guid.to_string()), Ok(guid));
    }

    #[test]
    fn versions_have_one_order(a in "[0-9a-c.~^_-]{0,8}", b in "[0-9a-c.~^_-]{0,8}") {
        prop_assert_eq!(version::compare(&a, &a), Ordering::Equal);
        prop_assert_eq!(version::compare(&a, &b), version::compare(&b, &a).reverse());
    }

    #[test]
    fn names_come_back(
        name in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}",
        version in "[A-Za-z0-9.~^-]{1,20}",
        tries in proptest::option::of((any::<u32>(), any::<u32>())),
    ) {
        let counters = tries.map(|(left, done)| format!("+{left}-{done}")).unwrap_or_default();
        let file = format!("{name}_{version}{counters}.raw");
        let tries = tries.map(|(left, done)| file_name::Tries { left, done });
        let expected = file_name::ImageName { name: &name, version: &version, tries };
        prop_assert_eq!(file_name::parse(&file), Ok(expected));
    }

    #[test]
    fn overlap_and_containment_agree_with_the_bytes(a in 0_u64..12, b in 0_u64..12, c in 0_u64..12, d in 0_u64..12) {
        let (x, y) = (ByteRange { offset: a, len: b }, ByteRange { offset: c, len: d });
        let in_x = |byte: &u64| (a..a + b).contains(byte);
        prop_assert_eq!(x.overlaps(&y), (c..c + d).any(|byte| in_x(&byte)));
        if d > 0 {
            prop_assert_eq!(x.contains(&y), (c..c + d).all(|byte| in_x(&byte)));
        }
    }
}
