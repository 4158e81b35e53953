// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeds: the texts of `fuzz/seeds`, and pieces of real files, cut to the form that each target takes.
//!
//! The files come from `fuzz/make-seeds`. A piece that is not where it belongs is an error, not one seed less.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use boot_formats::dps::{ROOT_ARM64, ROOT_ARM64_VERITY, ROOT_ARM64_VERITY_SIG};
use boot_formats::gpt::{self, Geometry, Table, Which};
use boot_formats::{ByteRange, bytes, ddi, signature_json, vfat};
use boot_record::boot_json::{BootRecord, FORMAT, Measurement, Refusal, SignerRecord, StageRecord};
use boot_record::config::{SignaturePath, Source};
use boot_record::reason::Reason;
use boot_record::stage::Stage;

use crate::cache::Cache;
use crate::call;
use crate::disk::DdiProgram;
use crate::keys;
use crate::repository;
use crate::tools::Tools;

/// Flags of the target `gpt`.
const LARGE_SECTORS: u8 = 1;
const BACKUP: u8 = 2;
const REPAIR: u8 = 4;

/// Signatures of `make-seeds` that bear the name of their key; the others are by the RSA key.
const ELLIPTIC: [&str; 2] = ["p256", "p384"];

/// Makes `folder/TARGET/NAME` for every target.
///
/// # Errors
/// A tool fails, or a file is not what it should be.
pub fn make(cache: &Cache, tools: &Tools, folder: &Path) -> Result<()> {
    let seeds = Seeds { folder };
    seeds.copy_texts(&repository::root().join("fuzz/seeds"))?;
    seeds.put("boot_json", "record", &record()?)?;
    let files = folder.with_file_name("files");
    run_tools(cache, tools, &files)?;
    let mut images = 0;
    for path in entries(&files)? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let read = || fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("img") => {
                images += 1;
                seeds.of_image(&name, &read()?).with_context(|| format!("seeds of {}", path.display()))?;
            }
            Some("verity") => seeds.put("verity", &name, &superblock(1 << 40, 1 << 32, &read()?))?,
            Some("luks2") => seeds.put("luks2", &name, &luks2(&read()?)?)?,
            Some("fat") => seeds.of_volume(&name, &read()?)?,
            Some("p7") => {
                seeds.put_both("pkcs7", &name, &read()?)?;
                let signer = if ELLIPTIC.contains(&name.as_str()) { name.as_str() } else { "rsa" };
                let certificate = files.join(signer).with_extension("crt");
                let seed = signature(&read()?, &fs::read(&certificate)?, &fs::read(files.join("root-hash"))?)?;
                seeds.put("signature_check", &name, &seed)?;
            }
            Some("crt") => seeds.put_both("x509", &name, &read()?)?,
            _ => {}
        }
    }
    ensure!(images == 5, "{images} images of five");
    Ok(())
}

/// Runs `fuzz/make-seeds` in `files`.
fn run_tools(cache: &Cache, tools: &Tools, files: &Path) -> Result<()> {
    fs::create_dir_all(files)?;
    let keys = keys::development(cache, tools)?;
    let program = DdiProgram::build()?;
    let script = repository::root().join("fuzz/make-seeds");
    let paths = [script.as_path(), program.path(), &keys.key_pem, &keys.certificate_pem];
    let mut command = tools.command_in(files, "sh", &paths)?;
    command.arg(&script).arg(program.path()).arg(&keys.key_pem).arg(&keys.certificate_pem);
    call::run("fuzz/make-seeds", &mut command)
}

/// The files and folders of a folder, by name: seeds are the same in the same order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

struct Seeds<'a> {
    folder: &'a Path,
}

