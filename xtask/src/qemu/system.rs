// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole system: systemd in the DDI, and the real root that it goes on to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;

use super::enrolled_root::{self, ROOT_SIZE};
use super::firmware::{ByFirmware, Firmware, UKI_FILE, Uki};
use super::kernel_choice::KernelChoice;
use super::parts::{Config, IMAGE_ID, Parts};
use super::storage::Storage;
use super::tpm::{Attached, Chip};
use super::{Answer, Boot, KeptMemory, Meter, Outcome, SERIAL, Start};
use crate::boot_report::{Expected, Target};
use crate::cache::Cache;
use crate::disk::{Candidate, Ddi, Disk, ESP_FOLDER, partition_guid, write_root};
use crate::tamper::{Signer, Tamper};
use crate::userspace::{self, Identity, Release};

/// Version of the image.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A boot to multi-user.target takes 8 s on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// The disk, in a boot's folder.
pub const DISK: &str = "disk.img";
/// The mini-initramfs, in a boot's folder.
pub const INITRAMFS: &str = "initramfs.cpio";

/// The real root's volume, opened by the name that sysroot.mount has for it; it is the disk's third partition.
const UNLOCK: &str = "unlock = root 6f3c2f4e-8d52-4c0e-9f43-000000000003\nunlock-failure = refuse\n";
const VOLUME: &str = "root";
const VOLUME_DEVICE: &str = "/dev/mapper/root";
/// Of a signed policy beside its image.
const POLICY_EXTENSION: &str = "pcrsig";

