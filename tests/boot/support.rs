// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every boot test needs: the bench, a folder, and the few assertions there are.

use std::cell::Cell;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boot_record::boot_json::{BootRecord, Measurement};
use boot_record::config::DEFAULT_PCR;
use boot_record::reason::Reason;
use bootlog::timeline::Timeline;
use libtest_mimic::Trial as Test;
use tpm_policy::Bank;
use xtask::boot_report::{self, Booted, Expected, Failure};
use xtask::disk::Ddi;
use xtask::log_strings;
use xtask::qemu::bench::Bench;
use xtask::qemu::tpm::traffic::{Exchange, code};
use xtask::qemu::volume::Volume;
use xtask::qemu::{Exit, Outcome};
use xtask::tools::Tools;

#[path = "../refusal_record.rs"]
mod refusal_record;

/// Lines of the console that a failed test repeats.
const CONSOLE_TAIL: usize = 40;

/// The bench, made by the first test that runs: listing tests builds nothing.
static BENCH: LazyLock<Result<Bench>> = LazyLock::new(Bench::open);

thread_local! {
    /// The test that runs in this thread.
    static CURRENT: Cell<&'static str> = const { Cell::new("") };
}

/// A test with a folder of its own, which stays if the test fails. Prints its seconds.
pub fn test(name: &'static str, body: impl FnOnce(&Bench, &Path) -> Result<()> + Send + 'static) -> Test {
    Test::test(name, move || {
        CURRENT.set(name);
        let bench = BENCH.as_ref().map_err(|error| format!("{error:#}"))?;
        let started = Instant::now();
        let mut folder = bench.folder(name).map_err(|error| format!("{error:#}"))?;
        let result = body(bench, folder.path());
        println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
        result.map_err(|error| {
            folder.keep();
            format!("{error:#}\nfiles: {}", folder.path().display()).into()
        })
    })
}

/// The one assertion of a good boot: everything that `cargo xtask qemu` asks of BOOT OK.
pub fn assert_boot_chain(outcome: &Outcome, expected: &Expected) -> Result<Booted> {
    match boot_report::check(outcome, expected) {
        Ok(booted) => {
            record_refusals(outcome)?;
            Ok(booted)
        }
        Err(failure) => bail!("{failure}\n{}", console(outcome)),
    }
}

/// The one assertion of a refused boot: storage-init's last words, then power off, and nothing of the image ran.
pub fn assert_refused(outcome: &Outcome, reason: Reason, device: &str) -> Result<()> {
    let refusal =
        boot_report::refusal(&outcome.console).with_context(|| format!("no refusal\n{}", console(outcome)))?;
    ensure!(
        (refusal.reason.as_str(), refusal.device.as_str()) == (reason.name(), device),
        "expected {reason}: {device}, found {refusal}\n{}",
        console(outcome)
    );
    ensure!(outcome.exit == Exit::PowerOff, "expected power off, found {:?}\n{}", outcome.exit, console(outcome));
    ensure!(outcome.report.is_none(), "the probe ran all the same\n{}", console(outcome));
    record_refusals(outcome)
}

/// A line of the console ends in these words.
pub fn said(outcome: &Outcome, words: &str) -> Result<()> {
    let said = outcome.console.iter().any(|line| line.ends_with(words));
    ensure!(said, "expected {words}\n{}", console(outcome));
    Ok(())
}

/// boot.json says that the image and its signer were measured, in these banks; gives the event.
pub fn assert_measured(record: &BootRecord, ddi: &Ddi, banks: &[Bank]) -> Result<String> {
    ensure!(record.measurement == Measurement::Measured, "{record:?}");
    let measured = record.measured.as_ref().context("boot.json does not say what was measured")?;
    ensure!(measured.pcr == DEFAULT_PCR, "{measured:?}");
    ensure!(measured.banks.iter().eq(banks.iter().map(|bank| bank.name())), "{measured:?}, expected {banks:?}");
    let event = format!("initoverlayfs-ddi:{}:{}", ddi.root_hash, record.signer.sha256);
    ensure!(measured.event == event.as_str(), "expected {event}, boot.json says {}", measured.event);
    Ok(event)
}

