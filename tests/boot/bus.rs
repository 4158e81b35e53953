// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TPM that is slow, cut short, or not alone on its bus, while the image is measured. What else becomes of a measurement: see
//! [`crate::measure`].

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use boot_record::boot_json::Measurement;
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use sha2::{Digest, Sha256};
use xtask::disk::Ddi;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::tpm::script::{Fault, Rule};
use xtask::qemu::tpm::traffic::{Exchange, code};
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_refused, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("tpm_that_takes_its_time_to_answer_is_waited_for", |bench, folder| {
            measured(bench, folder, &[first_extend(Fault::Delay(LATE))]).map(drop)
        }),
        test("answer_to_the_extend_that_is_cut_ends_the_boot", |bench, folder| refused(bench, folder, Fault::Cut(14))),
        test("register_that_somebody_else_extends_first_is_not_the_image_s", foreign_extend),
    ]
}

/// The register of the image.
const PCR: u8 = 13;
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

/// Boots, and holds the register against what boot.json says was measured.
fn measured(bench: &Bench, folder: &Path, rules: &[Rule]) -> Result<Outcome> {
    let (outcome, ddi) = boot(bench, folder, rules)?;
    let event = event(&outcome, &ddi)?;
    let found = action(&outcome, 1)?;
    let wanted = extended([0; 32], &Sha256::digest(event.as_bytes()));
    ensure!(
        found.trim_end().eq_ignore_ascii_case(&hex(&wanted)),
        "register {PCR} is {found}, expected {}",
        hex(&wanted)
    );
    let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
    // The image's own init begins with reading the register.
    let commands = traffic.of_init().map(Exchange::code).take_while(|&command| command != code::PCR_READ);
    let commands: Vec<u32> = commands.collect();
    ensure!(commands == [code::PCR_EXTEND], "the bus saw {commands:x?}");
    Ok(outcome)
}

/// What was measured: the image that booted, and its signer.
fn event(outcome: &Outcome, ddi: &Ddi) -> Result<String> {
    let booted = assert_boot_chain(outcome, &expected("1.0", ddi, Source::Partition, false))?;
    let record = &booted.record;
    ensure!(record.measurement == Measurement::Measured, "{record:?}");
    let measured = record.measured.as_ref().context("boot.json does not say what was measured")?;
    ensure!(measured.pcr == PCR && measured.banks.iter().any(|bank| bank == "sha256"), "{measured:?}");
    let event = format!("initoverlayfs-ddi:{}:{}", ddi.root_hash, record.signer.sha256);
    ensure!(measured.event.as_str() == event, "expected {event}, boot.json says {}", measured.event);
    Ok(event)
}

/// A boot that has to be measured and cannot be.
fn refused(bench: &Bench, folder: &Path, fault: Fault) -> Result<()> {
    let (outcome, _) = boot(bench, folder, &[Rule { number: None, ..first_extend(fault) }])?;
    assert_refused(&outcome, Reason::TpmFailed, DEVICE)
}

/// Another program on the bus measures into the register before storage-init does: the boot goes on, as no rule of ours is broken, and the
/// register is not what a policy for the image says.
fn foreign_extend(bench: &Bench, folder: &Path) -> Result<()> {
    let foreign = [0x5a; 32];
    let (outcome, ddi) = boot(bench, folder, &[first_extend(Fault::After(extend_command(&foreign)))])?;
    let event = Sha256::digest(event(&outcome, &ddi)?.as_bytes());
    let found = action(&outcome, 1)?;
    let with = hex(&extended(extended([0; 32], &foreign), &event));
    ensure!(found.trim_end().eq_ignore_ascii_case(&with), "register {PCR} is {found}, expected {with}");
    Ok(())
}

/// TPM2_PCR_Extend of the SHA-256 bank, with the empty password (part 3, 22.2).
fn extend_command(digest: &[u8; 32]) -> Vec<u8> {
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

fn extended(before: [u8; 32], digest: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(digest).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
