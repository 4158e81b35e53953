// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the parts of a FAT16 or FAT32 volume lie, what is in a folder, and which clusters follow each other: enough to find the files
//! of a folder that are one run of bytes on their partition, and to read ahead of the kernel's vfat where it is asked for others. FAT12
//! is left to the kernel.
//!
//! * What is worked out here is a hint to the kernel, or the place of bytes that are verified when they are read.
//! * A volume is not judged: what contradicts itself is refused, so that no range leaves the volume.
//!
//! See the FAT specification (fatgen103) and fs/fat/inode.c, `fat_read_bpb` and `fat_fill_super`.

mod error;
mod folder;

use crate::bytes;
use crate::range::ByteRange;

pub use error::Error;
pub use folder::{Entries, Entry, Unclear, entries};

/// Bytes of a boot sector that are looked at, whatever the sector size.
pub const BOOT_SECTOR: usize = 512;

/// Bytes of a folder's entry.
pub const ENTRY: usize = 32;
/// The first cluster that holds data; the two entries before it are the table's own.
const FIRST_CLUSTER: u32 = 2;
/// `MAX_FAT12` and `MAX_FAT16` of include/uapi/linux/msdos_fs.h: clusters, the two reserved numbers not counted.
const MOST_FAT12: u32 = 0xff4;
const MOST_FAT16: u32 = 0xfff4;
const MOST_FAT32: u32 = 0x0fff_fff6;
/// The upper four bits of a FAT32 entry are not part of the number.
const FAT32_NUMBER: u32 = 0x0fff_ffff;
/// The same of four entries in a row.
const FAT32_NUMBERS: u128 = 0x0fff_ffff_0fff_ffff_0fff_ffff_0fff_ffff;
/// What the number of a cluster is multiplied by to stand in each of four entries.
const FOUR_TIMES: u128 = 0x0000_0001_0000_0001_0000_0001_0000_0001;
/// The numbers of four clusters in a row, counted from the first of them, as entries of the table.
const FOUR_IN_A_ROW: u128 = 0x0000_0003_0000_0002_0000_0001_0000_0000;
/// In the state byte: the volume was not unmounted.
const DIRTY: u8 = 1;

/// Bytes of an entry of the allocation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Two,
    Four,
}

/// Where the parts of a volume lie. Every range lies inside the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    width: Width,
    sector_bytes: u16,
    cluster_bytes: u64,
    clusters: u32,
    table: ByteRange,
    root: ByteRange,
    data: u64,
    clean: bool,
}

/// The boot sector's fields as they are on the disk, nothing checked.
struct Raw {
    sector_bytes: u16,
    sectors_per_cluster: u8,
    reserved_sectors: u16,
    tables: u8,
    root_entries: u16,
    sectors_16: u16,
    media: u8,
    table_sectors_16: u16,
    sectors_32: u32,
    table_sectors_32: u32,
    root_cluster: u32,
    state: u8,
}

fn layout(sector: &[u8]) -> Result<Raw, Error> {
    let sector = bytes::slice(sector, 0, BOOT_SECTOR)?;
    let byte = |offset| bytes::array::<1>(sector, offset).map(|[byte]| byte);
    Ok(Raw {
        sector_bytes: bytes::le_u16(sector, 11)?,
        sectors_per_cluster: byte(13)?,
        reserved_sectors: bytes::le_u16(sector, 14)?,
        tables: byte(16)?,
        root_entries: bytes::le_u16(sector, 17)?,
        sectors_16: bytes::le_u16(sector, 19)?,
        media: byte(21)?,
        table_sectors_16: bytes::le_u16(sector, 22)?,
        sectors_32: bytes::le_u32(sector, 32)?,
        table_sectors_32: bytes::le_u32(sector, 36)?,
        root_cluster: bytes::le_u32(sector, 44)?,
        state: byte(65)?,
    })
}

