// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of a boot: what the booted system finds, and what the next boot finds of one that failed.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use bootlog::report::Report;
use bootlog::timeline::{Outcome as Came, Timeline};
use libtest_mimic::Trial as Test;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xtask::boot_report;
use xtask::log_strings;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::{Config, Exit, KeptMemory, Late};
use xtask::tamper::Tamper;

use crate::support::{action, assert_boot_chain, console, test, timeline};

pub fn tests() -> Vec<Test> {
    vec![
        test("log_has_every_stage_and_the_candidate_that_was_refused", refused_candidate),
        test("log_of_a_refused_boot_is_shown_by_the_next_one_cause_first", refused_boot),
        test("log_of_a_boot_that_panicked_is_shown_by_the_next_one_cause_first", panicked_boot),
        test("log_of_a_refused_boot_has_what_its_tpm_was_asked", refused_boot_with_a_tpm),
        test("log_has_the_wait_for_a_late_disk", late_disk),
    ]
}

/// How late the disk is, and milliseconds that the guest's clock may count less of it.
const LATE: Duration = Duration::from_secs(3);
const EARLIER: u64 = 2000;

/// boot.json and the log are written by the same hand, but by different code, and read by different code.
fn refused_candidate(bench: &Bench, folder: &Path) -> Result<()> {
    let good = bench.small_ddi(folder, &Small::default())?;
    let bad = Small { version: "2.0", tamper: Some(Tamper::Unsigned), ..Small::default() };
    let disk = bench::disk(Source::EspFile, &[("1.0", &good), ("2.0", &bench.small_ddi(folder, &bad)?)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &good, Source::EspFile, false))?;
    let log = timeline(bench, &outcome)?;

    let of_log: Vec<Stage> = log.stages.iter().map(|span| span.stage).collect();
    let of_record: Vec<Stage> = booted.record.stages.iter().map(|record| record.stage).collect();
    ensure!(of_log == of_record, "stages of the log: {of_log:?}, of boot.json: {of_record:?}");
    for (span, record) in log.stages.iter().zip(booted.record.stages.iter()) {
        ensure!(*span.detail == *record.detail, "{:?}: boot.json has {:?}", span, record.detail);
        ensure!(span.start_us >= record.start_us, "{span:?}: boot.json has {}", record.start_us);
        let end_us = span.end_us.with_context(|| format!("{span:?} has no end"))?;
        ensure!(end_us >= record.start_us + record.took_us, "{span:?}: boot.json has {record:?}");
    }
    let refused: Vec<_> =
        log.stages.iter().filter_map(|span| span.refused.map(|reason| (span.stage, reason))).collect();
    ensure!(refused == [(Stage::Verify, Reason::Unsigned)], "refused: {refused:?}");
    let marks: Vec<&str> = log.marks.iter().map(|mark| mark.text.as_str()).collect();
    let wanted = "refused: unsigned: vda1:/initoverlayfs/initoverlayfs_2.0.raw: ";
    ensure!(marks.len() == 1 && marks.iter().all(|mark| mark.starts_with(wanted)), "marks: {marks:?}");
    let Came::HandedOver { at_us, device, .. } = &log.outcome else { anyhow::bail!("{}", log.outcome) };
    ensure!(device == "vda1:/initoverlayfs/initoverlayfs_1.0.raw" && *at_us == log.end_us, "{:?}", log.outcome);
    Ok(())
}

fn late_disk(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = Config { device_deadline: "60s", ..Config::default() };
    let trial = Trial { config, disk: Some(disk), late: Some(Late::By(LATE)), ..Trial::default() };
    let outcome = bench.boot(folder, &trial)?;
    boot_report::check(&outcome, &expected("1.0", &ddi, Source::Partition, false))
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let log = timeline(bench, &outcome)?;
    let [wait] = log.waits.as_slice() else { anyhow::bail!("waits: {:?}", log.waits) };
    let took = wait.end_us.context("the wait has no end")? - wait.start_us;
    let least = u64::try_from(LATE.as_micros())?.saturating_sub(log.start_us + EARLIER * 1000);
    ensure!(wait.what == "a disk" && took >= least, "waited {took} µs for {}, expected {least} or more", wait.what);
    Ok(())
}

/// What the next boot does: shows the log of the one before.
const SHOW: [&str; 3] =
    ["mount pstore /sys/fs/pstore", "run /usr/bin/bootlog --previous", "read /sys/fs/pstore/pmsg-ramoops-0"];

