// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the parts of a vfat lie: inside the volume, each once; and what follows what, read entry by entry.
//!
//! Input: bytes of the partition, boot sector, a cluster, the length of a file, then entries of a table or folder.
#![no_main]

use boot_formats::ByteRange;
use boot_formats::vfat::{self, BOOT_SECTOR, find_folder};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

const NAME: &[u8; 13] = b"initoverlayfs";

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let partition = ByteRange { offset: 0, len: input.number()? };
    let sector: [u8; BOOT_SECTOR] = input.array()?;
    let cluster = u32::from_le_bytes(input.array()?);
    let bytes = input.number()?;
    let entries = input.rest();
    let folder = find_folder(entries, NAME);
    assert_eq!(folder, found(entries));

    let volume = vfat::parse(&sector, partition.len).ok()?;
    // Linux tells FAT32 by this, too.
    let is_32 = sector[22..24] == [0, 0];
    assert!(is_32 || !volume.keeps_free_count());
    if is_32 {
        assert!(partition.contains(&volume.root()));
        assert_eq!(volume.cluster_at(volume.root().offset).and_then(|root| volume.cluster(root)), Some(volume.root()));
    }
    assert_eq!((volume.cluster(0), volume.cluster(1)), (None, None));
    for number in [cluster, 2, folder.unwrap_or_default()] {
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
    Some(cluster)
}

/// [`find_folder`] by the text of the names.
fn found(entries: &[u8]) -> Option<u32> {
    let entries: Vec<&[u8]> = entries.chunks_exact(32).collect();
    let pair = entries.windows(2).find(|pair| {
        let name: Vec<u16> = [1..11, 14..26, 28..32]
            .into_iter()
            .flat_map(|characters| pair[0][characters].chunks_exact(2))
            .map(|character| u16::from_le_bytes([character[0], character[1]]))
            .collect();
        let is_long_name = pair[0][11] == 0x0f && pair[0][0] == 0x41;
        let is_folder = pair[1][11] != 0x0f && pair[1][11] & 0x10 != 0;
        is_long_name && is_folder && String::from_utf16_lossy(&name).eq_ignore_ascii_case("initoverlayfs")
    })?;
    let short = pair[1];
    Some(
        u32::from(u16::from_le_bytes([short[20], short[21]])) << 16
            | u32::from(u16::from_le_bytes([short[26], short[27]])),
    )
}
