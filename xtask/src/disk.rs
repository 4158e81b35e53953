// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disk images for QEMU: GPT, ESP with DDI files, DDI partitions, the real root.
//!
//! * The table is written by sfdisk, the ESP by mkfs.vfat and mcopy: not by the code that later reads them.
//! * Sparse: blocks of zeros take no space and no time.
//! * All of it is made without privileges; nothing is mounted.

mod ddi;
mod initramfs;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools::Tools;
use crate::userspace::{FILE_TIME, Tree};

pub use ddi::{Ddi, DdiProgram};
pub use initramfs::Initramfs;

/// Type of a partition that holds a whole DDI (docs/formats.md).
const TYPE_DDI: &str = "5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27";
/// Types of the Discoverable Partitions Specification.
const TYPE_ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const TYPE_ROOT_ARM64: &str = "b921b045-1df0-41c3-af44-4c6f280d3fae";
/// The label by which sysroot.mount inside the DDI finds the real root.
const ROOT_LABEL: &str = "rootfs";
/// Folder of DDI files on the ESP.
const ESP_FOLDER: &str = "initoverlayfs";

const MIB: u64 = 1 << 20;
/// Unit of start and size in the sfdisk script, and logical sector size of the image.
const SECTOR: u64 = 512;
/// Room on an ESP besides its files: two FATs, folders, and space for one more small file.
const ESP_RESERVE: u64 = 2 * MIB;
/// From this size on FAT32 has enough clusters to be one (65525 of 512 bytes); below, mkfs.vfat decides.
const FAT32_FROM: u64 = 36 * MIB;

/// One DDI and the name that it is offered under.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// `NAME_VERSION`: on the ESP with `.raw`, in a partition as its label.
    pub name: String,
    /// The image.
    pub image: PathBuf,
}

/// What is on a disk, in the order it lies there.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// DDI files on the ESP; `None`: there is no ESP.
    pub esp: Option<Vec<Candidate>>,
    /// DDIs written straight into partitions.
    pub partitions: Vec<Candidate>,
    /// An ext4 image for the real root.
    pub root: Option<PathBuf>,
    /// True: the primary header of the partition table is damaged, its backup is not.
    pub bad_primary_table: bool,
}

/// A partition to be made.
struct Part {
    type_guid: &'static str,
    label: String,
    /// What goes into it.
    contents: PathBuf,
    size: u64,
}

impl Disk {
    /// Number of the real root's partition, were it there.
    pub fn root_number(&self) -> usize {
        usize::from(self.esp.is_some()) + self.partitions.len() + 1
    }

    /// Writes the image to `path`, in a folder of the cache.
    ///
    /// # Errors
    /// An image of [`Disk`] cannot be read, or one of the tools fails.
    pub fn write(&self, tools: &Tools, path: &Path) -> Result<()> {
        let mut parts = Vec::new();
        if let Some(files) = &self.esp {
            let image = path.with_extension("esp");
            write_esp(tools, files, &image)?;
            parts.push(Part::new(TYPE_ESP, "esp", &image)?);
        }
        for candidate in &self.partitions {
            parts.push(Part::new(TYPE_DDI, &candidate.name, &candidate.image)?);
        }
        if let Some(root) = &self.root {
            parts.push(Part::new(TYPE_ROOT_ARM64, ROOT_LABEL, root)?);
        }
        // 1 MiB before the first partition for the table, 1 MiB after the last for its backup.
        let size = 2 * MIB + parts.iter().map(|part| part.size).sum::<u64>();
        make_sparse(path, size)?;
        let (script, starts) = script(&parts);
        let mut sfdisk = tools.command("sfdisk", &[path])?;
        feed(sfdisk.arg("--quiet").arg(path), &script)?;
        for (part, start) in parts.iter().zip(starts) {
            copy_sparse(&part.contents, path, start)?;
        }
        if self.bad_primary_table {
            // The first byte of its signature.
            File::options().write(true).open(path)?.write_all_at(b"e", SECTOR)?;
        }
        if self.esp.is_some() {
            let image = path.with_extension("esp");
            std::fs::remove_file(&image).with_context(|| format!("cannot remove {}", image.display()))?;
        }
        Ok(())
    }
}

