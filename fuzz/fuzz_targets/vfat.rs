// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the parts of a vfat lie: inside the volume, each once; and what follows what, and what is in a folder, read entry by entry.
//!
//! Input: bytes of the partition, boot sector, a cluster, the length of a file, then entries of a table or folder.
#![no_main]

use boot_formats::ByteRange;
use boot_formats::vfat::{self, BOOT_SECTOR, Unclear};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let partition = ByteRange { offset: 0, len: input.number()? };
    let sector: [u8; BOOT_SECTOR] = input.array()?;
    let cluster = u32::from_le_bytes(input.array()?);
    let bytes = input.number()?;
    let entries = input.rest();
    let read: Result<Vec<Listed>, Unclear> = vfat::entries(entries)
        .map(|entry| entry.map(|entry| (entry.name.as_str().to_owned(), entry.is_folder, entry.first, entry.bytes)))
        .collect();
    assert_eq!(read.ok(), listed(entries));

    let volume = vfat::parse(&sector, partition.len).ok()?;
    // Linux tells FAT32 by this, too.
    let is_32 = sector[22..24] == [0, 0];
    assert!(is_32 || !volume.keeps_free_count());
    if is_32 {
        assert!(partition.contains(&volume.root()));
        assert_eq!(volume.cluster_at(volume.root().offset).and_then(|root| volume.cluster(root)), Some(volume.root()));
    }
    assert_eq!((volume.cluster(0), volume.cluster(1)), (None, None));
    for number in [cluster, 2] {
        let Some(range) = volume.cluster(number) else { continue };
        assert!(partition.contains(&range), "cluster {number} leaves the volume");
        assert_eq!(volume.cluster_at(range.offset), Some(number));
        assert_eq!(volume.cluster_at(range.offset + 1), None);
    }
    if let Some(links) = volume.links(cluster, bytes) {
        let width = if is_32 { 4 } else { 2 };
        let clusters = bytes.div_ceil(volume.cluster(cluster)?.len);
        assert_eq!(links.len, (clusters - 1) * width);
        let last = u64::from(cluster) + clusters - 1;
        assert!(volume.cluster(last as u32).is_some(), "the run leaves the volume");
        // Tables lie before all clusters.
        assert!(links.end() <= volume.cluster(2).map(|first| first.offset));
    }
    assert_eq!(volume.follow(cluster, entries), followed(is_32, cluster, entries));
    Some(())
}

/// [`vfat::Volume::follow`], one entry after the other.
fn followed(is_32: bool, mut cluster: u32, entries: &[u8]) -> Option<u32> {
    for entry in entries.chunks_exact(if is_32 { 4 } else { 2 }) {
        cluster = cluster.checked_add(1)?;
        let named = match *entry {
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) & 0x0fff_ffff,
            _ => return None,
        };
        if named != cluster {
            return None;
        }
    }
    // Where no entry tells: FAT32 has no cluster of a higher number.
    (!is_32 || cluster <= 0x0fff_ffff).then_some(cluster)
}

/// The characters of a long name's entry.
fn characters(entry: &[u8]) -> Vec<u16> {
    let parts = [1..11, 14..26, 28..32].into_iter().flat_map(|part| entry[part].chunks_exact(2));
    parts.map(|character| u16::from_le_bytes([character[0], character[1]])).collect()
}

/// Name, whether it is a folder, first cluster, bytes.
type Listed = (String, bool, u32, u32);

/// [`vfat::entries`], a whole name at a time.
fn listed(entries: &[u8]) -> Option<Vec<Listed>> {
    let entries: Vec<&[u8]> = entries.chunks_exact(32).collect();
    let mut listed = Vec::new();
    let mut rest = entries.as_slice();
    loop {
        let (first, behind) = rest.split_first()?;
        if first[0] == 0 {
            return behind.iter().all(|entry| entry[0] == 0).then_some(listed);
        }
        if first[0] == 0xe5 || first[11] != 0x0f {
            let is_file = first[0] != 0xe5 && first[11] & 0x18 == 0;
            if is_file && (first[8..11].eq_ignore_ascii_case(b"raw") || first[..8].contains(&b'.')) {
                return None;
            }
            rest = behind;
            continue;
        }
        let count = usize::from(first[0] ^ 0x40);
        if !(1..=20).contains(&count) || rest.len() <= count {
            return None;
        }
        let (long, behind) = rest.split_at(count);
        let (short, behind) = behind.split_first()?;
        let numbers_fit = long.iter().rev().zip(1..).all(|(entry, number)| entry[0] & !0x40 == number);
        let only_first_is_last = long[1..].iter().all(|entry| entry[0] & 0x40 == 0);
        let sum = short[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let all_long = long.iter().all(|entry| entry[11] == 0x0f && entry[13] == sum);
        let usable = short[11] != 0x0f && short[11] & 0x08 == 0 && !matches!(short[0], 0 | 0xe5);
        let name: Vec<u16> = long.iter().rev().flat_map(|entry| characters(entry)).collect();
        let end = name.iter().position(|character| *character == 0).unwrap_or(name.len());
        let plain = end > 0
            && name[..end].iter().all(|character| (0x20..0x7f).contains(character) && *character != 0x2f)
            && name[end..].iter().skip(1).all(|character| *character == 0xffff)
            && end >= (count - 1) * 13;
        if !(numbers_fit && only_first_is_last && all_long && usable && plain) {
            return None;
        }
        let cluster = u32::from(u16::from_le_bytes([short[20], short[21]])) << 16
            | u32::from(u16::from_le_bytes([short[26], short[27]]));
        let bytes = u32::from_le_bytes([short[28], short[29], short[30], short[31]]);
        listed.push((String::from_utf16(&name[..end]).ok()?, short[11] & 0x10 != 0, cluster, bytes));
        rest = behind;
    }
}
