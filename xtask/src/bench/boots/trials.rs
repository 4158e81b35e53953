// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is compared: one tree, from one disk, on one kernel, in different ways.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boot_record::config::Source;
use serde_json::Value;

use super::machine::{QUIET, Trial};
use super::mark;
use crate::cache::Cache;
use crate::call;
use crate::disk::vfat::{Format, Volume};
use crate::disk::{Candidate, Ddi, Disk, Medium, Partition, PartitionType};
use crate::qemu::{Config, IMAGE_ID, Parts};
use crate::tamper::Signer;
use crate::userspace::{self, FILE_TIME, Identity, Tree};

/// Where the mark lies in every tree.
const MARK: &str = "usr/lib/initoverlayfs/mark";
const INIT_IS_THE_MARK: &str = "init = /usr/lib/initoverlayfs/mark\n";
const VERSION: &str = "1";
/// What makes an image large, and is never read.
const PADDING: &str = "usr/lib/initoverlayfs/padding";
/// Bytes of a cluster where nothing else is said: what mkfs.vfat takes for an ESP of 512 MiB.
pub const CLUSTER: u64 = 4096;
/// Clusters from which on a volume is FAT32 (65525), and some more.
const FAT32_CLUSTERS: u64 = 66_000;

/// How this project boots an image.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Where the image lies.
    pub source: Source,
    /// With a writable layer.
    pub overlay: bool,
    /// Bytes of a cluster of the ESP.
    pub cluster: u64,
    /// Init: the mark, or the image's own.
    pub init: Init,
}

/// What is executed in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// The mark.
    Mark,
    /// The image's own.
    Own,
}

/// Makes the files of the trials in one folder.
pub struct Workshop<'a> {
    cache: &'a Cache,
    parts: &'a Parts,
    folder: &'a Path,
    mark: PathBuf,
}

impl<'a> Workshop<'a> {
    /// Builds what all trials need.
    ///
    /// # Errors
    /// The mark cannot be built.
    pub fn open(cache: &'a Cache, parts: &'a Parts, folder: &'a Path) -> Result<Self> {
        let mark = folder.join("mark");
        mark::build(&parts.tools, &mark)?;
        Ok(Self { cache, parts, folder, mark })
    }

    /// The tree of `make qemu`'s DDI, a Debian with systemd; its init in these trials is the mark.
    ///
    /// # Errors
    /// The packages cannot be had.
    pub fn tree(&self) -> Result<Tree> {
        self.marked(userspace::ddi(self.cache, &identity())?)
    }

    /// A small tree, made larger by so many bytes of noise that nobody reads.
    ///
    /// # Errors
    /// As [`Workshop::tree`].
    pub fn padded_tree(&self, padding: usize) -> Result<Tree> {
        let mut tree = self.small_tree(&self.mark)?;
        tree.file(PADDING, 0o644, noise(padding));
        self.marked(tree)
    }

    /// A small tree whose init is the boot tests' probe, and reports.
    ///
    /// # Errors
    /// The probe cannot be built.
    pub fn probe_tree(&self) -> Result<Tree> {
        self.small_tree(&self.parts.probe(self.cache)?)
    }

    /// As [`Workshop::tree`], an initrd, of one program.
    fn small_tree(&self, program: &Path) -> Result<Tree> {
        let mut tree = userspace::small_ddi(self.cache, program)?;
        identity().put_into(&mut tree);
        userspace::make_initrd(&mut tree);
        Ok(tree)
    }

    fn marked(&self, mut tree: Tree) -> Result<Tree> {
        tree.file(MARK, 0o755, std::fs::read(&self.mark).context("cannot read the mark")?);
        Ok(tree)
    }

    /// A DDI of a tree.
    ///
    /// # Errors
    /// `ddi build` fails.
    pub fn image(&self, tree: &Tree, name: &str) -> Result<Ddi> {
        let keys = self.parts.keys(self.cache, Signer::Development)?;
        self.parts.ddi.image(&self.parts.tools, tree, &keys, &self.folder.join(name).with_extension("raw"))
    }