/// A system to be booted.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Where the DDI lies.
    pub source: Source,
    /// What the disk is.
    pub storage: Storage,
    /// Which kernel is booted.
    pub kernel: KernelChoice,
    /// UEFI starts it, out of a signed UKI, on a machine with a TPM; the image has to be measured, and the TPM opens the volume that the
    /// real root lies on, under a policy that is signed for this kernel and this image and lies beside the image on the ESP. The kernel
    /// has to be [`KernelChoice::Measured`], the source [`Source::EspFile`].
    pub uefi: bool,
    /// Where there is a volume: it is the DDI's systemd that opens it, and a unit of the DDI that latches the register.
    pub opened_by_systemd: bool,
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
    /// The plain one: virtio, no firmware, Debian stable.
    #[must_use]
    pub fn of(source: Source) -> Self {
        Self {
            source,
            storage: Storage::Virtio,
            kernel: KernelChoice::BuiltIn,
            uefi: false,
            opened_by_systemd: false,
            overlay: false,
            root: Release::Stable,
            tamper: None,
        }
    }

    /// The whole one: UEFI, TPM, and the real root on a volume.
    #[must_use]
    pub fn by_firmware() -> Self {
        Self { kernel: KernelChoice::Measured, uefi: true, ..Self::of(Source::EspFile) }
    }

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
            more: match (self.uefi, self.opened_by_systemd) {
                (true, false) => UNLOCK,
                (true, true) => "",
                (false, _) => self.kernel.config_lines_of_root(),
            },
            ..Config::default()
        };
        let kernel = parts.write_initramfs(cache, &config, &folder.join(INITRAMFS))?;
        let name = format!("{IMAGE_ID}_{VERSION}");
        let ddi = self.ddi(cache, parts, &folder.join(format!("{name}.raw")))?;
        let (firmware, esp_files) = if self.uefi {
            let (firmware, mut files) = self.firmware(cache, parts, &kernel, folder)?;
            files.extend(self.signed_policy(cache, parts, &ddi, folder)?);
            (Some(firmware), files)
        } else {
            (None, Vec::new())
        };
        if let Some(tamper) = self.tamper {
            tamper.apply_to_image(&parts.tools, &ddi.image, &parts.keys(cache, Signer::Development)?)?;
        }

        let (root, chip) = self.real_root(cache, parts, folder)?;
        let candidate = Candidate { name, image: ddi.image };
        // Both are there, and the configuration says which is looked for.
        let mut disk = Disk {
            esp: Some(vec![candidate.clone()]),
            esp_files,
            partitions: vec![candidate],
            root: Some(root),
            ..Disk::default()
        };
        let number = disk.root_number();
        ensure!(!self.uefi || UNLOCK.contains(&partition_guid(number)), "the root is not partition {number}");
        if let Some(tamper) = self.tamper {
            tamper.apply_to_disk(&mut disk);
        }
        disk.write(&parts.tools, &folder.join(DISK), self.storage.medium())?;
        if let (Some(root), None) = (&disk.root, &chip) {
            std::fs::remove_file(root).with_context(|| format!("cannot remove {}", root.display()))?;
        }
        let device =
            if self.uefi { VOLUME_DEVICE.to_owned() } else { format!("/dev/{}", self.storage.partition(number)) };
        let expected = Expected {
            root_hash: ddi.root_hash,
            version: VERSION.to_owned(),
            source: self.source,
            signature: self.kernel.signature(),
            overlay: self.overlay,
            volume: (self.uefi && !self.opened_by_systemd).then_some(VOLUME),
            target: Target::RealRoot { device },
        };
        Ok(Prepared { kernel, uefi: firmware.zip(chip), storage: self.storage, expected })
    }

    /// The firmware, and the UKI that it starts, for the ESP.
    fn firmware(
        &self,
        cache: &Cache,
        parts: &Parts,
        kernel: &Path,
        folder: &Path,
    ) -> Result<(Firmware, Vec<(String, PathBuf)>)> {
        let uki =
            Uki { kernel, initramfs: &folder.join(INITRAMFS), command_line: &format!("console={SERIAL} panic=-1") };
        ByFirmware::default().prepare(cache, &parts.tools, &uki, folder)
    }

    /// The policy by which the TPM opens the volume for this image, for the ESP. Nobody signs one for an image that is to be refused.
    fn signed_policy(
        &self,
        cache: &Cache,
        parts: &Parts,
        ddi: &Ddi,
        folder: &Path,
    ) -> Result<Option<(String, PathBuf)>> {
        if self.tamper.is_some_and(|tamper| tamper.expected().is_some()) {
            return Ok(None);
        }
        let signer = parts.keys(cache, Signer::Development)?;
        let policy_keys = enrolled_root::policy_keys(cache, parts)?;
        let output = ddi.image.with_extension(POLICY_EXTENSION);
        parts.ddi.sign_policy(&parts.tools, &ddi.image, &signer, &folder.join(UKI_FILE), &policy_keys, &output)?;
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        Ok(Some((format!("{ESP_FOLDER}/{name}"), output)))
    }

    /// The real root's partition: a file system in `folder`, or a volume in the cache and the TPM that opens it, in `folder`.
    fn real_root(&self, cache: &Cache, parts: &Parts, folder: &Path) -> Result<(PathBuf, Option<Chip>)> {
        if self.uefi {
            let enrolled = enrolled_root::ensure(cache, parts, self.root)?;
            return Ok((enrolled.volume, Some(enrolled.chip.copy_to(folder, "tpm")?)));
        }
        let root = folder.join("root.ext4");
        write_root(&parts.tools, &userspace::root(cache, self.root)?, &root, ROOT_SIZE)?;
        Ok((root, None))
    }

    fn ddi(&self, cache: &Cache, parts: &Parts, output: &Path) -> Result<Ddi> {
        let identity = Identity { image_id: IMAGE_ID.to_owned(), version: VERSION.to_owned(), epoch: 1 };
        let mut tree = match (self.uefi, self.opened_by_systemd) {
            (true, false) => userspace::ddi_for_volume(cache, &identity)?,
            (true, true) => userspace::ddi_that_opens_volume(cache, &identity, &parts.initoverlayfs_tpm(cache)?)?,
            (false, _) => userspace::ddi(cache, &identity)?,
        };
        if let Some(tamper) = self.tamper {
            tamper.apply_to_tree(&mut tree, &identity);
        }
        let keys = parts.keys(cache, self.tamper.map_or(Signer::Development, Tamper::signer))?;
        parts.ddi.image(&parts.tools, &tree, &keys, output)
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
