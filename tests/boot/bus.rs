// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TPM that is slow, cut short, or not alone on its bus, while the image is measured. What else becomes of a measurement: see
//! [`crate::measure`].

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use boot_record::boot_json::BootRecord;
use boot_record::config::{DEFAULT_PCR, Source};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use libtest_mimic::Trial as Test;
use tpm_policy::{Bank, pcr};
use xtask::disk::Ddi;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::tpm::script::{Fault, Rule};
use xtask::qemu::tpm::traffic::{Exchange, code};
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_measured, assert_refused, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("tpm_that_takes_its_time_to_answer_is_waited_for", late),
        test("answer_to_the_extend_that_is_cut_ends_the_boot", |bench, folder| refused(bench, folder, Fault::Cut(14))),
        test("register_that_somebody_else_extends_first_is_not_the_image_s", foreign_extend),
    ]
}

/// The register of the image.
const PCR: u8 = DEFAULT_PCR;
/// Of a slow TPM. The kernel gives this command 750 ms (TPM2_DURATION_MEDIUM, include/linux/tpm.h); an answer after that is lost.
const LATE: Duration = Duration::from_millis(400);
/// Where the image lies.
const DEVICE: &str = "vda1";

fn first_extend(fault: Fault) -> Rule {
    Rule { command: code::PCR_EXTEND, number: Some(1), fault }
}

fn boot(bench: &Bench, folder: &Path, rules: &[Rule]) -> Result<(Outcome, Ddi)> {
    let chip = Chip::make(&bench.parts().tools, folder, "tpm")?;
    let register = format!("read /sys/class/tpm/tpm0/pcr-sha256/{PCR}");
    let ddi = bench.small_ddi(folder, &Small { actions: &[&register], ..Small::default() })?;
    let trial = Trial {
        config: Config { kernel: KernelChoice::Measured, measure: "require", ..Config::default() },
        tpm: Some(Attached { chip: &chip, rules }),
        disk: Some(bench::disk(Source::Partition, &[("1.0", &ddi)])),
        ..Trial::default()
    };
    Ok((bench.boot(folder, &trial)?, ddi))
}

/// The register is what boot.json says was measured, and the wait is in the stage that waited.
fn late(bench: &Bench, folder: &Path) -> Result<()> {
    let (outcome, ddi) = boot(bench, folder, &[first_extend(Fault::Delay(LATE))])?;
    let (record, event) = measured(&outcome, &ddi)?;
    assert_register(&outcome, &[event.as_bytes()])?;
    let stage = record.stages.iter().find(|stage| stage.stage == Stage::Measure).context("no stage")?;
    ensure!(u128::from(stage.took_us) >= LATE.as_micros(), "the stage took {} us", stage.took_us);
    let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
    // The image's own init begins with reading the register.
    let commands = traffic.of_init().map(Exchange::code).take_while(|&command| command != code::PCR_READ);
    let commands: Vec<u32> = commands.collect();
    ensure!(commands == [code::PCR_EXTEND], "the bus saw {commands:x?}");
    Ok(())
}

/// The register that the guest reads is one that these events were measured into.
fn assert_register(outcome: &Outcome, events: &[&[u8]]) -> Result<()> {
    let found = action(outcome, 1)?;
    let wanted = pcr::after(Bank::Sha256, events.iter().copied()).to_string();
    ensure!(found.trim_end().eq_ignore_ascii_case(&wanted), "register {PCR} is {found}, expected {wanted}");
    Ok(())
}

/// A boot that measured the image that it booted, and its signer; what it recorded, and the event.
fn measured(outcome: &Outcome, ddi: &Ddi) -> Result<(BootRecord, String)> {
    let booted = assert_boot_chain(outcome, &expected("1.0", ddi, Source::Partition, false))?;
    let event = assert_measured(&booted.record, ddi, &[Bank::Sha1, Bank::Sha256])?;
    Ok((booted.record, event))
}

/// A boot that has to be measured and cannot be.
fn refused(bench: &Bench, folder: &Path, fault: Fault) -> Result<()> {
    let (outcome, _) = boot(bench, folder, &[Rule { number: None, ..first_extend(fault) }])?;
    assert_refused(&outcome, Reason::TpmFailed, DEVICE)
}

/// Another program on the bus measures into the register before storage-init does: the boot goes on, as no rule of ours is broken, and the
/// register is not what a policy for the image says.
fn foreign_extend(bench: &Bench, folder: &Path) -> Result<()> {
    const FOREIGN: &[u8] = b"somebody else";
    let command = extend_command(Bank::Sha256.digest(&[FOREIGN]).as_bytes());
    let (outcome, ddi) = boot(bench, folder, &[first_extend(Fault::After(command))])?;
    let (_, event) = measured(&outcome, &ddi)?;
    assert_register(&outcome, &[FOREIGN, event.as_bytes()])
}

/// TPM2_PCR_Extend of the SHA-256 bank, with the empty password (part 3, 22.2).
fn extend_command(digest: &[u8]) -> Vec<u8> {
    let body = [
        // TPM_ST_SESSIONS, the length of all, TPM_CC_PCR_Extend, the register.
        &[0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, PCR][..],
        // Nine bytes of authorization: TPM_RS_PW, no nonce, no attributes, no password.
        &[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0],
        // One digest: TPM_ALG_SHA256.
        &[0, 0, 0, 1, 0, 0x0b],
        digest,
    ];
    body.concat()
}