/// Boots a good image in the memory that a boot before left, which `bootlog --previous` in it shows; gives its lines.
fn next_boot(bench: &Bench, folder: &Path, memory: &KeptMemory) -> Result<String> {
    let folder = made(folder, "next")?;
    let ddi = bench.small_ddi(&folder, &Small { actions: &SHOW, bootlog: true, ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let trial = Trial { disk: Some(disk), memory: Some(memory), ..Trial::default() };
    let outcome = bench.boot(&folder, &trial)?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?;
    ensure!(action(&outcome, 1)? == "ok", "mount of pstore: {}", action(&outcome, 1)?);
    let shown = action(&outcome, 2)?;
    // The same memory, read by the host: the boot's own log is not the one that is shown.
    let kept = outcome.report.as_ref().context("no report")?.bytes("action-3")?;
    let decoded = log_strings::decode(bench.cache(), kept)?;
    let report = Report { timeline: &Timeline::of(decoded.events())?, decoded: &decoded }.to_string();
    let shown = shown.strip_suffix("exit status 1").with_context(|| format!("bootlog --previous: {shown}"))?;
    ensure!(shown.trim_end() == report.trim_end(), "the guest shows\n{shown}\nthe host\n{report}");
    Ok(report)
}

fn refused_boot(bench: &Bench, folder: &Path) -> Result<()> {
    let memory = KeptMemory::make(&bench.parts().tools, folder)?;
    let first = made(folder, "first")?;
    let bad = bench.small_ddi(&first, &Small { tamper: Some(Tamper::SignatureBit), ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[("1.0", &bad)]);
    let trial = Trial { disk: Some(disk), memory: Some(&memory), ..Trial::default() };
    let outcome = bench.boot(&first, &trial)?;
    // Not assert_refused: the table of refusals has this input already.
    let refusal = boot_report::refusal(&outcome.console).with_context(|| console(&outcome))?;
    ensure!(refusal.reason == Reason::SignatureRejected.name(), "{refusal}\n{}", console(&outcome));

    let report = next_boot(bench, folder, &memory)?;
    ensure!(report.starts_with("BOOT FAILED: signature-rejected: vda1: "), "{report}");
    ensure!(
        report.lines().any(|line| line.starts_with("verify") && line.ends_with("refused: signature-rejected")),
        "{report}"
    );
    Ok(())
}

/// The image is measured, and bad: the boot ends, and its log says what the TPM did before.
fn refused_boot_with_a_tpm(bench: &Bench, folder: &Path) -> Result<()> {
    let tools = &bench.parts().tools;
    let memory = KeptMemory::make_with_tpm(tools, folder)?;
    let first = made(folder, "first")?;
    let chip = Chip::make(tools, &first, "tpm")?;
    let bad = bench.small_ddi(&first, &Small { tamper: Some(Tamper::Tree), ..Small::default() })?;
    let trial = Trial {
        config: Config { kernel: KernelChoice::Measured, measure: "require", ..Config::default() },
        tpm: Some(Attached { chip: &chip, rules: &[] }),
        disk: Some(bench::disk(Source::Partition, &[("1.0", &bad)])),
        memory: Some(&memory),
        ..Trial::default()
    };
    let outcome = bench.boot(&first, &trial)?;
    let refusal = boot_report::refusal(&outcome.console).with_context(|| console(&outcome))?;
    ensure!(refusal.reason == Reason::Corrupt.name(), "{refusal}\n{}", console(&outcome));

    let report = next_boot(bench, folder, &memory)?;
    ensure!(report.starts_with("BOOT FAILED: corrupt: vda1: "), "{report}");
    let line = |end: &str| report.lines().position(|line| line.ends_with(end)).with_context(|| report.clone());
    ensure!(line("| TPM2_PCR_Extend")? < line("| refused: corrupt")?, "{report}");
    Ok(())
}

fn panicked_boot(bench: &Bench, folder: &Path) -> Result<()> {
    let memory = KeptMemory::make(&bench.parts().tools, folder)?;
    let first = made(folder, "first")?;
    let ddi = bench.small_ddi(&first, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = Config { more: "dangerously-panic-at = activate", ..Config::default() };
    let trial = Trial { config, disk: Some(disk), memory: Some(&memory), ..Trial::default() };
    let outcome = bench.boot(&first, &trial)?;
    ensure!(outcome.exit == Exit::Reset, "expected a reset\n{}", console(&outcome));

    let report = next_boot(bench, folder, &memory)?;
    ensure!(report.starts_with("BOOT FAILED: panic: storage-init: "), "{report}");
    ensure!(report.lines().any(|line| line.starts_with("activate") && line.ends_with("refused: panic")), "{report}");
    Ok(())
}

fn made(folder: &Path, name: &str) -> Result<PathBuf> {
    let made = folder.join(name);
    std::fs::create_dir(&made).with_context(|| format!("cannot make {}", made.display()))?;
    Ok(made)
}
