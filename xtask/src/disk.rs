// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disk images for QEMU: GPT, ESP with DDI files, DDI partitions, the real root.
//!
//! * The table is written by sfdisk, the ESP by mkfs.vfat and mtools: not by the code that later reads them.
//! * Sparse: blocks of zeros take no space and no time.
//! * All of it is made without privileges; nothing is mounted.

mod ddi;
mod initramfs;
mod table;
pub mod vfat;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::call;
use crate::tools::Tools;
use crate::userspace::{FILE_TIME, Tree};

pub use ddi::{Ddi, DdiProgram};
pub use initramfs::{Initramfs, InitramfsProgram, extract, put_over};
pub use table::{TableForm, partition_guid};
use vfat::{Format, Volume};

/// The label by which sysroot.mount inside the DDI finds the real root.
pub const ROOT_LABEL: &str = "rootfs";
/// The UUID of its file system.
pub const ROOT_UUID: &str = "6f3c2f4e-8d52-4c0e-9f43-3d5a0c1b7e11";
/// Folder of DDI files on the ESP.
pub const ESP_FOLDER: &str = "initoverlayfs";

const MIB: u64 = 1 << 20;
/// Room on an ESP besides its files: two FATs, folders, and space for one more small file.
const ESP_RESERVE: u64 = 2 * MIB;

/// One DDI and the name that it is offered under.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// `NAME_VERSION`: on the ESP with `.raw`, in a partition as its label.
    pub name: String,
    /// The image.
    pub image: PathBuf,
}

/// What kind of medium an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Bytes of a logical sector, the unit of the partition table: 512 or 4096.
    pub sector_size: u64,
    /// Bytes of the image that come before the disk: an eMMC's boot partitions.
    pub before: u64,
    /// True: the disk's size is a power of two.
    pub power_of_two: bool,
}

impl Default for Medium {
    fn default() -> Self {
        Self { sector_size: 512, before: 0, power_of_two: false }
    }
}

/// What is on a disk, in the order it lies there.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What lies in an eMMC's first boot partition: an image of at most that size.
    pub boot_partition: Option<PathBuf>,
    /// Partitions before all others.
    pub first: Vec<Partition>,
    /// DDI files on the ESP; `None`: there is no ESP.
    pub esp: Option<Vec<Candidate>>,
    /// Further files on the ESP: paths below its root, and where they are. There has to be an ESP.
    pub esp_files: Vec<(String, PathBuf)>,
    /// DDIs written straight into partitions.
    pub partitions: Vec<Candidate>,
    /// An ext4 image for the real root.
    pub root: Option<PathBuf>,
    /// How the partition table is written.
    pub table: TableForm,
    /// Number of partitions that other disks of the machine have, and none of this one's shares its GUID with.
    pub partitions_elsewhere: usize,
}

/// A partition to be made.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its type.
    pub kind: PartitionType,
    /// Its label.
    pub label: String,
    /// What goes into it; `None`: a mebibyte of zeros.
    pub contents: Option<PathBuf>,
}

/// The partition types there are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionType {
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition.
    Xbootldr,
    /// A whole DDI (docs/formats.md).
    Ddi,
    /// The real root.
    Root,
    /// Data of no interest.
    Data,
}

impl PartitionType {
    /// Of the Discoverable Partitions Specification, our own, or Linux' for data.
    const fn guid(self) -> &'static str {
        match self {
            Self::Esp => "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
            Self::Xbootldr => "bc13c2ff-59e6-4262-a352-b275fd6f7172",
            Self::Ddi => "5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27",
            Self::Root => "b921b045-1df0-41c3-af44-4c6f280d3fae",
            Self::Data => "0fc63daf-8483-4772-8e79-3d69d8477de4",
        }
    }
}

impl Disk {
    /// Number of the real root's partition, were it there.
    pub fn root_number(&self) -> usize {
        self.first.len() + usize::from(self.esp.is_some()) + self.partitions.len() + 1
    }

    /// Writes the image to `path`, in a folder of the cache.
    ///
    /// # Errors
    /// An image of [`Disk`] cannot be read or has no room, or one of the tools fails.
    pub fn write(&self, tools: &Tools, path: &Path, medium: Medium) -> Result<()> {
        let mut partitions = self.first.clone();
        let esp = path.with_extension("esp");
        if let Some(files) = &self.esp {
            write_esp(tools, files, &self.esp_files, &esp, medium)?;
            partitions.push(Partition::of(PartitionType::Esp, "esp", &esp));
        }
        let ddis = self.partitions.iter();
        partitions.extend(ddis.map(|ddi| Partition::of(PartitionType::Ddi, &ddi.name, &ddi.image)));
        partitions.extend(self.root.iter().map(|root| Partition::of(PartitionType::Root, ROOT_LABEL, root)));
        let partitions: Vec<(Partition, u64)> = partitions
            .into_iter()
            .map(|partition| partition.size().map(|size| (partition, size)))
            .collect::<Result<_>>()?;

        // 1 MiB before the first partition for the table, 1 MiB after the last for its backup.
        let used = 2 * MIB + partitions.iter().map(|(_, size)| size).sum::<u64>();
        let size = if medium.power_of_two { used.next_power_of_two() } else { used };
        make_sparse(path, size)?;
        let (script, starts) = table::script(&partitions, self.partitions_elsewhere + 1, medium.sector_size);
        let mut sfdisk = tools.command("sfdisk", &[path])?;
        sfdisk.args(["--quiet", "--sector-size", &medium.sector_size.to_string()]);
        call::feed("sfdisk", sfdisk.arg(path), &script)?;
        self.table.apply(path, medium.sector_size)?;
        for ((partition, _), start) in partitions.iter().zip(starts) {
            if let Some(contents) = &partition.contents {
                copy_sparse(contents, path, start)?;
            }
        }
        if self.esp.is_some() {
            std::fs::remove_file(&esp).with_context(|| format!("cannot remove {}", esp.display()))?;
        }
        if medium.before > 0 { self.put_behind_boot_partitions(path, medium.before, size) } else { Ok(()) }
    }

