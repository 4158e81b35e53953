// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bench of the boot tests: small DDIs, whose init is the probe, on disks made for one boot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use boot_record::config::{SignaturePath, Source};

use super::firmware::{ByFirmware, Signature, UKI_FILE, Uki};
use super::parts::{BootBinary, Config, IMAGE_ID, Parts};
use super::{Answer, Boot, KeptMemory, Late, Meter, Outcome, SERIAL, Start, tpm};
use crate::boot_report::{Expected, Target};
use crate::cache::{Cache, RunDir};
use crate::disk::{Candidate, Ddi, Disk, extract, put_over};
use crate::log_strings;
use crate::tamper::{Signer, Tamper};
use crate::userspace::{self, Identity, Tree};

/// A small DDI is up in 2 s on an idle machine; a test machine is not idle.
const DEADLINE: Duration = Duration::from_secs(90);

/// Where `bootlog` looks for log strings, as a path below `/`.
const LOG_STRINGS: &str = "usr/lib/debug/.build-id";

/// The mini-initramfs, in a trial's folder.
const INITRAMFS: &str = "initramfs.cpio";

/// The parts of all boots, made once.
pub struct Bench {
    cache: Cache,
    parts: Parts,
    probe: PathBuf,
    tree: Tree,
}

/// A small DDI to be made.
#[derive(Clone, Copy, Debug)]
pub struct Small<'a> {
    /// `IMAGE_VERSION` inside; the name claims the same, unless tampering changes it.
    pub version: &'a str,
    /// What the probe does (tests/boot/probe/src/action.rs).
    pub actions: &'a [&'a str],
    /// Further files in it: path, contents. Those below usr/bin may be executed.
    pub files: &'a [(String, Vec<u8>)],
    /// Who signs it, unless tampering changes that.
    pub signer: Signer,
    /// How it is spoilt.
    pub tamper: Option<Tamper>,
    /// True: `bootlog` is in it, and the log strings of the boot binary.
    pub bootlog: bool,
    /// True: systemd's and cryptsetup's programs for encrypted volumes are in it.
    pub volumes: bool,
}

impl Default for Small<'_> {
    fn default() -> Self {
        Self {
            version: "1.0",
            actions: &[],
            files: &[],
            signer: Signer::Development,
            tamper: None,
            bootlog: false,
            volumes: false,
        }
    }
}

/// One boot on the bench.
pub struct Trial<'a> {
    /// What storage-init is told.
    pub config: Config,
    /// UEFI starts it, and the disk has an ESP with the UKI; `None`: QEMU puts the kernel into memory.
    pub firmware: Option<ByFirmware<'a>>,
    /// Its TPM.
    pub tpm: Option<tpm::Attached<'a>>,
    /// Files put over those of the mini-initramfs: names below `/`, contents.
    pub files: Vec<(&'a str, Vec<u8>)>,
    /// The disk; `None`: the machine has none.
    pub disk: Option<Disk>,
    /// Further disks, all of which come before it.
    pub others: Vec<Disk>,
    /// Plugs the disk in later.
    pub late: Option<Late>,
    /// The kernel's console; `null` is none.
    pub console: &'a str,
    /// Further words of the kernel command line.
    pub command_line: &'a str,
    /// Further devices of the machine.
    pub devices: &'a [&'a str],
    /// Memory that a trial before left.
    pub memory: Option<&'a KeptMemory>,
    /// What the probe does in the end.
    pub answer: Answer,
    /// The machine is killed when its console has a line with this.
    pub until: Option<&'a str>,
}

impl Default for Trial<'_> {
    fn default() -> Self {
        Self {
            config: Config::default(),
            firmware: None,
            tpm: None,
            files: Vec::new(),
            disk: None,
            others: Vec::new(),
            late: None,
            console: SERIAL,
            command_line: "",
            devices: &[],
            memory: None,
            answer: Answer::PowerOff,
            until: None,
        }
    }
}

