// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole system: systemd in the DDI, and the real root that it goes on to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use boot_record::config::Source;

use super::firmware::{ByFirmware, Firmware, Uki};
use super::kernel_choice::KernelChoice;
use super::parts::{Config, IMAGE_ID, Parts};
use super::storage::Storage;
use super::tpm::{Attached, Chip};
use super::{Answer, Boot, KeptMemory, Meter, Outcome, SERIAL, Start};
use crate::boot_report::{Expected, Target};
use crate::cache::Cache;
use crate::disk::{Candidate, Ddi, Disk, write_root};
use crate::tamper::{Signer, Tamper};
use crate::userspace::{self, Identity, Release};

/// Version of the image.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Size of the real root: room for what a person may want to try in it.
const ROOT_SIZE: u64 = 256 << 20;
/// A boot to multi-user.target takes 8 s on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// The disk, in a boot's folder.
pub const DISK: &str = "disk.img";
/// The mini-initramfs, in a boot's folder.
pub const INITRAMFS: &str = "initramfs.cpio";

/// os-release of the unified kernel image.
const UKI_OS_RELEASE: &str = "ID=initoverlayfs\nPRETTY_NAME=\"initoverlayfs\"\n";

/// A system to be booted.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Where the DDI lies.
    pub source: Source,
    /// What the disk is.
    pub storage: Storage,
    /// Which kernel is booted.
    pub kernel: KernelChoice,
    /// UEFI starts it, out of a signed UKI, on a machine with a TPM, and the image has to be measured. The kernel has to be
    /// [`KernelChoice::Measured`].
    pub uefi: bool,
    /// True: with a writable layer.
    pub overlay: bool,
    /// The Debian of the real root; the DDI's is [`Release::Stable`].
    pub root: Release,
    /// How it is spoilt.
    pub tamper: Option<Tamper>,
}

/// What [`System::prepare`] made.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The kernel's image.
    kernel: PathBuf,
    /// The firmware that starts it, and the TPM that it measures into.
    uefi: Option<(Firmware, Chip)>,
    /// What the disk is.
    storage: Storage,
    /// What the boot has to come to.
    pub expected: Expected,
}

impl System {
    /// Makes the files of the boot in `folder`: mini-initramfs, DDI, disk.
    ///
    /// # Errors
    /// A part cannot be made.
    pub fn prepare(&self, cache: &Cache, parts: &Parts, folder: &Path) -> Result<Prepared> {
        let config = Config {
            sources: vec![self.source],
            overlay: self.overlay,
            storage: self.storage,
            kernel: self.kernel,
            signature: self.kernel.signature(),
            device_deadline: self.storage.deadline(),
            measure: if self.uefi { "require" } else { "none" },
            more: self.kernel.config_lines_of_root(),
            ..Config::default()
        };
        let kernel = parts.write_initramfs(cache, &config, &folder.join(INITRAMFS))?;
        let name = format!("{IMAGE_ID}_{VERSION}");
        let ddi = self.ddi(cache, parts, &folder.join(format!("{name}.raw")))?;

        let root = folder.join("root.ext4");
        write_root(&parts.tools, &userspace::root(cache, self.root)?, &root, ROOT_SIZE)?;
        let candidate = Candidate { name, image: ddi.image };
        // Both are there, and the configuration says which is looked for.
        let mut disk = Disk {
            esp: Some(vec![candidate.clone()]),
            partitions: vec![candidate],
            root: Some(root.clone()),
            ..Disk::default()
        };
        if let Some(tamper) = self.tamper {
            tamper.apply_to_disk(&mut disk);
        }
        let uefi = if self.uefi {
            let uki = Uki {
                kernel: &kernel,
                initramfs: &folder.join(INITRAMFS),
                command_line: &format!("console={SERIAL} panic=-1"),
                os_release: UKI_OS_RELEASE,
            };
            let (firmware, files) = ByFirmware::default().prepare(cache, &parts.tools, &uki, folder)?;
            disk.esp_files = files;
            Some((firmware, Chip::make(&parts.tools, folder, "tpm")?))
        } else {
            None
        };
        disk.write(&parts.tools, &folder.join(DISK), self.storage.medium())?;
        std::fs::remove_file(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        let expected = Expected {
            root_hash: ddi.root_hash,
            version: VERSION.to_owned(),
            source: self.source,
            signature: self.kernel.signature(),
            overlay: self.overlay,
            target: Target::RealRoot { device: format!("/dev/{}", self.storage.partition(disk.root_number())) },
        };
        Ok(Prepared { kernel, uefi, storage: self.storage, expected })
    }

    fn ddi(&self, cache: &Cache, parts: &Parts, output: &Path) -> Result<Ddi> {
        let identity = Identity { image_id: IMAGE_ID.to_owned(), version: VERSION.to_owned(), epoch: 1 };
        let mut tree = userspace::ddi(cache, &identity)?;
        if let Some(tamper) = self.tamper {
            tamper.apply_to_tree(&mut tree, &identity);
        }
        let keys = parts.keys(cache, self.tamper.map_or(Signer::Development, Tamper::signer))?;
        let ddi = parts.ddi.image(&parts.tools, &tree, &keys, output)?;
        if let Some(tamper) = self.tamper {
            tamper.apply_to_image(&parts.tools, &ddi.image, &parts.keys(cache, Signer::Development)?)?;
        }
        Ok(ddi)
    }
}

/// Boots what [`System::prepare`] made.
///
/// # Errors
/// QEMU cannot be run.
pub fn boot(
    parts: &Parts,
    prepared: &Prepared,
    folder: &Path,
    memory: Option<&KeptMemory>,
    answer: Answer,
    meter: Meter,
    on_line: &(dyn Fn(&str) + Sync),
) -> Result<Outcome> {
    let disk = folder.join(DISK);
    let boot = Boot {
        start: match &prepared.uefi {
            Some((firmware, _)) => Start::Firmware(firmware),
            None => Start::Kernel {
                image: &prepared.kernel,
                initramfs: Some(&folder.join(INITRAMFS)),
                console: SERIAL,
                command_line: "",
            },
        },
        tpm: prepared.uefi.as_ref().map(|(_, chip)| Attached { chip, rules: &[] }),
        devices: &[],
        storage: prepared.storage,
        disks: &[&disk],
        late_disk: None,
        memory,
        answer,
        meter,
        deadline: DEADLINE,
        until: None,
        on_line,
    };
    boot.run(&parts.tools, folder)
}
