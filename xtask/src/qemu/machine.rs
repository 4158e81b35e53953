// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine of the bench over several boots: its TPM's state stays, and so does its encrypted volume, the first partition of the disk
//! that the image lies on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::bench::{Bench, Small, Trial};
use super::firmware::ByFirmware;
use super::tpm::script::Rule;
use super::tpm::{Attached, Chip};
use super::volume::{PASSPHRASE, Volume};
use super::{Config, Late, Outcome};
use crate::disk::{Ddi, Disk, Partition, PartitionType, partition_guid};
use anyhow::{Context, Result, ensure};

/// The passphrase's file in an image, without the `/` before it.
const PASSPHRASE_FILE: &str = "probe/passphrase";
/// Before the volume there is the partition table alone.
const BEFORE_VOLUME: u64 = 1 << 20;
/// Lines of a configuration by which storage-init opens the volume as `data`, or the boot ends.
pub const NEEDED: &str = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\nunlock-failure = refuse\n";
/// As [`NEEDED`]; where it does not open, the boot goes on.
pub const WANTED: &str = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\nunlock-failure = ignore\n";
/// What an image does to enrol the volume to what the machine has measured.
pub const ENROL_TO_REGISTERS: &str = "run /usr/bin/systemd-cryptenroll --unlock-key-file=/probe/passphrase \
                                      --tpm2-device=/dev/tpmrm0 --tpm2-pcrs=11+13 /dev/vda1";
/// What it does to open it, as systemd's units would.
pub const ATTACH: &str = "run /usr/bin/env DM_DISABLE_UDEV=1 /usr/bin/systemd-cryptsetup attach data /dev/vda1 - \
                          tpm2-device=/dev/tpmrm0,headless=true,token-timeout=5s";
/// What an image does to enrol the volume to whatever the key in [`POLICY_KEY`] signs for registers 11 and 13.
pub const ENROL_TO_KEY: &str = "run /usr/bin/systemd-cryptenroll --unlock-key-file=/probe/passphrase --tpm2-device=/dev/tpmrm0 \
                                --tpm2-pcrs= --tpm2-public-key=/probe/policy.pem --tpm2-public-key-pcrs=11+13 /dev/vda1";
/// That key's public half in the image, without the `/` before it.
pub const POLICY_KEY: &str = "probe/policy.pem";
/// What an action that runs a program says last where the program did what it had to.
pub const ENROLLED: &str = "exit status 0";

/// How long storage-init waits for a disk that comes late, on a busy host too.
const PATIENT: &str = "60s";

/// A machine. Its files lie in a folder of the cache.
pub struct Machine<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    /// The TPM.
    pub chip: Chip,
    /// The volume, as the boot before left it.
    pub volume: Volume,
    /// The image is on a disk of its own, which is plugged in once the TPM was asked for this command (TPM_CC), which is for the volume. Not
    /// where firmware has to start from it.
    pub late: Option<u32>,
}

/// One boot of it.
pub struct Powered<'a> {
    /// What storage-init is told.
    pub config: Config,
    /// UEFI starts it; `None`: QEMU puts the kernel into memory.
    pub firmware: Option<ByFirmware<'a>>,
    /// What is on the disk behind the volume.
    pub disk: Disk,
    /// What goes wrong on the TPM's bus.
    pub rules: &'a [Rule],
}

impl<'a> Machine<'a> {
    /// One with a TPM that nobody has used.
    ///
    /// # Errors
    /// swtpm_setup fails.
    pub fn make(bench: &'a Bench, folder: &'a Path, volume: Volume) -> Result<Self> {
        ensure!([NEEDED, WANTED].iter().all(|lines| lines.contains(&partition_guid(1))), "{NEEDED}");
        Ok(Self { bench, folder, chip: Chip::make(&bench.parts().tools, folder, "tpm")?, volume, late: None })
    }

    /// An image with systemd's and cryptsetup's programs, that does this. The volume's first passphrase is in it.
    ///
    /// # Errors
    /// The image cannot be built.
    pub fn ddi(&self, version: &str, actions: &[&str], files: &[(String, Vec<u8>)]) -> Result<Ddi> {
        let mut files = files.to_vec();
        files.push((PASSPHRASE_FILE.to_owned(), PASSPHRASE.as_bytes().to_vec()));
        let small = Small { version, actions, files: &files, volumes: true, ..Small::default() };
        self.bench.small_ddi(self.folder, &small)
    }

    /// Boots it; the volume keeps what the guest wrote.
    ///
    /// # Errors
    /// The boot cannot be made, whatever comes of it.
    pub fn boot(&self, powered: Powered<'_>) -> Result<Outcome> {
        let Powered { mut config, firmware, mut disk, rules } = powered;
        if self.late.is_some() {
            config.device_deadline = PATIENT;
        }
        let contents = Some(self.volume.image().to_owned());
        let volume = vec![Partition { kind: PartitionType::Data, label: "volume".to_owned(), contents }];
        let mut others = Vec::new();
        if self.late.is_some() {
            disk.partitions_elsewhere = volume.len();
            others.push(Disk { first: volume, ..Disk::default() });
        } else {
            disk.first = volume;
        }
        let tpm = Some(Attached { chip: &self.chip, rules });
        let late = self.late.map(Late::Asked);
        let trial = Trial { config, firmware, tpm, disk: Some(disk), others, late, ..Trial::default() };
        let outcome = self.bench.boot(self.folder, &trial)?;
        self.take_volume_back()?;
        Ok(outcome)
    }

    fn take_volume_back(&self) -> Result<()> {
        let disk = File::open(self.folder.join("disk0.img")).context("no disk after the boot")?;
        let mut bytes = vec![0; usize::try_from(self.volume.image().metadata()?.len())?];
        disk.read_exact_at(&mut bytes, BEFORE_VOLUME)?;
        Ok(std::fs::write(self.volume.image(), bytes)?)
    }
}