    /// The floor: an initramfs that holds the mark and nothing else, beside the same disk.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn empty(&self, ddi: &Ddi) -> Result<Trial> {
        let init = self.folder.join("init");
        std::fs::copy(&self.mark, &init).context("cannot copy the mark")?;
        self.shell("printf 'init\\n' | cpio --quiet -o -H newc > empty.cpio", &[])?;
        Ok(trial("empty initramfs", Some(self.folder.join("empty.cpio")), &ddi.image))
    }

    /// The kernel's own way: the table of the same image on its command line, the image being the disk.
    ///
    /// # Errors
    /// `ddi inspect` fails.
    pub fn dm_init(&self, ddi: &Ddi) -> Result<Trial> {
        let facts = self.parts.ddi.inspect(&self.parts.tools, &ddi.image)?;
        let (Some(blocks), Some(salt)) = (
            facts.pointer("/verity/data_blocks").and_then(Value::as_u64),
            facts.pointer("/verity/salt").and_then(Value::as_str),
        ) else {
            bail!("ddi inspect --json does not say how the hash tree is made");
        };
        // Sectors of 512 bytes; the data in the DDI's second partition, the tree in its third, behind the superblock.
        let table = format!(
            "0 {} verity 1 /dev/vda2 /dev/vda3 4096 4096 {blocks} 1 sha256 {} {salt}",
            blocks * 8,
            ddi.root_hash
        );
        let mut trial = trial("dm-init", None, &ddi.image);
        trial.command_line =
            format!("dm-mod.create=\"root,,,ro,{table}\" root=/dev/dm-0 rootfstype=erofs ro init=/{MARK}");
        Ok(trial)
    }

    /// This project's way.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn ours(&self, name: &str, ddi: &Ddi, way: Way) -> Result<Trial> {
        let Way { source, overlay, cluster, init } = way;
        let more = match init {
            Init::Mark => INIT_IS_THE_MARK,
            Init::Own => "",
        };
        let config = Config { sources: vec![source], overlay, cmdline_allow: QUIET, more, ..Config::default() };
        let initramfs = self.folder.join(file_name(name)).with_extension("cpio");
        self.parts.write_initramfs(self.cache, &config, &initramfs)?;
        let candidate = format!("{IMAGE_ID}_{VERSION}");
        let disk = match source {
            Source::EspFile => {
                let esp = self.folder.join(file_name(name)).with_extension("esp");
                self.esp(&esp, ddi, &candidate, cluster)?;
                let partition = Partition { kind: PartitionType::Esp, label: "esp".into(), contents: Some(esp) };
                Disk { first: vec![partition], ..Disk::default() }
            }
            Source::Partition => {
                Disk { partitions: vec![Candidate { name: candidate, image: ddi.image.clone() }], ..Disk::default() }
            }
        };
        let path = self.folder.join(file_name(name)).with_extension("img");
        disk.write(&self.parts.tools, &path, Medium::default())?;
        Ok(trial(name, Some(initramfs), &path))
    }

    /// An ESP as they are in the field: FAT32, whatever the size of its clusters.
    fn esp(&self, path: &Path, ddi: &Ddi, candidate: &str, cluster: u64) -> Result<()> {
        let size = ddi.image.metadata()?.len() * 5 / 4 + FAT32_CLUSTERS * cluster;
        let format = Format { cluster: Some(cluster), ..Format::default() };
        let volume = Volume::make(&self.parts.tools, path, size.next_multiple_of(1 << 20), format)?;
        volume.make_folder("initoverlayfs")?;
        volume.copy_in(&ddi.image, &format!("initoverlayfs/{candidate}.raw"))
    }

    /// The tree as one compressed initrd, which the kernel unpacks into memory.
    ///
    /// # Errors
    /// A program of the tools root fails.
    pub fn initrd(&self, tree: &Tree, ddi: &Ddi, compressor: &[&str]) -> Result<Trial> {
        let Some(name) = compressor.first() else { bail!("no compressor") };
        let tar = self.folder.join("initrd.tar");
        let initrd = self.folder.join(format!("cpio.{name}"));
        tree.write_tar(&tar, FILE_TIME)?;
        // cpio(1) takes files, not archives. /init is what the kernel looks for.
        let script = r#"set -eu; rm -rf tree; mkdir tree; tar -xf initrd.tar -C tree; cd tree; ln -s sbin/init init
            find . | LC_ALL=C sort | cpio --quiet -o -H newc | "$@" > ../OUT"#
            .replace("OUT", &format!("cpio.{name}"));
        self.shell(&script, compressor)?;
        let mut trial = trial(&format!("cpio.{name}"), Some(initrd), &ddi.image);
        trial.command_line = format!("rdinit=/{MARK}");
        Ok(trial)
    }

    /// Runs a script of the tools root in the folder.
    fn shell(&self, script: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.parts.tools.command_in(self.folder, "sh", &[])?;
        call::run(script, command.args(["-c", script, "sh"]).args(arguments))
    }
}

fn trial(name: &str, initramfs: Option<PathBuf>, disk: &Path) -> Trial {
    Trial { name: name.to_owned(), initramfs, disk: disk.to_owned(), command_line: String::new() }
}

fn identity() -> Identity {
    Identity { image_id: IMAGE_ID.into(), version: VERSION.into(), epoch: 1 }
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Bytes that no compressor shrinks: xorshift64, Marsaglia 2003.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size.next_multiple_of(8));
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
