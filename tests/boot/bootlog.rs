// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of a boot: what the booted system finds, and what the next boot finds of one that failed.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use bootlog::timeline::Outcome as Came;
use libtest_mimic::Trial as Test;
use std::path::Path;
use std::time::Duration;
use xtask::boot_report;
use xtask::qemu::Config;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::tamper::Tamper;

use crate::support::{assert_boot_chain, test, timeline};

pub fn tests() -> Vec<Test> {
    vec![
        test("log_has_every_stage_and_the_candidate_that_was_refused", refused_candidate),
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
    for (span, record) in log.stages.iter().zip(&booted.record.stages) {
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
    let trial = Trial { config, disk: Some(disk), late: Some(LATE), ..Trial::default() };
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
