// SPDX-License-Identifier: MIT OR Apache-2.0
//! Only disks that the configuration allows are opened, whatever lies on the others.
//!
//! The others carry look-alikes: the same partitions, with a newer DDI that is rightly signed. That nothing read them is what
//! the kernel's own counters say: it reads each new disk's partition table by itself, and a driver that is unbound and
//! bound again in the booted system makes a new disk of it. What the old one was read must be what the new one was.
//! An eMMC's driver cannot be unbound below the root: there, what a wider pattern leads to is the control.

use anyhow::{Context, Result, bail, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::boot_report::Booted;
use xtask::disk::{Ddi, Disk, Medium};
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::storage::{EMMC_BOOT_PARTITION, Storage};
use xtask::qemu::{Config, Outcome};
use xtask::tamper::Tamper;

use crate::storage::PATIENT;
use crate::support::{action, assert_boot_chain, assert_refused, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("one_of_eight_logical_units_boots_and_the_others_are_left_alone", logical_units),
        test("second_disk_boots_and_its_look_alike_is_left_alone", second_disk),
        test("unsigned_image_beside_a_look_alike_in_a_boot_partition_of_the_emmc_is_refused", boot_partitions),
    ]
}

const WANTED: &str = "1.0";
/// Newer than what is wanted.
const LURE: &str = "2.0";
/// Logical units before the one that matters: QEMU has eight.
const OTHER_UNITS: usize = 7;

/// The disk that has to boot, its DDI, and a look-alike.
struct Pair {
    wanted: Disk,
    ddi: Ddi,
    lure: Disk,
}

/// Both have an ESP and a partition, so that both sources would find something.
fn pair(bench: &Bench, folder: &Path, actions: &[&str]) -> Result<Pair> {
    let ddi = bench.small_ddi(folder, &Small { version: WANTED, actions, ..Small::default() })?;
    let lure = bench.small_ddi(folder, &Small { version: LURE, ..Small::default() })?;
    let both = |version, ddi| Disk {
        esp: bench::disk(Source::EspFile, &[(version, ddi)]).esp,
        ..bench::disk(Source::Partition, &[(version, ddi)])
    };
    Ok(Pair { wanted: both(WANTED, &ddi), lure: both(LURE, &lure), ddi })
}

/// The chain, from the source that comes first, and that nothing else was looked at.
fn assert_wanted(outcome: &Outcome, pair: &Pair) -> Result<Booted> {
    let booted = assert_boot_chain(outcome, &expected(WANTED, &pair.ddi, Source::EspFile, false))?;
    ensure!(booted.record.refused.is_empty(), "nothing was to be refused: {:?}", booted.record.refused);
    Ok(booted)
}

/// What the probe has to do to count the reads of a disk before and after its driver is bound anew: four actions.
fn count_reads(stat: &str, driver: &str, device: &str) -> [String; 4] {
    let count = format!("read {stat}");
    let bind = |what: &str| format!("put {device} /sys/bus/{driver}/{what}");
    [count.clone(), bind("unbind"), bind("bind"), count]
}

/// The disk of those four actions, the first of which has this number, was read by the kernel alone.
fn assert_left_alone(outcome: &Outcome, first: usize) -> Result<u64> {
    for number in [first + 1, first + 2] {
        let answer = action(outcome, number)?;
        ensure!(answer == "ok", "action {number}: {answer}\n{}", console(outcome));
    }
    let (before, after) = (reads(outcome, first)?, reads(outcome, first + 3)?);
    ensure!(after > 0, "the kernel was to read the new disk's partition table");
    ensure!(before == after, "read in the boot: {before} requests, by the kernel alone: {after}");
    Ok(after)
}

/// Completed reads, the first number of a disk's or partition's `stat` (Documentation/block/stat.rst).
fn reads(outcome: &Outcome, number: usize) -> Result<u64> {
    let stat = action(outcome, number)?;
    stat.split_ascii_whitespace()
        .next()
        .and_then(|reads| reads.parse().ok())
        .with_context(|| format!("no stat: {stat}"))
}

