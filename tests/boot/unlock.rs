// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that storage-init opens: enrolled by systemd in the guest, opened before init by what was measured, and by nothing else.
//!
//! The volume is a partition of the disk that the image lies on; over the boots of a test it stays, like the TPM's state.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use xtask::boot_report::Booted;
use xtask::disk::{Partition, PartitionType, partition_guid};
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::tpm::traffic::Exchange;
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::volume::{PASSPHRASE, Volume};
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_refused, assert_secret_kept, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("volume_that_systemd_enrolled_is_open_before_init_and_shut_for_another_image", enrolled),
        test("volume_that_is_missing_ends_a_boot_that_needs_it", missing_and_needed),
        test("volume_that_is_missing_is_left_to_the_system", missing_and_left),
    ]
}

/// Before the volume there is the partition table alone, before the image the volume.
const BEFORE_VOLUME: u64 = 1 << 20;
const PASSPHRASE_FILE: &str = "probe/passphrase";
const ENROL: &str = "run /usr/bin/systemd-cryptenroll --unlock-key-file=/probe/passphrase --tpm2-device=/dev/tpmrm0 \
                     --tpm2-pcrs=11+13 /dev/vda1";
const TABLE: &str = "run /usr/sbin/dmsetup table --showkeys data";
const INFO: &str = "run /usr/sbin/dmsetup info -c --noheadings -o uuid,name data";
const ATTACH: &str = "run /usr/bin/env DM_DISABLE_UDEV=1 /usr/bin/systemd-cryptsetup attach data /dev/vda1 - \
                      tpm2-device=/dev/tpmrm0,headless=true,token-timeout=5s";
/// What every image does, so that one that enrols is one that opens.
const ACTIONS: [&str; 4] = [ENROL, TABLE, INFO, ATTACH];
/// Commands at the TPM's socket until init runs, extend and latch included.
const COMMANDS: usize = 8;

struct Machine<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    chip: Chip,
    volume: Volume,
}

impl<'a> Machine<'a> {
    fn make(bench: &'a Bench, folder: &'a Path) -> Result<Self> {
        let tools = &bench.parts().tools;
        Ok(Self { bench, folder, chip: Chip::make(tools, folder, "tpm")?, volume: Volume::make(tools, folder)? })
    }

    /// One boot with these lines of configuration; the volume keeps what the guest wrote.
    fn boot(&self, version: &str, more: &'static str) -> Result<(Outcome, Result<Booted>)> {
        let files = [(PASSPHRASE_FILE.to_owned(), PASSPHRASE.as_bytes().to_vec())];
        let small = Small { version, actions: &ACTIONS, files: &files, volumes: true, ..Small::default() };
        let ddi = self.bench.small_ddi(self.folder, &small)?;
        let mut disk = bench::disk(Source::Partition, &[(version, &ddi)]);
        let contents = Some(self.volume.image().to_owned());
        disk.first = vec![Partition { kind: PartitionType::Data, label: "volume".to_owned(), contents }];
        let config = Config { kernel: KernelChoice::Measured, measure: "require", more, ..Config::default() };
        let tpm = Some(Attached { chip: &self.chip, rules: &[] });
        let outcome = self.bench.boot(self.folder, &Trial { config, tpm, disk: Some(disk), ..Trial::default() })?;
        self.take_volume_back()?;
        let booted = assert_boot_chain(&outcome, &expected(version, &ddi, Source::Partition, false));
        Ok((outcome, booted))
    }

    fn take_volume_back(&self) -> Result<()> {
        let disk = File::open(self.folder.join("disk0.img")).context("no disk after the boot")?;
        let mut bytes = vec![0; usize::try_from(self.volume.image().metadata()?.len())?];
        disk.read_exact_at(&mut bytes, BEFORE_VOLUME)?;
        Ok(std::fs::write(self.volume.image(), bytes)?)
    }
}

const NEEDED: &str = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\nunlock-failure = refuse\n";
const WANTED: &str = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\nunlock-failure = ignore\n";

