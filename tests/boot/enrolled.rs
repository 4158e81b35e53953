// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that systemd enrolled in the guest, by what firmware, stub and storage-init measured: they open again on the same machine with
//! the same image, and with no other.
//!
//! Each is one machine over several boots: its TPM's state and its disk stay.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use boot_record::boot_json::BootRecord;
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use xtask::qemu::bench::{self, Bench, expected};
use xtask::qemu::firmware::ByFirmware;
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::machine::{ATTACH, ENROL_TO_REGISTERS, ENROLLED, Machine, Powered};
use xtask::qemu::tpm::traffic::{Exchange, Traffic, code};
use xtask::qemu::volume::{PASSPHRASE, Volume};
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_secret_kept, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("volume_that_systemd_enrolled_opens_with_the_measured_image_alone", by_systemd),
        test("another_kernel_that_extends_the_register_of_the_image_itself_gets_no_key", other_kernel),
    ]
}

const TABLE: &str = "run /usr/sbin/dmsetup table data";
/// Commands that storage-init may send until the image is measured.
const OURS: usize = 2;

/// One boot of an image that does this; it has to be measured.
fn boot(machine: &Machine<'_>, version: &str, actions: &[&str]) -> Result<Outcome> {
    boot_configured(machine, version, actions, "require").map(|(outcome, _)| outcome)
}

/// What is configured is part of the kernel that firmware starts: another configuration is another kernel.
fn boot_configured(
    machine: &Machine<'_>,
    version: &str,
    actions: &[&str],
    measure: &'static str,
) -> Result<(Outcome, BootRecord)> {
    let ddi = machine.ddi(version, actions, &[])?;
    let kernel = KernelChoice::Measured;
    let config = Config { kernel, sources: vec![Source::EspFile], measure, ..Config::default() };
    let firmware = Some(ByFirmware::default());
    let disk = bench::disk(Source::EspFile, &[(version, &ddi)]);
    let outcome = machine.boot(Powered { config, firmware, disk, rules: &[] })?;
    let record = assert_boot_chain(&outcome, &expected(version, &ddi, Source::EspFile, false))?.record;
    Ok((outcome, record))
}

/// The image of two boots is the same one, to the bit, so that it does both: enrol, which succeeds only as long as the volume has its
/// passphrase, and open.
fn by_systemd(bench: &Bench, folder: &Path) -> Result<()> {
    let tools = &bench.parts().tools;
    let machine = Machine::make(bench, folder, Volume::make(tools, folder)?)?;
    let both = [ENROL_TO_REGISTERS, ATTACH, TABLE];
    let first = boot(&machine, "1.0", &both)?;
    ensure!(action(&first, 1)?.ends_with(ENROLLED), "systemd-cryptenroll: {}", action(&first, 1)?);
    opened(&first)?;
    ensure!(machine.volume.opens_by(PASSPHRASE.as_bytes(), tools, folder)?, "the volume lost its passphrase");
    machine.volume.forget_passphrase(tools, folder)?;

    let again = boot(&machine, "1.0", &both)?;
    ensure!(!action(&again, 1)?.ends_with(ENROLLED), "it was enrolled once more: {}", action(&again, 1)?);
    opened(&again)?;

    let other = boot(&machine, "1.1", &both)?;
    let (attach, table) = (action(&other, 2)?, action(&other, 3)?);
    ensure!(!table.contains(" crypt "), "another image has the volume: {attach}{table}");
    ensure!(attach.contains("Failed to unseal secret using TPM2"), "it failed of something else: {attach}");

    assert_secret_kept(&again, &machine.volume, tools, folder)?;
    let commands: Vec<u32> = bus(&again)?.of_init().map(Exchange::code).collect();
    let extend = commands.iter().position(|&command| command == code::PCR_EXTEND).context("no extend")?;
    let (ours, theirs) = commands.split_at(extend + 1);
    println!("commands on the bus: {} of storage-init, {} of systemd-cryptsetup", ours.len(), theirs.len());
    ensure!(ours.len() <= OURS, "storage-init sent {ours:x?}");
    Ok(())
}

/// What the image is measured as is no secret. A kernel that measures nothing boots an image of the attacker's, which extends register 13 by
/// just that: the register is the same, and register 11 is not, which the attacker's kernel is in itself.
fn other_kernel(bench: &Bench, folder: &Path) -> Result<()> {
    const REGISTERS: [&str; 2] = ["read /sys/class/tpm/tpm0/pcr-sha256/11", "read /sys/class/tpm/tpm0/pcr-sha256/13"];
    let tools = &bench.parts().tools;
    let machine = Machine::make(bench, folder, Volume::make(tools, folder)?)?;
    let both = [ENROL_TO_REGISTERS, ATTACH, TABLE, REGISTERS[0], REGISTERS[1]];
    let (first, record) = boot_configured(&machine, "1.0", &both, "require")?;
    ensure!(action(&first, 1)?.ends_with(ENROLLED), "systemd-cryptenroll: {}", action(&first, 1)?);
    opened(&first)?;
    machine.volume.forget_passphrase(tools, folder)?;

    let event = &record.measured.as_ref().context("nothing was measured")?.event;
    let pretend =
        format!("run /usr/bin/env SYSTEMD_FORCE_MEASURE=1 /usr/lib/systemd/systemd-pcrextend --pcr=13 {event}");
    let attack = [pretend.as_str(), ATTACH, TABLE, REGISTERS[0], REGISTERS[1]];
    let (other, record) = boot_configured(&machine, "6.6", &attack, "none")?;
    ensure!(record.measured.is_none(), "{record:?}");
    ensure!(action(&other, 1)?.ends_with(ENROLLED), "systemd-pcrextend: {}", action(&other, 1)?);
    ensure!(action(&other, 5)? == action(&first, 5)?, "register 13 is {}", action(&other, 5)?);
    ensure!(action(&other, 4)? != action(&first, 4)?, "register 11 is that of the kernel that measures");
    let (attach, table) = (action(&other, 2)?, action(&other, 3)?);
    ensure!(attach.contains("Failed to unseal secret using TPM2"), "it failed of something else: {attach}");
    ensure!(!table.contains(" crypt "), "another kernel has the volume: {attach}{table}");
    Ok(())
}

fn opened(outcome: &Outcome) -> Result<()> {
    let (attach, table) = (action(outcome, 2)?, action(outcome, 3)?);
    ensure!(attach.ends_with(ENROLLED), "systemd-cryptsetup: {attach}");
    ensure!(table.contains(" crypt aes-xts-plain64 "), "dmsetup: {table}");
    Ok(())
}

fn bus(outcome: &Outcome) -> Result<&Traffic> {
    outcome.tpm.as_ref().context("there was no TPM")
}
