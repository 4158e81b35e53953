// SPDX-License-Identifier: MIT OR Apache-2.0
//! FAT volumes in a file, made by mkfs.vfat or mtools' mformat and filled by mtools, without mounting anything.
//!
//! See mkfs.fat(8), mformat(1), mshowfat(1), and the FAT specification for the two bytes that are changed by hand.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{MIB, make_sparse};
use crate::call;
use crate::tools::Tools;

/// Clusters from which on a volume of 512-byte clusters can be FAT32 (65525), with its tables, in bytes; below, mkfs.vfat
/// decides.
const FAT32_FROM: u64 = 36 * MIB;
/// Where a volume says that it was not unmounted, in its first sector: the lowest bit of this byte.
const STATE_16: u64 = 0x25;
const STATE_32: u64 = 0x41;

/// Whose mkfs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maker {
    /// mkfs.vfat of dosfstools.
    #[default]
    Dosfstools,
    /// mformat of mtools.
    Mtools,
}

/// Bits of an entry of the file allocation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fat {
    /// FAT12, up to 4084 clusters.
    Twelve,
    /// FAT16, up to 65524 clusters.
    Sixteen,
    /// FAT32.
    ThirtyTwo,
}

impl Fat {
    const fn bits(self) -> &'static str {
        match self {
            Self::Twelve => "12",
            Self::Sixteen => "16",
            Self::ThirtyTwo => "32",
        }
    }
}

/// How a volume is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// By whom.
    pub maker: Maker,
    /// The kind; `None`: the maker decides. mformat tells FAT12 from FAT16 by itself.
    pub fat: Option<Fat>,
    /// Bytes of a cluster; `None`: the maker decides.
    pub cluster: Option<u64>,
    /// Bytes of a logical sector.
    pub sector: u64,
}

impl Default for Format {
    fn default() -> Self {
        Self { maker: Maker::default(), fat: None, cluster: None, sector: 512 }
    }
}

/// A volume in a file of the cache.
pub struct Volume<'a> {
    tools: &'a Tools,
    image: PathBuf,
}

impl<'a> Volume<'a> {
    /// Formats a new file of `size` bytes.
    ///
    /// # Errors
    /// The program refuses the combination, or the file cannot be written.
    pub fn make(tools: &'a Tools, image: &Path, size: u64, format: Format) -> Result<Self> {
        make_sparse(image, size)?;
        match format.maker {
            Maker::Dosfstools => {
                let mut mkfs = tools.command("mkfs.vfat", &[image])?;
                mkfs.args(["--invariant", "-n", "ESP", "-S", &format.sector.to_string()]);
                let large = size >= FAT32_FROM * (format.sector / 512);
                if let Some(fat) = format.fat.or(large.then_some(Fat::ThirtyTwo)) {
                    mkfs.args(["-F", fat.bits()]);
                }
                if let Some(cluster) = format.cluster {
                    mkfs.args(["-s", &(cluster / format.sector).to_string()]);
                }
                call::run("mkfs.vfat", mkfs.arg(image))?;
            }
            Maker::Mtools => {
                let mut mformat = tools.command("mformat", &[image])?;
                mformat.arg("-i").arg(image).args(["-v", "ESP", "-N", "1234abcd", "-T", &(size / 512).to_string()]);
                mformat.args(["-h", "16", "-s", "63"]);
                if format.fat == Some(Fat::ThirtyTwo) {
                    mformat.arg("-F");
                }
                if let Some(cluster) = format.cluster {
                    mformat.args(["-c", &(cluster / format.sector).to_string()]);
                }
                call::run("mformat", mformat.arg("::"))?;
            }
        }
        Ok(Self { tools, image: image.to_owned() })
    }

    /// The file.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// It is there, or its parent is not.
    pub fn make_folder(&self, path: &str) -> Result<()> {
        call::run("mmd", self.mtool("mmd", &[])?.arg(format!("::{path}")))
    }

    /// Copies a file of the host in.
    ///
    /// # Errors
    /// There is no room.
    pub fn copy_in(&self, file: &Path, path: &str) -> Result<()> {
        call::run("mcopy", self.mtool("mcopy", &[file])?.arg(file).arg(format!("::{path}")))
    }

    /// Copies all files of a folder of the host into a folder.
    ///
    /// # Errors
    /// There is no room.
    pub fn copy_all_in(&self, folder: &Path, path: &str) -> Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            files.push(entry?.path());
        }
        files.sort();
        call::run("mcopy", self.mtool("mcopy", &[folder])?.args(&files).arg(format!("::{path}")))
    }

    /// Deletes files of one folder.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn delete(&self, paths: &[String]) -> Result<()> {
        call::run("mdel", self.mtool("mdel", &[])?.args(paths.iter().map(|path| format!("::{path}"))))
    }

    /// How many runs of clusters a file consists of.
    ///
    /// # Errors
    /// It is not there.
    pub fn fragments(&self, path: &str) -> Result<usize> {
        let text = call::output("mshowfat", self.mtool("mshowfat", &[])?.arg(format!("::{path}")))?;
        // ::PATH <3-186> <200>
        Ok(text.iter().filter(|&&byte| byte == b'<').count())
    }

    /// Marks the volume as one that was not unmounted.
    ///
    /// # Errors
    /// The file cannot be written, or is no FAT volume.
    pub fn mark_dirty(&self) -> Result<()> {
        let file = File::options().read(true).write(true).open(&self.image)?;
        let mut sector = [0; 512];
        file.read_exact_at(&mut sector, 0)?;
        // Sectors of a FAT in 16 bits: 0 in FAT32, which has a larger field.
        let at = match sector.get(22..24) {
            Some([0, 0]) => STATE_32,
            Some(_) => STATE_16,
            None => bail!("no first sector"),
        };
        Ok(file.write_all_at(&[1], at)?)
    }

    /// Zeroes the entries from cluster `first` on in both tables of a FAT16 volume: chains that lead there end in nothing.
    ///
    /// # Errors
    /// The file cannot be written, or is no FAT16 volume.
    pub fn lose_clusters_from(&self, first: u64) -> Result<()> {
        let file = File::options().read(true).write(true).open(&self.image)?;
        let mut sector = [0; 512];
        file.read_exact_at(&mut sector, 0)?;
        let field = |at: usize| sector.get(at..at + 2).and_then(|field| field.try_into().ok()).map(u16::from_le_bytes);
        // Bytes of a sector, sectors before the first table, sectors of a table.
        let (Some(bytes), Some(reserved), Some(table)) = (field(11), field(14), field(22)) else {
            bail!("no first sector")
        };
        let (bytes, reserved, table) = (u64::from(bytes), u64::from(reserved), u64::from(table));
        let skipped = first * 2;
        ensure!(skipped < table * bytes, "{} is no FAT16 volume with {first} clusters", self.image.display());
        let zeros = vec![0; usize::try_from(table * bytes - skipped)?];
        for start in [reserved, reserved + table] {
            file.write_all_at(&zeros, start * bytes + skipped)?;
        }
        Ok(())
    }

    fn mtool(&self, program: &str, paths: &[&Path]) -> Result<std::process::Command> {
        let mut visible = vec![self.image.as_path()];
        visible.extend(paths);
        let mut command = self.tools.command(program, &visible)?;
        command.arg("-i").arg(&self.image);
        Ok(command)
    }
}
