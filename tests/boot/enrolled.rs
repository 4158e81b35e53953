// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that systemd enrolled in the guest, by what firmware, stub and storage-init measured: they open again on the same machine with
//! the same image, and with no other.
//!
//! Each is one machine over several boots: its TPM's state and its disk stay.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use xtask::qemu::bench::{self, Bench, expected};
use xtask::qemu::firmware::ByFirmware;
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::machine::{Machine, Powered};
use xtask::qemu::tpm::traffic::{Exchange, Traffic, code};
use xtask::qemu::volume::{PASSPHRASE, Volume};
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_secret_kept, test};

pub fn tests() -> Vec<Test> {
    vec![test("volume_that_systemd_enrolled_opens_with_the_measured_image_alone", by_systemd)]
}

/// Enrols the volume to what the stub measured of the UKI, and what storage-init did of the image.
const ENROL: &str = "run /usr/bin/systemd-cryptenroll --unlock-key-file=/probe/passphrase --tpm2-device=/dev/tpmrm0 \
                     --tpm2-pcrs=11+13 /dev/vda1";
/// Opens it, as systemd's units would.
const ATTACH: &str = "run /usr/bin/env DM_DISABLE_UDEV=1 /usr/bin/systemd-cryptsetup attach data /dev/vda1 - \
                      tpm2-device=/dev/tpmrm0,headless=true,token-timeout=5s";
const TABLE: &str = "run /usr/sbin/dmsetup table data";
const OK: &str = "exit status 0";
/// Commands that storage-init may send until the image is measured.
const OURS: usize = 2;

/// One boot of an image that does this; it has to be measured.
fn boot(machine: &Machine<'_>, version: &str, actions: &[&str]) -> Result<Outcome> {
    let ddi = machine.ddi(version, actions, &[])?;
    let config = Config {
        kernel: KernelChoice::Measured,
        sources: vec![Source::EspFile],
        measure: "require",
        ..Config::default()
    };
    let firmware = Some(ByFirmware::default());
    let disk = bench::disk(Source::EspFile, &[(version, &ddi)]);
    let outcome = machine.boot(Powered { config, firmware, disk, rules: &[] })?;
    assert_boot_chain(&outcome, &expected(version, &ddi, Source::EspFile, false))?;
    Ok(outcome)
}

/// The image of two boots is the same one, to the bit, so that it does both: enrol, which succeeds only as long as the volume has its
/// passphrase, and open.
fn by_systemd(bench: &Bench, folder: &Path) -> Result<()> {
    let tools = &bench.parts().tools;
    let machine = Machine::make(bench, folder, Volume::make(tools, folder)?)?;
    let both = [ENROL, ATTACH, TABLE];
    let first = boot(&machine, "1.0", &both)?;
    ensure!(action(&first, 1)?.ends_with(OK), "systemd-cryptenroll: {}", action(&first, 1)?);
    opened(&first)?;
    ensure!(machine.volume.opens_by(PASSPHRASE.as_bytes(), tools, folder)?, "the volume lost its passphrase");
    machine.volume.forget_passphrase(tools, folder)?;

    let again = boot(&machine, "1.0", &both)?;
    ensure!(!action(&again, 1)?.ends_with(OK), "it was enrolled once more: {}", action(&again, 1)?);
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

fn opened(outcome: &Outcome) -> Result<()> {
    let (attach, table) = (action(outcome, 2)?, action(outcome, 3)?);
    ensure!(attach.ends_with(OK), "systemd-cryptsetup: {attach}");
    ensure!(table.contains(" crypt aes-xts-plain64 "), "dmsetup: {table}");
    Ok(())
}

fn bus(outcome: &Outcome) -> Result<&Traffic> {
    outcome.tpm.as_ref().context("there was no TPM")
}