fn logical_units(bench: &Bench, folder: &Path) -> Result<()> {
    let stat = |unit| format!("/sys/bus/scsi/devices/0:0:0:{unit}/block/*/stat");
    let mut actions = vec![format!("read {}", stat(OTHER_UNITS))];
    for unit in 0..OTHER_UNITS {
        actions.extend(count_reads(&stat(unit), "scsi/drivers/sd", &format!("0:0:0:{unit}")));
    }
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let pair = pair(bench, folder, &actions)?;
    let device = Some("/devices/platform/*.pcie/pci*/host0/target0:0:0/0:0:0:7/block/sd*");
    let config = Config { storage: Storage::Ufs, device, device_deadline: PATIENT, ..Config::default() };
    let (disk, others) = (Some(pair.wanted.clone()), vec![pair.lure.clone(); OTHER_UNITS]);
    let outcome = bench.boot(folder, &Trial { config, disk, others, ..Trial::default() })?;
    assert_wanted(&outcome, &pair)?;
    let opened = reads(&outcome, 1)?;
    for unit in 0..OTHER_UNITS {
        let table = assert_left_alone(&outcome, 2 + 4 * unit).with_context(|| format!("logical unit {unit}"))?;
        ensure!(opened > table, "the one that booted was read {opened} times, a partition table takes {table}");
    }
    Ok(())
}

fn second_disk(bench: &Bench, folder: &Path) -> Result<()> {
    let actions = count_reads("/sys/block/vda/stat", "virtio/drivers/virtio_blk", "virtio0");
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let pair = pair(bench, folder, &actions)?;
    let device = Some("/devices/platform/*.pcie/pci*/0000:00:02.0/virtio*/block/vd*");
    let config = Config { device, ..Config::default() };
    let (disk, others) = (Some(pair.wanted.clone()), vec![pair.lure.clone()]);
    let outcome = bench.boot(folder, &Trial { config, disk, others, ..Trial::default() })?;
    let booted = assert_wanted(&outcome, &pair)?;
    ensure!(booted.record.device.starts_with("vdb1:"), "booted {}", booted.record.device);
    assert_left_alone(&outcome, 1)?;
    // The look-alike is one that boots: without a configuration that keeps it out, it is the newest of the first disk.
    let outcome = bench.boot(folder, &Trial { disk: Some(pair.lure.clone()), ..Trial::default() })?;
    let Some(report) = &outcome.report else { bail!("the look-alike does not boot\n{}", console(&outcome)) };
    ensure!(report.text("os-release")?.contains("IMAGE_VERSION=2.0"), "another image booted");
    Ok(())
}

/// The user area's image is refused, so that storage-init takes every disk it may until the deadline. It may not take the boot
/// partitions, though all that is in the first is in order; with a pattern that lets it, it says that the kernel has no
/// partitions there.
fn boot_partitions(bench: &Bench, folder: &Path) -> Result<()> {
    let wanted = bench.small_ddi(folder, &Small { tamper: Some(Tamper::Unsigned), ..Small::default() })?;
    let lure = bench.small_ddi(folder, &Small { version: LURE, ..Small::default() })?;
    let image = folder.join("boot-partition.img");
    let medium = Medium { power_of_two: true, ..Medium::default() };
    bench::disk(Source::Partition, &[(LURE, &lure)]).write(&bench.parts().tools, &image, medium)?;
    ensure!(image.metadata()?.len() == EMMC_BOOT_PARTITION, "the look-alike does not fill the boot partition");
    let disk = Disk { boot_partition: Some(image), ..bench::disk(Source::Partition, &[(WANTED, &wanted)]) };
    let wide = Some("/devices/platform/*.pcie/pci*/mmc_host/mmc0/mmc0:*/block/mmcblk0*");
    for (device, looked_at) in [(None, false), (wide, true)] {
        let storage = Storage::Emmc;
        let config = Config { storage, device, device_deadline: storage.deadline(), ..Config::default() };
        let outcome = bench.boot(folder, &Trial { config, disk: Some(disk.clone()), ..Trial::default() })?;
        assert_refused(&outcome, Reason::Unsigned, "mmcblk0p1")?;
        let line = "storage-init: refused: partition-table: mmcblk0boot0p1: ";
        let found = outcome.console.iter().any(|text| text.contains(line));
        ensure!(found == looked_at, "looked at: {found}, pattern {device:?}\n{}", console(&outcome));
    }
    Ok(())
}