impl Part {
    fn new(type_guid: &'static str, label: &str, contents: &Path) -> Result<Self> {
        let size = file_size(contents)?.next_multiple_of(MIB);
        Ok(Self { type_guid, label: label.to_owned(), contents: contents.to_owned(), size })
    }
}

/// The sfdisk script, and where each partition starts, in bytes.
fn script(parts: &[Part]) -> (String, Vec<u64>) {
    let mut script = String::from("label: gpt\n");
    let mut starts = Vec::new();
    let mut start = MIB;
    for Part { type_guid, label, size, .. } in parts {
        let line = format!("start={}, size={}, type={type_guid}, name=\"{label}\"\n", start / SECTOR, size / SECTOR);
        script.push_str(&line);
        starts.push(start);
        start += size;
    }
    (script, starts)
}

fn write_esp(tools: &Tools, files: &[Candidate], image: &Path) -> Result<()> {
    let contents = files.iter().map(|file| file_size(&file.image)).sum::<Result<u64>>()?;
    // A hundredth for the FATs of 512-byte clusters.
    let size = (contents + contents / 50 + ESP_RESERVE).next_multiple_of(MIB);
    make_sparse(image, size)?;
    let mut mkfs = tools.command("mkfs.vfat", &[image])?;
    mkfs.args(["--invariant", "-n", "ESP"]);
    if size >= FAT32_FROM {
        mkfs.args(["-F", "32"]);
    }
    run(mkfs.arg(image))?;
    run(tools.command("mmd", &[image])?.arg("-i").arg(image).arg(format!("::{ESP_FOLDER}")))?;
    for file in files {
        let mut mcopy = tools.command("mcopy", &[image, &file.image])?;
        run(mcopy.arg("-i").arg(image).arg(&file.image).arg(format!("::{ESP_FOLDER}/{}.raw", file.name)))?;
    }
    Ok(())
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
    mke2fs.env("SOURCE_DATE_EPOCH", FILE_TIME.to_string()).args(["-q", "-t", "ext4", "-L", ROOT_LABEL, "-U"]);
    // Any fixed UUIDs do: derived ones would say nothing more.
    mke2fs.args(["6f3c2f4e-8d52-4c0e-9f43-3d5a0c1b7e11", "-E"]);
    mke2fs.arg("hash_seed=6f3c2f4e-8d52-4c0e-9f43-3d5a0c1b7e12,root_owner=0:0").arg("-d").arg(&tar).arg(image);
    run(&mut mke2fs)?;
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

/// Copies `from` to the byte `start` of `to`, which has only zeros there: zeros are skipped.
fn copy_sparse(from: &Path, to: &Path, start: u64) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = File::options().write(true).open(to)?;
        let mut buffer = vec![0; 1 << 16];
        let mut position = start;
        loop {
            let count = source.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { return Ok(()) };
            if chunk.iter().any(|&byte| byte != 0) {
                target.seek(SeekFrom::Start(position))?;
                target.write_all(chunk)?;
            }
            position += count as u64;
        }
    };
    copy().with_context(|| format!("cannot copy {} into {}", from.display(), to.display()))
}

/// Runs a tool that prints nothing when all is well; what it does print becomes the error.
fn run(command: &mut Command) -> Result<()> {
    feed(command, "")
}

/// As [`run`], with text on standard input.
fn feed(command: &mut Command, input: &str) -> Result<()> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that ends without reading says why on standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn partitions_follow_each_other_from_the_first_mebibyte() {
        let part =
            |label: &str, size| Part { type_guid: TYPE_DDI, label: label.into(), contents: PathBuf::new(), size };
        let (script, starts) = script(&[part("a_1", 2 * MIB), part("b_2", MIB)]);
        assert_eq!(starts, [MIB, 3 * MIB]);
        assert_eq!(
            script,
            "label: gpt\n\
             start=2048, size=4096, type=5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27, name=\"a_1\"\n\
             start=6144, size=2048, type=5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27, name=\"b_2\"\n"
        );
    }

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
