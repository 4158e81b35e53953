// SPDX-License-Identifier: MIT OR Apache-2.0
//! UEFI with Secure Boot and keys of our own: what is started, what firmware refuses, and what else it hands on.

use std::path::Path;

use anyhow::{Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use xtask::disk::Ddi;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::firmware::{ByFirmware, DENIED, NOTHING_LEFT, Signature};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::tpm::traffic::code;
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::{Config, Exit, Outcome};

use crate::support::{action, assert_boot_chain, assert_refused, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("signed_uki_boots_and_is_measured", signed),
        test("unsigned_uki_is_refused_by_the_firmware", |bench, folder| {
            denied(bench, folder, ByFirmware { signature: Signature::None, ..ByFirmware::default() })
        }),
        test("uki_signed_by_another_key_is_refused_by_the_firmware", |bench, folder| {
            denied(bench, folder, ByFirmware { signature: Signature::Stranger, ..ByFirmware::default() })
        }),
        test("uki_with_an_altered_command_line_is_refused_by_the_firmware", |bench, folder| {
            denied(bench, folder, ByFirmware { altered: Some(COMMAND_LINE), ..ByFirmware::default() })
        }),
        test("uki_with_an_altered_configuration_is_refused_by_the_firmware", |bench, folder| {
            denied(bench, folder, ByFirmware { altered: Some("measure = none"), ..ByFirmware::default() })
        }),
        test("words_that_a_hypervisor_adds_to_the_command_line_are_refused", added_words),
        test("files_that_the_stub_finds_beside_the_uki_have_no_effect", companions),
    ]
}

/// Of a UKI without further words.
const COMMAND_LINE: &str = "console=ttyAMA0 panic=-1";
/// Registers that firmware (0, 4, 7) and stub (11) extend before the kernel runs.
const MEASURED: [u32; 4] = [0, 4, 7, 11];
/// Those of the stub's additions, of which there are none, and of the image, which is not measured here.
const UNTOUCHED: [u32; 2] = [12, 13];
/// Words that systemd's stub takes from the machine's OEM strings, Secure Boot or not.
const ADDED_WORDS: &str = "io.systemd.stub.kernel-cmdline-extra=systemd.run=/bin/sh";
/// Where the stub of BOOTAA64.EFI looks for credentials and system extensions, and a name of each.
const COMPANIONS: [(&str, &[u8]); 2] = [
    ("EFI/BOOT/BOOTAA64.EFI.extra.d/init.cred", b"not for storage-init"),
    ("EFI/BOOT/BOOTAA64.EFI.extra.d/init.raw", b"no image at all"),
];

fn config() -> Config {
    Config { kernel: KernelChoice::Measured, sources: vec![Source::EspFile], ..Config::default() }
}

/// Boots an image that lies beside the UKI on the ESP.
fn boot(
    bench: &Bench,
    folder: &Path,
    by_firmware: ByFirmware<'_>,
    trial: Trial<'_>,
    actions: &[&str],
) -> Result<(Outcome, Ddi)> {
    let ddi = bench.small_ddi(folder, &Small { actions, ..Small::default() })?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let trial = Trial { config: config(), firmware: Some(by_firmware), disk: Some(disk), ..trial };
    Ok((bench.boot(folder, &trial)?, ddi))
}

/// The whole chain, and the measurements that no later stage can take back: the kernel has the registers that firmware and stub
/// extended.
fn signed(bench: &Bench, folder: &Path) -> Result<()> {
    let chip = Chip::make(&bench.parts().tools, folder, "tpm")?;
    let trial = Trial { tpm: Some(Attached { chip: &chip, rules: &[] }), ..Trial::default() };
    let read = |number: &u32| format!("read /sys/class/tpm/tpm0/pcr-sha256/{number}");
    let registers: Vec<String> = MEASURED.iter().chain(&UNTOUCHED).map(read).collect();
    let mut actions: Vec<&str> = registers.iter().map(String::as_str).collect();
    actions.push("read /proc/cmdline");
    let (outcome, ddi) = boot(bench, folder, ByFirmware::default(), trial, &actions)?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false))?;
    for (index, register) in MEASURED.iter().chain(&UNTOUCHED).enumerate() {
        let value = action(&outcome, index + 1)?;
        let wanted = UNTOUCHED.contains(register);
        ensure!(is_zero(&value)? == wanted, "register {register} is {value}");
    }
    let words = action(&outcome, MEASURED.len() + UNTOUCHED.len() + 1)?;
    ensure!(words.trim_end() == COMMAND_LINE, "the kernel's command line is {words}");

    let traffic = outcome.tpm.as_ref().ok_or_else(|| anyhow::anyhow!("there was no TPM"))?;
    ensure!(
        traffic.before_init().any(|exchange| exchange.code() == code::PCR_EXTEND && exchange.answer_code() == 0),
        "the bus saw no measurement of the firmware"
    );
    Ok(())
}

/// A register as sysfs shows it: 64 hexadecimal digits.
fn is_zero(register: &str) -> Result<bool> {
    let digits = register.trim_end();
    ensure!(digits.len() == 64, "no register of SHA-256: {register:?}");
    Ok(digits.bytes().all(|digit| digit == b'0'))
}

/// Firmware says why, and has nothing else to start; no kernel ran.
fn denied(bench: &Bench, folder: &Path, by_firmware: ByFirmware<'_>) -> Result<()> {
    let trial = Trial { until: Some(NOTHING_LEFT), ..Trial::default() };
    let (outcome, _) = boot(bench, folder, by_firmware, trial, &[])?;
    ensure!(outcome.exit == Exit::Line, "firmware did not give up\n{}", console(&outcome));
    let says = |text: &str| outcome.console.iter().any(|line| line.contains(text));
    ensure!(says(DENIED), "firmware did not say {DENIED}\n{}", console(&outcome));
    ensure!(!says("Linux version") && !says("EFI stub"), "a kernel ran\n{}", console(&outcome));
    ensure!(outcome.report.is_none(), "the probe ran\n{}", console(&outcome));
    Ok(())
}

/// Who runs the virtual machine is no party to the signature; what he adds is measured, and refused.
fn added_words(bench: &Bench, folder: &Path) -> Result<()> {
    let by_firmware = ByFirmware { oem_strings: &[ADDED_WORDS], ..ByFirmware::default() };
    let (outcome, _) = boot(bench, folder, by_firmware, Trial::default(), &[])?;
    assert_refused(&outcome, Reason::CommandLine, "/proc/cmdline")
}

/// They arrive in the initramfs as further archives, below /.extra: neither init nor configuration is replaced.
fn companions(bench: &Bench, folder: &Path) -> Result<()> {
    let by_firmware = ByFirmware { esp_files: &COMPANIONS, ..ByFirmware::default() };
    let (outcome, ddi) = boot(bench, folder, by_firmware, Trial::default(), &[])?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false)).map(drop)
}