/// boot.json says that the volume is open, and the register latched.
pub fn assert_open(record: &BootRecord) -> Result<()> {
    ensure!(record.volumes.iter().any(|volume| volume.name == "data") && record.latched, "it is shut: {record:?}");
    Ok(())
}

/// boot.json says that the volume is not open, and in these words why.
pub fn assert_shut(record: &BootRecord, words: &str) -> Result<()> {
    ensure!(record.volumes.is_empty() && !record.latched, "the volume is open: {record:?}");
    let refusal = record.refused.first().context("nothing was refused")?;
    ensure!(refusal.reason == Reason::UnlockFailed && refusal.detail == words, "expected {words}, found {refusal:?}");
    Ok(())
}

/// A volume was opened by what the TPM unsealed, and who listened on the bus cannot open it: neither what [`code::UNSEAL`] answered nor its
/// base64, which is how systemd gives it to LUKS2, is a passphrase of the volume; nor is any part of the volume's key on it.
pub fn assert_secret_kept(outcome: &Outcome, volume: &Volume, tools: &Tools, folder: &Path) -> Result<()> {
    let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
    let answered = |exchange: &&Exchange| exchange.code() == code::UNSEAL && exchange.answer_code() == 0;
    let unsealed = traffic.of_init().find(answered).context("nobody unsealed anything")?;
    // Header (10), length of the parameters (4), length of the secret (2), the secret.
    let secret = unsealed.answer.get(16..48).context("the answer is too short for systemd's secret")?;
    for passphrase in [secret, BASE64.encode(secret).as_bytes()] {
        ensure!(!volume.opens_by(passphrase, tools, folder)?, "the bus shows the secret");
    }
    /// Bytes of the key that no other data have by chance.
    const PART: usize = 8;
    let mut parts = volume.key().chunks_exact(PART).peekable();
    ensure!(parts.peek().is_some(), "nobody knows the volume's key");
    ensure!(!parts.any(|part| traffic.shows(part)), "the bus shows a part of the volume's key");
    Ok(())
}

/// Puts what storage-init refused in this boot into the table of docs/security.md.
fn record_refusals(outcome: &Outcome) -> Result<()> {
    for Failure { reason, device, detail } in boot_report::refusals(&outcome.console) {
        refusal_record::record("boot", CURRENT.get(), &reason, &device, &detail).context("cannot record a refusal")?;
    }
    Ok(())
}

/// What an action of the probe came to, as text; `number` counts from 1.
pub fn action(outcome: &Outcome, number: usize) -> Result<String> {
    let report = outcome.report.as_ref().with_context(|| format!("no report\n{}", console(outcome)))?;
    Ok(String::from_utf8_lossy(report.bytes(&format!("action-{number}"))?).into_owned())
}

/// What the log of a boot that reached its init says, decoded by the strings of the boot binary that ran.
pub fn timeline(bench: &Bench, outcome: &Outcome) -> Result<Timeline> {
    let report = outcome.report.as_ref().with_context(|| format!("no report\n{}", console(outcome)))?;
    let decoded = log_strings::decode(bench.cache(), report.bytes("boot.defmt")?)?;
    ensure!(decoded.broken.is_empty() && decoded.header.lost == 0, "the log is not whole: {decoded:?}");
    Ok(Timeline::of(decoded.events())?)
}

/// The last lines of the console, for a failed test.
pub fn console(outcome: &Outcome) -> String {
    let tail = outcome.console.len().saturating_sub(CONSOLE_TAIL);
    let lines = outcome.console.get(tail..).unwrap_or_default();
    format!("console ({:.1} s, {:?}):\n  {}", outcome.elapsed.as_secs_f64(), outcome.exit, lines.join("\n  "))
}