impl Seeds<'_> {
    fn put(&self, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// As a seed of its own format and of DER.
    fn put_both(&self, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(target, name, bytes)?;
        self.put("der", &format!("{target}-{name}"), bytes)
    }

    fn copy_texts(&self, texts: &Path) -> Result<()> {
        for target in entries(texts)? {
            let Some(target_name) = target.file_name().and_then(|name| name.to_str()) else { continue };
            for path in entries(&target)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                self.put(target_name, name, &text)?;
                if target_name == "uevent" {
                    // The kernel ends pairs by NUL bytes, which no editor keeps.
                    let message: Vec<u8> = text.iter().map(|byte| if *byte == b'\n' { 0 } else { *byte }).collect();
                    self.put(target_name, &format!("{name}-nul"), &message)?;
                }
            }
        }
        Ok(())
    }

    /// Of a disk or DDI: both tables; of a DDI also its layout, superblock and signature.
    fn of_image(&self, name: &str, image: &[u8]) -> Result<()> {
        let sector_size = if name.ends_with(".4k") { 4096 } else { 512 };
        let geometry = Geometry::new(sector_size, image.len() as u64)?;
        let mut table = None;
        for which in [Which::Primary, Which::Backup] {
            let sector = slice(image, geometry.header(which))?;
            let header = gpt::parse_header(sector, geometry, which)?;
            let array = slice(image, header.entry_array())?;
            table = Some(gpt::parse_entries(&header, geometry, array)?);
            for repair in [0, REPAIR] {
                let flags = repair
                    | if sector_size == 4096 { LARGE_SECTORS } else { 0 }
                    | if which == Which::Backup { BACKUP } else { 0 };
                let header = bytes::slice(sector, 0, 512)?;
                let seed = [&[flags][..], &geometry.sectors().to_le_bytes(), header, array].concat();
                self.put("gpt", &format!("{name}-{which}-{repair}"), &seed)?;
            }
        }
        let table = table.context("no table")?;
        match ddi::layout(&table) {
            Ok(layout) => self.of_ddi(name, image, &table, &layout),
            Err(_) => self.put("ddi", name, &layout_seed(&[0; 32], &table)),
        }
    }

    /// Of a vfat: what the target `vfat` takes, with the root folder, with ours, and with the table's beginning behind it.
    fn of_volume(&self, name: &str, image: &[u8]) -> Result<()> {
        let volume = vfat::parse(image, image.len() as u64)?;
        let (cluster, file) = (2_u32, 2048_u64);
        let table = volume.links(cluster, file).context("a volume without clusters")?;
        let root = slice(image, ByteRange { offset: volume.root().offset, len: 512 })?;
        let folder =
            vfat::entries(root).filter_map(Result::ok).find(|entry| entry.is_folder && entry.name == "initoverlayfs");
        let folder = folder.and_then(|folder| volume.cluster(folder.first)).context("a volume without our folder")?;
        for (piece, offset) in [("root", volume.root().offset), ("folder", folder.offset), ("table", table.offset)] {
            let entries = slice(image, ByteRange { offset, len: 512 })?;
            let size = image.len() as u64;
            let first = bytes::slice(image, 0, vfat::BOOT_SECTOR)?;
            let seed = [&size.to_le_bytes(), first, &cluster.to_le_bytes(), &file.to_le_bytes(), entries].concat();
            self.put("vfat", &format!("{name}-{piece}"), &seed)?;
        }
        Ok(())
    }

    fn of_ddi(&self, name: &str, image: &[u8], table: &Table, layout: &ddi::Layout) -> Result<()> {
        let json = slice(image, layout.signature)?;
        let signature = signature_json::parse(json)?;
        self.put("ddi", name, &layout_seed(signature.root_hash.as_bytes(), table))?;
        self.put("signature_json", name, json)?;
        let compact = json.iter().position(|byte| *byte == 0).unwrap_or(json.len());
        self.put("signature_json", &format!("{name}-compact"), bytes::slice(json, 0, compact)?)?;
        self.put_both("pkcs7", name, &signature.pkcs7)?;
        let first = bytes::slice(slice(image, layout.verity)?, 0, 512)?;
        self.put("verity", name, &superblock(layout.root.len, layout.verity.len, first))
    }
}

fn slice(image: &[u8], range: ByteRange) -> Result<&[u8]> {
    Ok(bytes::slice(image, usize::try_from(range.offset)?, usize::try_from(range.len)?)?)
}

/// Input of the target `luks2`: bytes of the volume, the JSON of its primary header.
fn luks2(volume: &[u8]) -> Result<Vec<u8>> {
    let json = volume.get(4096..16384).context("shorter than a header")?;
    let json = json.split(|byte| *byte == 0).next().context("no JSON")?;
    Ok([&u64::try_from(volume.len())?.to_le_bytes(), json].concat())
}

/// Input of the target `verity`: sizes of both partitions, the superblock.
fn superblock(root: u64, verity: u64, first: &[u8]) -> Vec<u8> {
    [&root.to_le_bytes(), &verity.to_le_bytes(), first].concat()
}

/// Input of the target `signature_check`: both lengths, PKCS#7, certificate, content.
fn signature(pkcs7: &[u8], certificate: &[u8], content: &[u8]) -> Result<Vec<u8>> {
    let lengths = [u16::try_from(pkcs7.len())?.to_le_bytes(), u16::try_from(certificate.len())?.to_le_bytes()].concat();
    Ok([&lengths, pkcs7, certificate, content].concat())
}

/// Input of the target `ddi`: root hash, then type, GUID, offset and length of each partition.
fn layout_seed(root_hash: &[u8; 32], table: &Table) -> Vec<u8> {
    let mut seed = root_hash.to_vec();
    for partition in &table.partitions {
        let (kind, guid) = match partition.type_guid {
            ROOT_ARM64 => (0, 0),
            ROOT_ARM64_VERITY => (1, 1),
            ROOT_ARM64_VERITY_SIG => (2, 2),
            _ => (3, 3),
        };
        seed.extend([kind, guid]);
        seed.extend(partition.range.offset.to_le_bytes());
        seed.extend(partition.range.len.to_le_bytes());
    }
    seed
}

/// A record as storage-init writes it.
fn record() -> Result<Vec<u8>> {
    fn text<'a, T: TryFrom<&'a str>>(text: &'a str) -> Result<T> {
        T::try_from(text).map_err(|_| anyhow::anyhow!("{text:?} is too long"))
    }
    let refused =
        [Refusal { device: text("vda2")?, reason: Reason::NotADdi, detail: text("a \"quoted\"\nlabel: ä")? }];
    let stages = [StageRecord { stage: Stage::Early, start_us: 426_600, took_us: 11_600, detail: text("devtmpfs")? }];
    let record = BootRecord {
        format: FORMAT,
        image_id: text("initoverlayfs")?,
        version: text("1.4~rc2")?,
        source: Source::EspFile,
        device: text("vda1:/initoverlayfs/initoverlayfs_1.4~rc2.raw")?,
        slot: Some(text("a")?),
        root_hash: text(&"0d".repeat(32))?,
        signer: SignerRecord { sha256: text(&"ab".repeat(32))?, common_name: text("seed")?, development: true },
        signature: SignaturePath::Kernel,
        measurement: Measurement::NotConfigured,
        measured: None,
        volumes: std::iter::empty().collect(),
        latched: false,
        overlay: true,
        verity_device: text(&("0d".repeat(32) + "-verity"))?,
        refused: Box::new(refused.into_iter().collect()),
        stages: Box::new(stages.into_iter().collect()),
    };
    Ok(record.to_json()?)
}