    /// Makes room for an eMMC's boot partitions at the front of the image.
    fn put_behind_boot_partitions(&self, path: &Path, before: u64, size: u64) -> Result<()> {
        let user_area = path.with_extension("user-area");
        std::fs::rename(path, &user_area).with_context(|| format!("cannot rename {}", path.display()))?;
        make_sparse(path, before + size)?;
        if let Some(contents) = &self.boot_partition {
            ensure!(file_size(contents)? <= before / 2, "{} is too large for a boot partition", contents.display());
            copy_sparse(contents, path, 0)?;
        }
        copy_sparse(&user_area, path, before)?;
        std::fs::remove_file(&user_area).with_context(|| format!("cannot remove {}", user_area.display()))
    }
}

impl Partition {
    fn of(kind: PartitionType, label: &str, contents: &Path) -> Self {
        Self { kind, label: label.to_owned(), contents: Some(contents.to_owned()) }
    }

    /// Its size on the disk, in bytes.
    fn size(&self) -> Result<u64> {
        self.contents.as_deref().map_or(Ok(MIB), |contents| Ok(file_size(contents)?.next_multiple_of(MIB)))
    }
}

fn write_esp(
    tools: &Tools,
    files: &[Candidate],
    others: &[(String, PathBuf)],
    image: &Path,
    medium: Medium,
) -> Result<()> {
    let images = files.iter().map(|file| &file.image).chain(others.iter().map(|(_, file)| file));
    let contents = images.map(|image| file_size(image)).sum::<Result<u64>>()?;
    // A hundredth for the FATs of 512-byte clusters.
    let size = (contents + contents / 50 + ESP_RESERVE).next_multiple_of(MIB);
    let volume = Volume::make(tools, image, size, Format { sector: medium.sector_size, ..Format::default() })?;
    let mut folders = BTreeSet::from([ESP_FOLDER]);
    for (path, _) in others {
        folders.extend(path.match_indices('/').map(|(end, _)| path.split_at(end).0));
    }
    folders.iter().try_for_each(|folder| volume.make_folder(folder))?;
    for file in files {
        volume.copy_in(&file.image, &format!("{ESP_FOLDER}/{}.raw", file.name))?;
    }
    others.iter().try_for_each(|(path, file)| volume.copy_in(file, path))
}

/// Makes an ext4 image of a tree: the same tree gives the same bytes.
///
/// # Errors
/// The image cannot be written.
pub fn write_root(tools: &Tools, tree: &Tree, image: &Path, size: u64) -> Result<()> {
    let tar = image.with_extension("tar");
    tree.write_tar(&tar, FILE_TIME)?;
    make_sparse(image, size)?;
    let mut mke2fs = tools.command("mke2fs", &[image, &tar])?;
    mke2fs.env("SOURCE_DATE_EPOCH", FILE_TIME.to_string());
    // Blocks that a disk with sectors of 4096 bytes can be read in.
    mke2fs.args(["-q", "-t", "ext4", "-b", "4096", "-L", ROOT_LABEL, "-U"]);
    // Any fixed UUIDs do: derived ones would say nothing more.
    mke2fs.args([ROOT_UUID, "-E"]);
    mke2fs.arg("hash_seed=6f3c2f4e-8d52-4c0e-9f43-3d5a0c1b7e12,root_owner=0:0").arg("-d").arg(&tar).arg(image);
    call::run("mke2fs", &mut mke2fs)?;
    std::fs::remove_file(&tar).with_context(|| format!("cannot remove {}", tar.display()))
}

fn make_sparse(path: &Path, size: u64) -> Result<()> {
    File::create(path)
        .and_then(|file| file.set_len(size))
        .with_context(|| format!("cannot make {} with {size} bytes", path.display()))
}

fn file_size(path: &Path) -> Result<u64> {
    Ok(path.metadata().with_context(|| format!("cannot find {}", path.display()))?.len())
}

/// Copies `from` to the byte `start` of `to`, which has only zeros there: holes and blocks of zeros are skipped.
fn copy_sparse(from: &Path, to: &Path, start: u64) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        let mut source = File::open(from)?;
        let target = File::options().write(true).open(to)?;
        let mut buffer = vec![0; 1 << 16];
        let mut position = 0;
        loop {
            position = match rustix::fs::seek(&source, SeekFrom::Data(position)) {
                Ok(data) => data,
                // No data behind this.
                Err(Errno::NXIO) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            };
            let count = source.read(&mut buffer)?;
            let chunk = buffer.get(..count).unwrap_or_default();
            if chunk.iter().any(|&byte| byte != 0) {
                target.write_all_at(chunk, start + position)?;
            }
            position += count as u64;
        }
    };
    copy().with_context(|| format!("cannot copy {} into {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_sparse_copy_is_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        let mut contents = vec![0; 200_000];
        contents[150_000] = 7;
        std::fs::write(&from, &contents).unwrap();
        make_sparse(&to, 1 << 20).unwrap();
        copy_sparse(&from, &to, 4096).unwrap();
        assert_eq!(std::fs::read(&to).unwrap()[4096..][..contents.len()], contents);
    }
}