impl Bench {
    /// Makes the parts that are not there yet.
    ///
    /// # Errors
    /// A part cannot be built.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        let parts = Parts::make(&cache)?;
        let probe = parts.probe(&cache)?;
        let tree = userspace::small_ddi(&cache, &probe)?;
        Ok(Self { cache, parts, probe, tree })
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The parts.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// A folder for the files of one test.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, test: &str) -> Result<RunDir> {
        self.cache.run_dir(test)
    }

    /// Makes a small DDI in `folder`.
    ///
    /// # Errors
    /// `ddi build` or the tampering fails.
    pub fn small_ddi(&self, folder: &Path, small: &Small<'_>) -> Result<Ddi> {
        let tree = self.tree(small)?;
        let keys = self.parts.keys(&self.cache, small.tamper.map_or(small.signer, Tamper::signer))?;
        let output = folder.join(format!("{}.raw", name(small.version)));
        let ddi = self.parts.ddi.image(&self.parts.tools, &tree, &keys, &output)?;
        if let Some(tamper) = small.tamper {
            let trusted = self.parts.keys(&self.cache, Signer::Development)?;
            tamper.apply_to_image(&self.parts.tools, &ddi.image, &trusted)?;
        }
        Ok(ddi)
    }

    /// The list of modules that a configuration comes to, out of the mini-initramfs that is written to `path`.
    ///
    /// # Errors
    /// `mini-initramfs` or cpio fails.
    pub fn modules_list(&self, config: &Config, path: &Path) -> Result<String> {
        self.parts.write_initramfs(&self.cache, config, path)?;
        extract(&self.parts.tools, path, "etc/initoverlayfs/modules.list")
    }

    /// Makes a small DDI in `folder` that waits for its signature.
    ///
    /// # Errors
    /// `ddi build` fails.
    pub fn unsigned_ddi(&self, folder: &Path, small: &Small<'_>) -> Result<Ddi> {
        let output = folder.join(format!("{}.unsigned", name(small.version)));
        self.parts.ddi.unsigned_image(&self.parts.tools, &self.tree(small)?, &output)
    }

    /// Signs such a DDI by the development key.
    ///
    /// # Errors
    /// openssl or `ddi join-signature` fails.
    pub fn sign_elsewhere(&self, unsigned: &Ddi) -> Result<()> {
        let keys = self.parts.keys(&self.cache, Signer::Development)?;
        self.parts.ddi.sign_elsewhere(&self.parts.tools, &unsigned.image, &keys)
    }

    fn tree(&self, small: &Small<'_>) -> Result<Tree> {
        let identity = Identity { image_id: IMAGE_ID.into(), version: small.version.into(), epoch: 1 };
        let mut tree = if small.volumes {
            userspace::small_ddi_with_volumes(&self.cache, &self.probe)?
        } else {
            self.tree.clone()
        };
        identity.put_into(&mut tree);
        tree.file(userspace::ACTIONS_FILE, 0o644, small.actions.join("\n").into_bytes());
        for (path, contents) in small.files {
            let mode = if path.starts_with("usr/bin/") { 0o755 } else { 0o644 };
            tree.file(path, mode, contents.clone());
        }
        if let Some(tamper) = small.tamper {
            tamper.apply_to_tree(&mut tree, &identity);
        }
        if small.bootlog {
            tree.file("usr/bin/bootlog", 0o755, read(&self.parts.bootlog(&self.cache)?)?);
            for binary in [BootBinary::Least, BootBinary::Tpm] {
                let below = log_strings::of_program(self.parts.boot_binary(&self.cache, binary)?)?;
                let strings = read(&log_strings::folder(&self.cache).join(&below))?;
                tree.file(&Path::new(LOG_STRINGS).join(below).display().to_string(), 0o644, strings);
            }
        }
        Ok(tree)
    }

    /// Makes the UKI of a trial with this configuration and nothing else that is particular, in `folder`: what a policy is signed for before
    /// the boot. Where it is made again for the boot it differs in its signature, which is not measured.
    ///
    /// # Errors
    /// A part cannot be made.
    pub fn uki(&self, folder: &Path, config: &Config) -> Result<PathBuf> {
        let initramfs = folder.join(INITRAMFS);
        let kernel = self.parts.write_initramfs(&self.cache, config, &initramfs)?;
        let output = folder.join(UKI_FILE);
        let command_line = command_line(&Trial::default());
        uki(&kernel, &initramfs, &command_line).write(
            &self.cache,
            &self.parts.tools,
            None,
            Signature::Boot,
            &output,
        )?;
        Ok(output)
    }

    /// Boots a trial; its files go into `folder`.
    ///
    /// # Errors
    /// The disk cannot be written, or QEMU cannot be run.
    pub fn boot(&self, folder: &Path, trial: &Trial<'_>) -> Result<Outcome> {
        let initramfs = folder.join(INITRAMFS);
        let kernel = self.parts.write_initramfs(&self.cache, &trial.config, &initramfs)?;
        put_over(&self.parts.tools, &initramfs, &trial.files)?;
        let mut disk = trial.disk.clone();
        let firmware = match &trial.firmware {
            Some(by_firmware) => {
                let words = command_line(trial);
                let uki = uki(&kernel, &initramfs, &words);
                let (firmware, files) = by_firmware.prepare(&self.cache, &self.parts.tools, &uki, folder)?;
                let disk = disk.as_mut().context("a boot by firmware needs a disk")?;
                disk.esp.get_or_insert_default();
                disk.esp_files = files;
                Some(firmware)
            }
            None => None,
        };
        let medium = trial.config.storage.medium();
        let mut images = Vec::new();
        for (number, disk) in trial.others.iter().chain(&disk).enumerate() {
            let image = folder.join(format!("disk{number}.img"));
            disk.write(&self.parts.tools, &image, medium).context("cannot make the disk")?;
            images.push(image);
        }
        let mut disks: Vec<&Path> = images.iter().map(PathBuf::as_path).collect();
        let late_disk = trial.late.and_then(|late| Some((disks.pop()?, late)));
        Boot {
            start: match &firmware {
                Some(firmware) => Start::Firmware(firmware),
                None => Start::Kernel {
                    image: &kernel,
                    initramfs: Some(&initramfs),
                    console: trial.console,
                    command_line: trial.command_line,
                },
            },
            tpm: trial.tpm,
            devices: trial.devices,
            storage: trial.config.storage,
            disks: &disks,
            late_disk,
            memory: trial.memory,
            answer: trial.answer,
            meter: Meter::Off,
            deadline: DEADLINE,
            until: trial.until,
            on_line: &|_| {},
        }
        .run(&self.parts.tools, folder)
    }
}

