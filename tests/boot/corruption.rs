// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong only after exec is the kernel's to find: an I/O error, never altered data. That goes for the file on the ESP
//! too, which the booted system may delete, replace and write.

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
        test("file_deleted_while_in_use_stays_readable_on_an_esp_filled_again", |bench, folder| {
            while_in_use(bench, folder, &["remove FILE", "fill /run/esp/initoverlayfs/new"], Reader::Right)
        }),
        test("file_replaced_while_in_use_stays_readable", |bench, folder| {
            let actions = ["write /run/esp/initoverlayfs/new", "rename /run/esp/initoverlayfs/new FILE"];
            while_in_use(bench, folder, &actions, Reader::Right)
        }),
        test("file_overwritten_while_in_use_is_an_io_error", |bench, folder| {
            while_in_use(bench, folder, &[&format!("invert /{LATE_FILE} FILE")], Reader::Refused)
        }),
        test("file_cut_short_while_in_use_is_an_io_error", |bench, folder| {
            while_in_use(bench, folder, &["truncate FILE", "fill /run/esp/initoverlayfs/new"], Reader::Refused)
        }),
    ]
}

const VERSION: &str = "1.0";
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

/// What a reader of the DDI gets after its file was tampered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// What was built.
    Right,
    /// An I/O error.
    Refused,
}

/// Mounts the ESP read-write, as a system does that updates itself, does something to the file that the root is on (FILE), and
/// reads what init had not read so far. The file's old clusters stay its own: a loop device has it open.
fn while_in_use(bench: &Bench, folder: &Path, to_file: &[&str], reader: Reader) -> Result<()> {
    let read = format!("read /{LATE_FILE}");
    let file = format!("/run/esp/initoverlayfs/{}.raw", bench::name(VERSION));
    let to_file: Vec<String> = to_file.iter().map(|action| action.replace("FILE", &file)).collect();
    let before = ["mount-vfat /dev/vda1 /run/esp", "lock-memory"];
    let actions: Vec<&str> =
        before.into_iter().chain(to_file.iter().map(String::as_str)).chain(["drop-caches", &read]).collect();
    let ddi = bench.small_ddi(folder, &Small { version: VERSION, actions: &actions, ..Small::default() })?;
    let disk = bench::disk(Source::EspFile, &[(VERSION, &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    let last = actions.len();
    for (number, line) in actions.iter().enumerate().take(last - 1) {
        let found = action(&outcome, number + 1)?;
        ensure!(found == "ok", "{line}: {found}\n{}", console(&outcome));
    }
    let report = outcome.report.as_ref().context("no report")?;
    let found = report.bytes(&format!("action-{last}"))?;
    match reader {
        Reader::Right => {
            ensure!(found == late_contents(), "not what was built: {} bytes\n{}", found.len(), console(&outcome));
            assert_boot_chain(&outcome, &expected(VERSION, &ddi, Source::EspFile, false)).map(|_| ())
        }
        Reader::Refused => {
            ensure!(found == IO_ERROR.as_bytes(), "not an I/O error: {} bytes\n{}", found.len(), console(&outcome));
            Ok(())
        }
    }
}
