// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks that are missing, late, damaged, or without a source; machines without a console or with a watchdog; and the
//! way a bug ends.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use std::time::Duration;
use xtask::disk::{Disk, TableForm};
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::{Config, Exit, Late};
use xtask::userspace::late_contents;

use crate::support::{action, assert_boot_chain, assert_refused, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("disk_that_appears_late_boots", late_disk),
        test("no_disk_ends_at_the_deadline", no_disk),
        test("disk_without_esp_is_no_source", no_esp),
        test("esp_without_an_image_is_no_candidate", empty_esp),
        test("bad_primary_table_boots_a_file_from_the_backup", |bench, folder| {
            bad_primary_table(bench, folder, Source::EspFile)
        }),
        test("bad_primary_table_boots_a_partition_from_the_backup", |bench, folder| {
            bad_primary_table(bench, folder, Source::Partition)
        }),
        test("boots_without_a_console", no_console),
        test("nothing_of_the_boot_stage_is_left", nothing_left),
        test("hanging_init_is_reset_by_the_watchdog", hanging_init),
        test("watchdog_that_is_not_there_is_refused", no_watchdog),
        test("panic_resets_the_machine", panic),
        test("writable_layer_takes_writes", |bench, folder| writes(bench, folder, true)),
        test("root_without_a_layer_is_read_only", |bench, folder| writes(bench, folder, false)),
    ]
}

/// How late the disk is.
const LATE: Duration = Duration::from_secs(3);
/// Longer than the deadline for disks, as it has to be.
const WATCHDOG: &str = "watchdog = 5s";
/// EROFS of errno(3).
const READ_ONLY: &str = "error: 30";

fn late_disk(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    // The plugged-in disk comes up while a slow machine still boots: wait well beyond it.
    let config = Config { device_deadline: "60s", ..Config::default() };
    let outcome =
        bench.boot(folder, &Trial { config, disk: Some(disk), late: Some(Late::By(LATE)), ..Trial::default() })?;
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

/// The kernel takes no partitions from the backup: storage-init tells it of them all, the real root's (vda2) included.
fn bad_primary_table(bench: &Bench, folder: &Path, source: Source) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["read /dev/vda2"], ..Small::default() })?;
    let root = folder.join("root");
    std::fs::write(&root, late_contents())?;
    let disk = Disk { root: Some(root), table: TableForm::BadPrimary, ..bench::disk(source, &[("1.0", &ddi)]) };
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, source, false))?;
    let said = "storage-init: vda: the primary partition table is bad, using the backup";
    ensure!(outcome.console.iter().any(|line| line.contains(said)), "not said: {said}\n{}", console(&outcome));
    let found = outcome.report.as_ref().context("no report")?.bytes("action-1")?;
    ensure!(found.starts_with(&late_contents()), "vda2: {}", action(&outcome, 1)?);
    Ok(())
}

/// PID 1 starts with closed standard descriptors: no console driver, so that /dev/console cannot be opened.
fn no_console(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["read /proc/consoles"], ..Small::default() })?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), console: "null", ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false))?;
    let consoles = action(&outcome, 1)?;
    ensure!(consoles.is_empty(), "there is a console: {consoles}");
    Ok(())
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

fn hanging_init(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["hang"], ..Small::default() })?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let config = Config { more: WATCHDOG, ..Config::default() };
    let trial = Trial { config, disk: Some(disk), devices: &["i6300esb"], ..Trial::default() };
    let outcome = bench.boot(folder, &trial)?;
    let executed = outcome.console.iter().any(|line| line.contains("storage-init: executing /sbin/init"));
    ensure!(executed, "init was not reached\n{}", console(&outcome));
    ensure!(outcome.exit == Exit::Watchdog, "expected a reset by the watchdog\n{}", console(&outcome));
    Ok(())
}

fn no_watchdog(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::EspFile, &[("1.0", &ddi)]);
    let config = Config { more: WATCHDOG, ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::KernelLacks, "watchdog")
}

fn writes(bench: &Bench, folder: &Path, overlay: bool) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["write /written"], ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = Config { overlay, ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, overlay))?;
    let wanted = if overlay { "ok" } else { READ_ONLY };
    let found = action(&outcome, 1)?;
    ensure!(found == wanted, "write: expected {wanted}, found {found}");
    Ok(())
}