/// The kernel's command line in the UKI of a trial.
fn command_line(trial: &Trial<'_>) -> String {
    format!("console={} panic=-1 {}", trial.console, trial.command_line).trim_end().to_owned()
}

fn uki<'a>(kernel: &'a Path, initramfs: &'a Path, command_line: &'a str) -> Uki<'a> {
    Uki { kernel, initramfs, command_line }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The name of a candidate of this version.
pub fn name(version: &str) -> String {
    format!("{IMAGE_ID}_{version}")
}

/// A disk that holds DDIs for one source, each under the name of its version.
pub fn disk(source: Source, ddis: &[(&str, &Ddi)]) -> Disk {
    let candidates =
        ddis.iter().map(|(version, ddi)| Candidate { name: name(version), image: ddi.image.clone() }).collect();
    match source {
        Source::EspFile => Disk { esp: Some(candidates), ..Disk::default() },
        Source::Partition => Disk { partitions: candidates, ..Disk::default() },
    }
}

/// What a trial with this DDI has to come to, where the kernel checks its signature.
pub fn expected(version: &str, ddi: &Ddi, source: Source, overlay: bool) -> Expected {
    Expected {
        root_hash: ddi.root_hash.clone(),
        version: version.to_owned(),
        source,
        signature: SignaturePath::Kernel,
        overlay,
        volume: None,
        target: Target::Probe,
    }
}
