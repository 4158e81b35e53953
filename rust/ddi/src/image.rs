// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies in the image, and its partition tables.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | protective MBR, GPT header, 128 partition entries (512-byte sectors) |
//! | 20480 | root-verity-sig: JSON, padded with NUL to 8192 bytes, or zeros and no partition in an unsigned image |
//! | then | root: erofs |
//! | then | root-verity: superblock in a block of its own, hash tree |
//! | then | zeros, backup entries, backup header: 20480 bytes |
//!
//! The signature has the room of the largest one that the boot stage takes, whoever signs: so the layout is known before
//! the signer is, and a signature that comes later moves nothing.
//!
//! The tree lies behind the data, as systemd-repart lays it: one loop device over both is then all that the boot stage needs to give
//! dm-verity the data from the first block of a device, and the tree. With the tree before the data it takes two, half a millisecond of
//! a boot of 50.
//! Partitions are aligned to 4096 bytes and to nothing larger: dm-verity needs that on devices with 4096-byte sectors,
//! flash translation layers see the alignment of the partition or file the image lies in, and 1 MiB three times over
//! would be most of a small image. The image's size is a multiple of 4096 for the same reason.

use std::fs::File;
use std::path::{Path, PathBuf};

use boot_formats::dps;
use boot_formats::guid::Guid;
use boot_formats::range::ByteRange;
use boot_formats::signature_json::MAX_PKCS7;
use boot_formats::verity::RootHash;
use gptman::{GPT, GPTPartitionEntry};

use crate::derive;

/// Bytes of a sector, in the partition tables' sense.
pub const SECTOR_SIZE: u64 = 512;
/// What partitions and the image's size are multiples of.
pub const ALIGNMENT: u64 = 4096;
/// MBR, header and 128 entries are 34 sectors; up to the next multiple of [`ALIGNMENT`].
const FIRST_PARTITION: u64 = 20480;
/// Header and 128 entries are 33 sectors; up to the next multiple of [`ALIGNMENT`].
const BACKUP: u64 = 20480;
/// Bytes of root-verity-sig: the base64 of the largest PKCS#7, and the two fingerprints and the members' names beside it.
pub const SIGNATURE_PARTITION: u64 = 8192;
const _: () = assert!(MAX_PKCS7.div_ceil(3) * 4 + 512 <= 8192);
/// Discoverable Partitions Specification, partition flags: mount read-only.
const READ_ONLY: u64 = 1 << 60;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// More than 2^63 bytes.
    #[error("an image with a file system of {root} bytes is too large for a partition table")]
    TooLarge { root: u64 },
    /// The tables could not be written.
    #[error("{}: cannot write the partition tables: {source}", path.display())]
    Gpt { path: PathBuf, source: gptman::Error },
}

/// The places of the partitions, in bytes of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// root-verity-sig.
    pub signature: ByteRange,
    /// root-verity.
    pub verity: ByteRange,
    /// root.
    pub root: ByteRange,
    /// Bytes of the image.
    pub size: u64,
}

/// What the tables say about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub label: &'static str,
    /// What it is for.
    pub type_guid: Guid,
    /// Its own UUID.
    pub guid: Guid,
    /// Its place.
    pub range: ByteRange,
}

impl Plan {
    /// Lays the partitions one behind the other. Lengths are rounded up to [`ALIGNMENT`].
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn new(verity_len: u64, root_len: u64) -> Result<Self, Error> {
        Self::checked(verity_len, root_len).ok_or(Error::TooLarge { root: root_len })
    }

    fn checked(verity_len: u64, root_len: u64) -> Option<Self> {
        let after = |offset: u64, len: u64| Some(ByteRange { offset, len: len.checked_next_multiple_of(ALIGNMENT)? });
        let signature = after(FIRST_PARTITION, SIGNATURE_PARTITION)?;
        let root = after(signature.end()?, root_len)?;
        let verity = after(root.end()?, verity_len)?;
        let size = verity.end()?.checked_add(BACKUP)?;
        i64::try_from(size).is_ok().then_some(Self { signature, verity, root, size })
    }

    /// The partitions, in the order of the disk. Labels are those `systemd-repart` gives: nothing is found by them.
    #[must_use]
    pub fn entries(&self, root_hash: &RootHash) -> [Entry; 3] {
        let (root, verity) = dps::partition_guids(root_hash);
        [
            Entry {
                label: "root-arm64-verity-sig",
                type_guid: dps::ROOT_ARM64_VERITY_SIG,
                guid: derive::signature_guid(root_hash),
                range: self.signature,
            },
            Entry { label: "root-arm64", type_guid: dps::ROOT_ARM64, guid: root, range: self.root },
            Entry { label: "root-arm64-verity", type_guid: dps::ROOT_ARM64_VERITY, guid: verity, range: self.verity },
        ]
    }
}

/// Writes protective MBR and both partition tables into `file`, which has its final size already: the backup first. As long
/// as the primary table is the old one it counts; while it is neither, the finished backup does.
///
/// # Errors
/// [`Error::Gpt`].
pub fn write_tables(root_hash: &RootHash, entries: &[Entry], file: &File, path: &Path) -> Result<(), Error> {
    write_gpt(root_hash, entries, file).map_err(|source| Error::Gpt { path: path.to_owned(), source })
}

fn write_gpt(root_hash: &RootHash, entries: &[Entry], mut file: &File) -> gptman::Result<()> {
    let mut gpt = GPT::new_from(&mut file, SECTOR_SIZE, derive::disk_guid(root_hash).to_disk())?;
    for ((_, slot), entry) in gpt.iter_mut().zip(entries) {
        *slot = entry.encode();
    }
    let entries: Vec<_> = gpt.iter().map(|(_, entry)| entry.clone()).collect();
    let primary = &mut gpt.header;
    let mut backup = primary.clone();
    (backup.primary_lba, backup.backup_lba) = (primary.backup_lba, primary.primary_lba);
    // Behind the last sector of the partitions, up to the header (UEFI specification, section 5.3.1).
    backup.partition_entry_lba = primary.last_usable_lba.saturating_add(1);
    GPT::write_protective_mbr_into(&mut file, SECTOR_SIZE)?;
    backup.write_into(&mut file, SECTOR_SIZE, &entries)?;
    primary.write_into(&mut file, SECTOR_SIZE, &entries)
}

impl Entry {
    #[allow(clippy::arithmetic_side_effects, reason = "a range lies inside the image and is not empty")]
    fn encode(&self) -> GPTPartitionEntry {
        GPTPartitionEntry {
            partition_type_guid: self.type_guid.to_disk(),
            unique_partition_guid: self.guid.to_disk(),
            starting_lba: self.range.offset / SECTOR_SIZE,
            ending_lba: (self.range.offset + self.range.len) / SECTOR_SIZE - 1,
            attribute_bits: READ_ONLY,
            partition_name: self.label.into(),
        }
    }
}