fn enrolled(bench: &Bench, folder: &Path) -> Result<()> {
    ensure!(NEEDED.contains(&partition_guid(1)) && WANTED.contains(&partition_guid(1)), "{NEEDED}");
    let machine = Machine::make(bench, folder)?;
    let (first, booted) = machine.boot("1.0", "")?;
    ensure!(booted?.record.volumes.is_empty(), "a volume is open that nobody asked for");
    ensure!(action(&first, 1)?.ends_with("exit status 0"), "systemd-cryptenroll: {}", action(&first, 1)?);
    machine.volume.forget_passphrase(&bench.parts().tools, folder)?;

    let (again, booted) = machine.boot("1.0", NEEDED)?;
    let record = booted?.record;
    let names: Vec<&str> = record.volumes.iter().map(|volume| volume.name.as_str()).collect();
    ensure!(names == ["data"] && record.latched, "boot.json: {record:?}");
    let uuid = record.volumes.first().context("no volume")?.uuid.as_str();
    let (table, info) = (action(&again, 2)?, action(&again, 3)?);
    let target = format!(" crypt aes-xts-plain64 :64:logon:cryptsetup:{uuid}-d0 0 ");
    ensure!(table.contains(&target), "dmsetup table: {table}");
    let device = format!("CRYPT-LUKS2-{}-data:data", uuid.replace('-', ""));
    ensure!(info.contains(&device), "dmsetup info: {info}, expected {device}");
    ensure!(action(&again, 4)?.contains("already active"), "systemd-cryptsetup: {}", action(&again, 4)?);
    let traffic = again.tpm.as_ref().context("there was no TPM")?;
    let commands: Vec<u32> = traffic.of_init().map(Exchange::code).collect();
    println!("commands on the bus: {commands:x?}");
    // What comes after the second extend is the system's.
    let extends: Vec<usize> = (0..commands.len()).filter(|at| commands.get(*at) == Some(&PCR_EXTEND)).collect();
    let last = extends.get(1).context("no latch")?;
    ensure!(*last < COMMANDS, "{} commands: {commands:x?}", last + 1);
    assert_secret_kept(&again, &machine.volume, &bench.parts().tools, folder)?;

    let (other, booted) = machine.boot("1.1", WANTED)?;
    let record = booted?.record;
    ensure!(record.volumes.is_empty() && !record.latched, "another image has the volume: {record:?}");
    let refusal = record.refused.first().with_context(|| format!("no refusal\n{}", console(&other)))?;
    let words = "token 0: the registers are not as the policy wants them";
    ensure!(refusal.reason == Reason::UnlockFailed && refusal.detail == words, "{refusal:?}");
    ensure!(!action(&other, 2)?.contains(" crypt "), "another image has the volume: {}", action(&other, 2)?);
    Ok(())
}

/// TPM2_PCR_Extend.
const PCR_EXTEND: u32 = 0x182;

/// Of a disk that has none.
fn boot_without(bench: &Bench, folder: &Path, more: &'static str) -> Result<(Outcome, Result<Booted>)> {
    let chip = Chip::make(&bench.parts().tools, folder, "tpm")?;
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let config = Config { kernel: KernelChoice::Measured, measure: "require", more, ..Config::default() };
    let disk = Some(bench::disk(Source::Partition, &[("1.0", &ddi)]));
    let tpm = Some(Attached { chip: &chip, rules: &[] });
    let outcome = bench.boot(folder, &Trial { config, tpm, disk, ..Trial::default() })?;
    let booted = boot_report(&outcome, &ddi);
    Ok((outcome, booted))
}

fn boot_report(outcome: &Outcome, ddi: &xtask::disk::Ddi) -> Result<Booted> {
    assert_boot_chain(outcome, &expected("1.0", ddi, Source::Partition, false))
}

const ELSEWHERE: &str = "no such partition on the disks that were searched";

fn missing_and_needed(bench: &Bench, folder: &Path) -> Result<()> {
    let more = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-0000000000ff\nunlock-failure = refuse\n";
    let (outcome, _) = boot_without(bench, folder, more)?;
    assert_refused(&outcome, Reason::UnlockFailed, "data")
}

fn missing_and_left(bench: &Bench, folder: &Path) -> Result<()> {
    let (_, booted) = boot_without(bench, folder, "unlock = data 6f3c2f4e-8d52-4c0e-9f43-0000000000ff\n")?;
    let record = booted?.record;
    let refusal = record.refused.first().context("no refusal")?;
    ensure!((refusal.device.as_str(), refusal.detail.as_str()) == ("data", ELSEWHERE), "{refusal:?}");
    ensure!(refusal.reason == Reason::UnlockFailed && record.volumes.is_empty() && !record.latched, "{record:?}");
    Ok(())
}
