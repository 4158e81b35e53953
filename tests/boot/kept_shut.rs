// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that stay shut, each for what is wrong with the TPM, its bus, the token or the header; and that they open again once that is
//! right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use boot_record::boot_json::{BootRecord, Measurement};
use boot_record::config::Source;
use boot_record::stage::Stage;
use libtest_mimic::Trial as Test;
use xtask::qemu::bench::{self, Bench, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::machine::{ATTACH, ENROLLED, Machine, Powered, WANTED};
use xtask::qemu::tpm::script::{Fault, Rule};
use xtask::qemu::tpm::traffic::{Exchange, code};
use xtask::qemu::volume::Volume;
use xtask::qemu::{Config, Outcome};
use xtask::tamper::image;

use crate::support::{action, assert_boot_chain, assert_open, assert_shut, said, test};
use crate::unlock::{ACTIONS, make};

pub fn tests() -> Vec<Test> {
    vec![
        test("tpm_that_is_locked_or_reset_in_mid_session_gives_no_key", locked_or_reset),
        test("volume_in_another_board_stays_shut", another_board),
        test("volume_is_left_to_the_system_whose_policy_holds_nobody_off_or_wants_a_pin", left_to_the_system),
        test("volume_whose_first_header_is_bad_opens_by_the_second", second_header),
        test("tpm_that_hangs_in_its_driver_is_left_behind", hanging),
    ]
}

/// What the boot stage says of a TPM that does not know a handle (TPM_RC_REFERENCE_H0): the object went with the reset.
const FORGOTTEN: &str = "TPM_RC 0x910";

/// One boot of an image that may have the volume, and does not need it.
fn boot(
    machine: &Machine<'_>,
    version: &str,
    actions: &[&str],
    more: &'static str,
    rules: &[Rule],
) -> Result<(Outcome, BootRecord)> {
    let ddi = machine.ddi(version, actions, &[])?;
    let config = Config { kernel: KernelChoice::Measured, measure: "require", more, ..Config::default() };
    let disk = bench::disk(Source::Partition, &[(version, &ddi)]);
    let outcome = machine.boot(Powered { config, firmware: None, disk, rules })?;
    let record = assert_boot_chain(&outcome, &expected(version, &ddi, Source::Partition, false))?.record;
    Ok((outcome, record))
}

/// The image that the volume of [`make`] was enrolled to.
fn enrolled_image(machine: &Machine<'_>, rules: &[Rule]) -> Result<(Outcome, BootRecord)> {
    boot(machine, "1.0", &ACTIONS, WANTED, rules)
}

fn locked_or_reset(bench: &Bench, folder: &Path) -> Result<()> {
    const LOCKOUT: u32 = 0x921;
    let machine = make(bench, folder)?;
    for (command, fault, words) in [
        (code::UNSEAL, Fault::Code(LOCKOUT), "the TPM is locked after too many wrong passwords".to_owned()),
        (code::UNSEAL, Fault::Reset(false), "TPM2_Unseal: TPM_RC_INITIALIZE".to_owned()),
        (code::UNSEAL, Fault::Reset(true), format!("TPM2_Unseal: {FORGOTTEN}")),
        (code::POLICY_PCR, Fault::Reset(true), format!("TPM2_PolicyPCR: {FORGOTTEN}")),
    ] {
        let rule = Rule { command, number: Some(1), fault };
        let (_, record) = enrolled_image(&machine, std::slice::from_ref(&rule))?;
        assert_shut(&record, &format!("token 0: {words}")).with_context(|| format!("{rule:?}"))?;
    }
    assert_open(&enrolled_image(&machine, &[])?.1)
}

/// The disk, without its board: another TPM, at first as it left its factory, then one that somebody used.
fn another_board(bench: &Bench, folder: &Path) -> Result<()> {
    let elsewhere = folder.join("elsewhere");
    std::fs::create_dir(&elsewhere)?;
    let mut machine = make(bench, folder)?;
    let own = machine.chip.clone();

    machine.chip = xtask::qemu::tpm::Chip::make(&bench.parts().tools, folder, "new")?;
    let (_, record) = enrolled_image(&machine, &[])?;
    assert_shut(&record, "token 0: no storage root key at 0x81000001")?;

    machine.chip = make(bench, &elsewhere)?.chip;
    let (_, record) = enrolled_image(&machine, &[])?;
    assert_shut(&record, "token 0: sealed under another storage root key than that at 0x81000001")?;

    machine.chip = own;
    assert_open(&enrolled_image(&machine, &[])?.1)
}

/// What systemd-cryptenroll enrols and the boot stage has no use for. The system opens it all the same, if it knows the PIN.
fn left_to_the_system(bench: &Bench, folder: &Path) -> Result<()> {
    /// The token of the enrolment before goes with it, once there is the next.
    const ENROL: &str =
        "systemd-cryptenroll --unlock-key-file=/probe/passphrase --wipe-slot=tpm2 --tpm2-device=/dev/tpmrm0";
    let machine = Machine::make(bench, folder, Volume::make(&bench.parts().tools, folder)?)?;
    let enrol =
        |pcrs: &str, more: &str| format!("run /usr/bin/env NEWPIN=1234 {ENROL} --tpm2-pcrs={pcrs} {more} /dev/vda1");
    let mut refused = "no token of type systemd-tpm2";
    for (version, pcrs, more, next, opens) in [
        ("1.0", "13", "", "token 0: policy over register 13 alone, which any kernel can extend", true),
        ("1.1", "11+13+16", "", "token 1: policy over register 16, which a running system can reset", true),
        ("1.2", "11+13", "--tpm2-with-pin=yes", "token 0: wants a PIN", false),
        ("1.3", "11+13", "", "", true),
    ] {
        let (outcome, record) = boot(&machine, version, &[&enrol(pcrs, more), ATTACH], WANTED, &[])?;
        assert_shut(&record, refused)?;
        let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
        let first = traffic.of_init().map(Exchange::code).next();
        ensure!(first == Some(code::PCR_EXTEND), "the TPM was asked for what is not to be had: {first:x?}");
        ensure!(action(&outcome, 1)?.ends_with(ENROLLED), "systemd-cryptenroll: {}", action(&outcome, 1)?);
        let attached = action(&outcome, 2)?;
        ensure!(attached.ends_with(ENROLLED) == opens, "systemd-cryptsetup after {version}: {attached}");
        refused = next;
    }
    Ok(())
}

/// As [`WANTED`], with discards.
const DISCARDING: &str = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\nunlock-discard = on\n";
/// Bytes of the volume at which the JSON of a header's copies begins.
const JSON: [u64; 2] = [4096, (16 << 10) + 4096];

fn second_header(bench: &Bench, folder: &Path) -> Result<()> {
    let mut machine = make(bench, folder)?;
    let whole = machine.volume.image().to_owned();
    let copy = |name: &str, at: &[u64]| -> Result<PathBuf> {
        let copy = folder.join(name);
        std::fs::copy(&whole, &copy)?;
        at.iter().try_for_each(|at| image::flip_bit(&copy, *at))?;
        Ok(copy)
    };
    let [first, _] = JSON;
    machine.volume = Volume::at(copy("first-bad.img", &[first])?);
    let (outcome, record) = boot(&machine, "1.0", &ACTIONS, DISCARDING, &[])?;
    assert_open(&record)?;
    let table = action(&outcome, 2)?;
    ensure!(table.contains(" allow_discards"), "discards are configured, and dmsetup says {table}");

    machine.volume = Volume::at(whole.clone());
    let (outcome, record) = enrolled_image(&machine, &[])?;
    assert_open(&record)?;
    let table = action(&outcome, 2)?;
    ensure!(!table.contains("discard"), "discards are not configured, and dmsetup says {table}");

    machine.volume = Volume::at(copy("both-bad.img", &JSON)?);
    let (_, record) = enrolled_image(&machine, &[])?;
    let refusal = record.refused.first().context("nothing was refused")?;
    ensure!(record.volumes.is_empty() && refusal.detail.starts_with("luks2: checksum "), "{record:?}");
    Ok(())
}

/// The kernel gives TPM2_Load two minutes (TPM2_DURATION_DEFAULT, drivers/char/tpm/tpm2-cmd.c), and lets go of nobody meanwhile who waits for
/// it. PID 1 does not wait: it measures nothing, kills who waits, and goes on as the configuration says.
fn hanging(bench: &Bench, folder: &Path) -> Result<()> {
    const HANGS: Duration = Duration::from_secs(10);
    let mut machine = make(bench, folder)?;
    machine.late = Some(code::LOAD);
    let ddi = machine.ddi("1.0", &[], &[])?;
    let more = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\ntpm-deadline = 300ms\n";
    let kernel = KernelChoice::Measured;
    let config = Config { kernel, measure: "prefer", more, ..Config::default() };
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let rules = [Rule { command: code::LOAD, number: Some(1), fault: Fault::Delay(HANGS) }];
    let outcome = machine.boot(Powered { config, firmware: None, disk, rules: &rules })?;
    let record = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?.record;
    ensure!(record.measurement == Measurement::TpmFailed && record.volumes.is_empty(), "{record:?}");
    // Without the wait for the disk.
    let stages = record.stages.iter().filter(|stage| stage.stage != Stage::Discover);
    let took: u64 = stages.map(|stage| stage.took_us).sum();
    ensure!(u128::from(took) < HANGS.as_micros() / 2, "the boot stage waited: {took} us");
    said(&outcome, "not measured: tpm-failed: tpm-unlock: no answer in time")?;
    said(&outcome, "tpm-unlock: killed, and not gone: the kernel waits for the TPM, which nobody else can use")
}
