// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition tables: the usual one by sfdisk, and the unusual ones by changes of its bytes.
//!
//! See UEFI 2.10, section 5.3, and block/partitions/efi.c in the kernel's source.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::{MIB, Partition};

/// Fields of the header: offset and size in bytes.
const HEADER_SIZE: usize = 92;
const HEADER_CRC: usize = 16;
const ENTRIES_LBA: usize = 72;
const ENTRY_SIZE: usize = 84;
const ENTRIES_CRC: usize = 88;
/// Bytes of sfdisk's array: 128 entries of 128 bytes.
const ENTRIES: usize = 128 * 128;
const USUAL_ENTRY: usize = 128;
/// Where a moved array lies, in bytes: behind the usual one, before the first partition.
const MOVED: u64 = 512 << 10;

/// How a partition table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableForm {
    /// As sfdisk writes it.
    #[default]
    Usual,
    /// The primary header is damaged, its backup is not.
    BadPrimary,
    /// Both headers are damaged.
    BadBoth,
    /// The first sector, the protective MBR, is zeros.
    NoProtectiveMbr,
    /// The primary entry array lies elsewhere than behind the header.
    EntriesElsewhere,
    /// The primary table's entries have 256 bytes, as the specification allows.
    LargeEntries,
}

/// The GUID of the partition of this number, which counts from 1.
#[must_use]
pub fn partition_guid(number: usize) -> String {
    format!("6f3c2f4e-8d52-4c0e-9f43-{number:012x}")
}

/// The sfdisk script for partitions with their sizes, and where each starts, in bytes. The first one has the GUID of number `first`.
pub(super) fn script(partitions: &[(Partition, u64)], first: usize, sector: u64) -> (String, Vec<u64>) {
    let mut script = String::from("label: gpt\n");
    let mut starts = Vec::new();
    let mut start = MIB;
    for (number, (Partition { kind, label, .. }, size)) in (first..).zip(partitions) {
        let (start_sector, count) = (start / sector, size / sector);
        let (kind, guid) = (kind.guid(), partition_guid(number));
        script.push_str(&format!("start={start_sector}, size={count}, type={kind}, uuid={guid}, name=\"{label}\"\n"));
        starts.push(start);
        start += size;
    }
    (script, starts)
}

impl TableForm {
    /// Changes the table that sfdisk wrote.
    pub(super) fn apply(self, disk: &Path, sector: u64) -> Result<()> {
        let file = File::options().read(true).write(true).open(disk)?;
        // The first byte of a header's signature.
        let damage = |lba| file.write_all_at(b"e", lba * sector);
        let last = file.metadata()?.len() / sector - 1;
        match self {
            Self::Usual => Ok(()),
            Self::BadPrimary => Ok(damage(1)?),
            Self::BadBoth => Ok(damage(1).and_then(|()| damage(last))?),
            Self::NoProtectiveMbr => Ok(file.write_all_at(&[0; 512], 0)?),
            Self::EntriesElsewhere => Primary::read(&file, sector)?.write(MOVED / sector, USUAL_ENTRY),
            Self::LargeEntries => Primary::read(&file, sector)?.write(2, 2 * USUAL_ENTRY),
        }
        .with_context(|| format!("cannot change the partition table of {}", disk.display()))
    }
}

/// The primary table as sfdisk wrote it.
struct Primary<'a> {
    file: &'a File,
    sector: u64,
    header: [u8; HEADER_SIZE],
    entries: Vec<u8>,
}

impl<'a> Primary<'a> {
    fn read(file: &'a File, sector: u64) -> Result<Self> {
        let mut table = Self { file, sector, header: [0; HEADER_SIZE], entries: vec![0; ENTRIES] };
        file.read_exact_at(&mut table.header, sector)?;
        file.read_exact_at(&mut table.entries, 2 * sector)?;
        Ok(table)
    }

    /// Writes it back with its array at `entries_lba`, in entries of `entry_size` bytes; the usual place is zeroed first.
    fn write(mut self, entries_lba: u64, entry_size: usize) -> Result<()> {
        self.file.write_all_at(&vec![0; ENTRIES], 2 * self.sector)?;
        let mut entries = Vec::new();
        for entry in self.entries.chunks(USUAL_ENTRY) {
            entries.extend_from_slice(entry);
            entries.resize(entries.len().next_multiple_of(entry_size), 0);
        }
        self.file.write_all_at(&entries, entries_lba * self.sector)?;
        self.set(ENTRIES_LBA, &entries_lba.to_le_bytes())?;
        self.set(ENTRY_SIZE, &u32::try_from(entry_size)?.to_le_bytes())?;
        self.set(ENTRIES_CRC, &crc(&entries))?;
        self.set(HEADER_CRC, &[0; 4])?;
        let header_crc = crc(&self.header);
        self.set(HEADER_CRC, &header_crc)?;
        Ok(self.file.write_all_at(&self.header, self.sector)?)
    }

    fn set(&mut self, offset: usize, value: &[u8]) -> Result<()> {
        let field = self.header.get_mut(offset..offset + value.len()).context("a field beyond the header")?;
        field.copy_from_slice(value);
        Ok(())
    }
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::PartitionType;
    use super::*;

    #[test]
    fn partitions_follow_each_other_from_the_first_mebibyte() {
        let partition = |label: &str| Partition { kind: PartitionType::Ddi, label: label.into(), contents: None };
        let partitions = [(partition("a_1"), 2 * MIB), (partition("b_2"), MIB)];
        for (number, sector, lines) in [
            (1, 512, ["start=2048, size=4096", "start=6144, size=2048"]),
            (4, 4096, ["start=256, size=512", "start=768, size=256"]),
        ] {
            let (script, starts) = script(&partitions, number, sector);
            assert_eq!(starts, [MIB, 3 * MIB]);
            let rest = |number, label| {
                let uuid = format!("6f3c2f4e-8d52-4c0e-9f43-00000000000{number}");
                format!("type=5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27, uuid={uuid}, name=\"{label}\"")
            };
            let [first, second] = lines;
            assert_eq!(
                script,
                format!("label: gpt\n{first}, {}\n{second}, {}\n", rest(number, "a_1"), rest(number + 1, "b_2"))
            );
        }
    }
}
