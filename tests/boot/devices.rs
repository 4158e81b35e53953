// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks that are missing, late, or without a source; and the way a bug ends.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use std::time::Duration;
use xtask::disk::Disk;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::{Config, Exit};

use crate::support::{assert_boot_chain, assert_refused, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("disk_that_appears_late_boots", late_disk),
        test("no_disk_ends_at_the_deadline", no_disk),
        test("disk_without_esp_is_no_source", no_esp),
        test("esp_without_an_image_is_no_candidate", empty_esp),
        test("nothing_of_the_boot_stage_is_left", nothing_left),
        test("panic_resets_the_machine", panic),
        test("writable_layer_takes_writes", |bench, folder| writes(bench, folder, true)),
        test("root_without_a_layer_is_read_only", |bench, folder| writes(bench, folder, false)),
    ]
}

/// How late the disk is.
const LATE: Duration = Duration::from_secs(3);
/// EROFS of errno(3).
const READ_ONLY: &str = "error: 30";

fn late_disk(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    // The plugged-in disk comes up while a slow machine still boots: wait well beyond it.
    let config = Config { device_deadline: "60s", ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), late: Some(LATE), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false))?;
    ensure!(outcome.elapsed > LATE, "the disk was not late");
    Ok(())
}

fn no_disk(bench: &Bench, folder: &Path) -> Result<()> {
    let outcome = bench.boot(folder, &Trial::default())?;
    assert_refused(&outcome, Reason::NoDevice, "discover")
}

fn no_esp(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = Config { sources: vec![Source::EspFile], ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::NoSource, "vda")
}

fn empty_esp(bench: &Bench, folder: &Path) -> Result<()> {
    let disk = Disk { esp: Some(Vec::new()), ..Disk::default() };
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::NoCandidate, "vda")
}

/// One process, init; and no file system but the root and the kernel's own.
fn nothing_left(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false))?;
    let report = outcome.report.as_ref().context("no report")?;
    let processes = report.text("processes")?;
    ensure!(processes == "/sbin/init\n", "processes:\n{processes}");
    let mut mounts: Vec<&str> = report.text("mounts")?.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    mounts.sort_unstable();
    ensure!(mounts == ["/", "/dev", "/proc", "/run", "/sys"], "mounts: {mounts:?}");
    Ok(())
}

fn panic(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = Config { more: "dangerously-panic-at = verify", ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    ensure!(outcome.exit == Exit::Reset, "expected a reset\n{}", console(&outcome));
    ensure!(outcome.report.is_none(), "the image ran all the same\n{}", console(&outcome));
    Ok(())
}

fn writes(bench: &Bench, folder: &Path, overlay: bool) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["write /written"], ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = Config { overlay, ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, overlay))?;
    let wanted = if overlay { "ok" } else { READ_ONLY };
    let found = crate::support::action(&outcome, 1)?;
    ensure!(found == wanted, "write: expected {wanted}, found {found}");
    Ok(())
}
