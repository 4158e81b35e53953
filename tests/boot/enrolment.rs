// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that `initoverlayfs-tpm` enrols in the guest: systemd-cryptsetup opens them as long as nothing is latched, and storage-init opens
//! them at the next boot. What it refuses to enrol: see the tests of its own.

use std::path::Path;

use anyhow::{Result, ensure};
use boot_record::boot_json::BootRecord;
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use xtask::qemu::bench::{self, Bench, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::machine::{ATTACH, ENROLLED, Machine, NEEDED, Powered};
use xtask::qemu::volume::Volume;
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_open, assert_secret_kept, test};

pub fn tests() -> Vec<Test> {
    vec![test("volume_that_we_enrolled_is_opened_by_systemd_and_at_the_next_boot_by_us", both_ways)]
}

/// The program, without the `/` before it.
const PROGRAM: &str = "usr/bin/initoverlayfs-tpm";
/// systemd makes the storage root key, as it does at the first boot of a system with a TPM.
const SET_UP: &str = "run /usr/lib/systemd/systemd-tpm2-setup --early=yes --tpm2-device=/dev/tpmrm0";
const ENROL: &str = "run /usr/bin/initoverlayfs-tpm enroll /dev/vda1 --pcrs 11+13 --key-file /probe/passphrase";
const STATUS: &str = "run /usr/bin/initoverlayfs-tpm status /dev/vda1";
const TABLE: &str = "run /usr/sbin/dmsetup table data";
const DETACH: &str = "run /usr/bin/env DM_DISABLE_UDEV=1 /usr/bin/systemd-cryptsetup detach data";
const LATCH: &str = "run /usr/bin/initoverlayfs-tpm latch";
/// What the image does in each boot, so that it is the same image.
const ACTIONS: [&str; 9] = [SET_UP, ENROL, STATUS, ATTACH, TABLE, DETACH, LATCH, ATTACH, TABLE];

fn boot(machine: &Machine<'_>, program: &[u8], more: &'static str) -> Result<(Outcome, BootRecord)> {
    let files = [(PROGRAM.to_owned(), program.to_vec())];
    let ddi = machine.ddi("1.0", &ACTIONS, &files)?;
    let config = Config { kernel: KernelChoice::Measured, measure: "require", more, ..Config::default() };
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let outcome = machine.boot(Powered { config, firmware: None, disk, rules: &[] })?;
    let record = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?.record;
    Ok((outcome, record))
}

fn both_ways(bench: &Bench, folder: &Path) -> Result<()> {
    let tools = &bench.parts().tools;
    let program = std::fs::read(bench.parts().initoverlayfs_tpm(bench.cache())?)?;
    let machine = Machine::make(bench, folder, Volume::make(tools, folder)?)?;
    let (first, record) = boot(&machine, &program, "")?;
    ensure!(record.measured.is_some() && !record.latched, "{record:?}");
    let succeeded = |number: usize, name: &str| -> Result<String> {
        let said = action(&first, number)?;
        ensure!(said.ends_with(ENROLLED), "{name}: {said}");
        Ok(said)
    };
    succeeded(1, "systemd-tpm2-setup")?;
    let enrolled = succeeded(2, "initoverlayfs-tpm enroll")?;
    ensure!(enrolled.starts_with("/dev/vda1: token 0, keyslot 1: registers 11+13 as they are"), "{enrolled}");
    succeeded(3, "initoverlayfs-tpm status")?;
    succeeded(4, "systemd-cryptsetup attach")?;
    ensure!(action(&first, 5)?.contains(" crypt aes-xts-plain64 "), "dmsetup: {}", action(&first, 5)?);
    succeeded(6, "systemd-cryptsetup detach")?;
    let latched = succeeded(7, "initoverlayfs-tpm latch")?;
    ensure!(latched.starts_with("register 13: latched, banks sha1 sha256\n"), "{latched}");
    let again = action(&first, 8)?;
    ensure!(again.contains("Failed to unseal secret using TPM2"), "after the latch, systemd-cryptsetup: {again}");
    ensure!(!action(&first, 9)?.contains(" crypt "), "the volume is open: {}", action(&first, 9)?);
    machine.volume.forget_passphrase(tools, folder)?;

    let (second, record) = boot(&machine, &program, NEEDED)?;
    assert_open(&record)?;
    ensure!(action(&second, 4)?.contains("already active"), "systemd-cryptsetup: {}", action(&second, 4)?);
    assert_secret_kept(&second, &machine.volume, tools, folder)
}