/// Reads the boot sector, at least [`BOOT_SECTOR`] bytes, of a volume of `volume_bytes`.
///
/// # Errors
/// See [`Error`].
pub fn parse(sector: &[u8], volume_bytes: u64) -> Result<Volume, Error> {
    let raw = layout(sector)?;
    let sector_bytes = u64::from(raw.sector_bytes);
    if !(512..=4096).contains(&sector_bytes) || !sector_bytes.is_power_of_two() {
        return Err(Error::Field { offset: 11, found: raw.sector_bytes.into() });
    }
    if !raw.sectors_per_cluster.is_power_of_two() {
        return Err(Error::Field { offset: 13, found: raw.sectors_per_cluster.into() });
    }
    for (offset, found) in [(14, raw.reserved_sectors), (16, raw.tables.into())] {
        if found == 0 {
            return Err(Error::Field { offset, found: 0 });
        }
    }
    if !matches!(raw.media, 0xf0 | 0xf8..) {
        return Err(Error::Field { offset: 21, found: raw.media.into() });
    }
    if !(u64::from(raw.root_entries).saturating_mul(ENTRY as u64)).is_multiple_of(sector_bytes) {
        return Err(Error::Field { offset: 17, found: raw.root_entries.into() });
    }
    // Linux tells FAT32 by this alone.
    let is_32 = raw.table_sectors_16 == 0;
    let table_sectors = if is_32 { raw.table_sectors_32.into() } else { u64::from(raw.table_sectors_16) };
    let sectors = if raw.sectors_16 == 0 { raw.sectors_32.into() } else { u64::from(raw.sectors_16) };

    // No product below leaves 64 bits: numbers of sectors have 32, all else has 16 or fewer.
    let before_root = table_sectors.saturating_mul(raw.tables.into()).saturating_add(raw.reserved_sectors.into());
    let root_bytes = u64::from(raw.root_entries).saturating_mul(ENTRY as u64);
    let data = before_root.saturating_add(root_bytes.div_ceil(sector_bytes)).saturating_mul(sector_bytes);
    let end = sectors.saturating_mul(sector_bytes);
    if end > volume_bytes {
        return Err(Error::DoesNotFit { needed: end, available: volume_bytes });
    }
    let cluster_bytes = u64::from(raw.sectors_per_cluster).saturating_mul(sector_bytes);
    let clusters = end.saturating_sub(data).checked_div(cluster_bytes).unwrap_or_default();
    let (width, most) = match is_32 {
        true => (Width::Four, MOST_FAT32),
        false if clusters <= MOST_FAT12.into() => return Err(Error::Fat12 { clusters }),
        false => (Width::Two, MOST_FAT16),
    };
    let clusters = u32::try_from(clusters).ok().filter(|clusters| (1..=most).contains(clusters));
    let clusters = clusters.ok_or(Error::Clusters { found: end.saturating_sub(data), most })?;

    let table_offset = u64::from(raw.reserved_sectors).saturating_mul(sector_bytes);
    let mut volume = Volume {
        width,
        sector_bytes: raw.sector_bytes,
        cluster_bytes,
        clusters,
        table: ByteRange { offset: table_offset, len: table_sectors.saturating_mul(sector_bytes) },
        root: ByteRange { offset: before_root.saturating_mul(sector_bytes), len: root_bytes },
        data,
        clean: is_32 && raw.state & DIRTY == 0,
    };
    if is_32 {
        volume.root = volume.cluster(raw.root_cluster).ok_or(Error::Field { offset: 44, found: raw.root_cluster })?;
    }
    Ok(volume)
}

impl Volume {
    /// Whether the volume keeps a number of its free clusters (FAT32's FSInfo), and says that it was unmounted cleanly.
    #[must_use]
    pub const fn keeps_free_count(&self) -> bool {
        self.clean
    }

    /// Bytes of a sector: the unit in which the kernel's vfat reads tables and folders.
    #[must_use]
    pub const fn sector_bytes(&self) -> u16 {
        self.sector_bytes
    }

    /// The first allocation table.
    #[must_use]
    pub const fn table(&self) -> ByteRange {
        self.table
    }

