// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong only after exec is the kernel's to find: an I/O error, never altered data.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::boot_report;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::tamper::Tamper;
use xtask::userspace::{LATE_FILE, late_contents};

use crate::support::{action, assert_boot_chain, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("data_that_only_init_reads_is_verified", good_late_data),
        test("flipped_bit_in_data_that_only_init_reads_is_an_io_error", bad_late_data),
        test("esp_can_be_mounted_and_the_file_deleted_while_in_use", deleted_file),
    ]
}

/// EIO of errno(3).
const IO_ERROR: &str = "error: 5";

fn good_late_data(bench: &Bench, folder: &Path) -> Result<()> {
    let read = format!("read /{LATE_FILE}");
    let ddi = bench.small_ddi(folder, &Small { actions: &[&read], ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?;
    let report = outcome.report.as_ref().context("no report")?;
    ensure!(report.bytes("action-1")? == late_contents(), "the file has other contents than were built");
    Ok(())
}

fn bad_late_data(bench: &Bench, folder: &Path) -> Result<()> {
    let read = format!("read /{LATE_FILE}");
    let small = Small { actions: &[&read], tamper: Some(Tamper::DataLate), ..Small::default() };
    let ddi = bench.small_ddi(folder, &small)?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    let found = action(&outcome, 1)?;
    ensure!(found == IO_ERROR, "read: expected {IO_ERROR}, found {} bytes\n{}", found.len(), console(&outcome));
    // And the chain says so: the device's status is no longer V.
    let failure = match boot_report::check(&outcome, &expected("1.0", &ddi, Source::EspFile, false)) {
        Err(failure) => failure,
        Ok(booted) => anyhow::bail!("a boot with corrupt data passed for good: {booted}"),
    };
    ensure!(failure.reason == "corrupt" && failure.detail.contains("verity C"), "{failure}");
    Ok(())
}

/// The loop device keeps the file's blocks in use: what is read later is right or an error.
fn deleted_file(bench: &Bench, folder: &Path) -> Result<()> {
    let read = format!("read /{LATE_FILE}");
    let actions = [
        "mount-vfat /dev/vda1 /run/esp",
        "remove /run/esp/initoverlayfs/initoverlayfs_1.0.raw",
        "write /run/esp/initoverlayfs/mark",
        "drop-caches",
        &read,
    ];
    let ddi = bench.small_ddi(folder, &Small { actions: &actions, ..Small::default() })?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    for (number, line) in actions.iter().enumerate().take(4) {
        let found = action(&outcome, number + 1)?;
        ensure!(found == "ok", "{line}: {found}\n{}", console(&outcome));
    }
    let report = outcome.report.as_ref().context("no report")?;
    let found = report.bytes("action-5")?;
    ensure!(
        found == late_contents() || found == IO_ERROR.as_bytes(),
        "the file has other contents than were built: {} bytes",
        found.len()
    );
    Ok(())
}