    /// The root folder, or its first cluster.
    #[must_use]
    pub const fn root(&self) -> ByteRange {
        self.root
    }

    /// The bytes of a cluster.
    #[must_use]
    pub fn cluster(&self, number: u32) -> Option<ByteRange> {
        let index = number.checked_sub(FIRST_CLUSTER).filter(|index| *index < self.clusters)?;
        let offset = u64::from(index).checked_mul(self.cluster_bytes)?.checked_add(self.data)?;
        Some(ByteRange { offset, len: self.cluster_bytes })
    }

    /// The cluster that begins at this byte of the volume.
    #[must_use]
    pub fn cluster_at(&self, offset: u64) -> Option<u32> {
        let from_data = offset.checked_sub(self.data).filter(|bytes| bytes.is_multiple_of(self.cluster_bytes))?;
        let index = u32::try_from(from_data.checked_div(self.cluster_bytes)?).ok()?;
        (index < self.clusters).then(|| index.checked_add(FIRST_CLUSTER)).flatten()
    }

    /// Where the table says which clusters follow those of a file of `bytes` that begins with cluster `first`, if it is one run.
    /// Empty for a file of one cluster. `None`: the volume has no such run.
    #[must_use]
    pub fn links(&self, first: u32, bytes: u64) -> Option<ByteRange> {
        let count = bytes.div_ceil(self.cluster_bytes).checked_sub(1)?;
        let last = u64::from(first).checked_add(count)?;
        self.cluster(first)?;
        self.cluster(u32::try_from(last).ok()?)?;
        let width = u64::from(self.width.bytes());
        let offset = u64::from(first).checked_mul(width)?.checked_add(self.table.offset)?;
        let links = ByteRange { offset, len: count.checked_mul(width)? };
        self.table.contains(&links).then_some(links)
    }

    /// Reads whole entries of the table, the first of them being that of cluster `first`: the number of the cluster after the
    /// last, if each names the one after itself.
    #[must_use]
    pub fn follow(&self, first: u32, entries: &[u8]) -> Option<u32> {
        let count = u32::try_from(entries.len()).ok()?.checked_div(self.width.bytes())?;
        let most = if self.width == Width::Four { FAT32_NUMBER } else { u32::MAX };
        let end = first.checked_add(count).filter(|end| *end <= most)?;
        // Nothing wraps below: `end` did not.
        let second = first.wrapping_add(1);
        let is_run = match self.width {
            Width::Two => {
                let entries = entries.as_chunks().0.iter();
                entries.zip(second..=end).all(|(entry, wanted)| u32::from(u16::from_le_bytes(*entry)) == wanted)
            }
            Width::Four => {
                // Sixteen at a time: a file of 1 GiB has a quarter of a million of them. Nothing is carried from one entry to the next.
                let (steps, rest) = entries.as_chunks::<64>();
                let mut wanted = u128::from(second).wrapping_mul(FOUR_TIMES).wrapping_add(FOUR_IN_A_ROW);
                let all = steps.iter().all(|step| {
                    let mut other = |four: &[u8; 16]| {
                        let other = u128::from_le_bytes(*four) ^ wanted;
                        wanted = wanted.wrapping_add(FOUR_TIMES.wrapping_mul(4));
                        other
                    };
                    let (fours, _) = step.as_chunks::<16>();
                    matches!(fours, [a, b, c, d] if (other(a) | other(b) | other(c) | other(d)) & FAT32_NUMBERS == 0)
                });
                let behind = end.wrapping_sub(u32::try_from(rest.len()).ok()?.wrapping_div(4)).wrapping_add(1);
                let rest = rest.as_chunks().0.iter();
                all && rest.zip(behind..=end).all(|(entry, wanted)| u32::from_le_bytes(*entry) & FAT32_NUMBER == wanted)
            }
        };
        is_run.then_some(end)
    }
}

impl Width {
    const fn bytes(self) -> u32 {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}
