// SPDX-License-Identifier: MIT OR Apache-2.0
//! More than one image: which is taken, and what becomes of the others.

use anyhow::{Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::tamper::Tamper;

use crate::support::{assert_boot_chain, assert_refused, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("newest_of_two_files_wins", |bench, folder| newest_wins(bench, folder, Source::EspFile)),
        test("newest_of_two_partitions_wins", |bench, folder| newest_wins(bench, folder, Source::Partition)),
        test("corrupt_newest_falls_back_to_older", |bench, folder| {
            falls_back(bench, folder, Source::EspFile, Tamper::Tree)
        }),
        test("unsigned_newest_falls_back_to_older", |bench, folder| {
            falls_back(bench, folder, Source::Partition, Tamper::Unsigned)
        }),
        test("corrupt_slot_falls_back_to_its_equal", equal_slots),
        test("two_bad_images_end_with_the_reason_of_the_newest", two_bad),
    ]
}

/// 1.10 is newer than 1.9: by the version specification, not by the alphabet.
const OLD: &str = "1.9";
const NEW: &str = "1.10";

fn newest_wins(bench: &Bench, folder: &Path, source: Source) -> Result<()> {
    let old = bench.small_ddi(folder, &Small { version: OLD, ..Small::default() })?;
    let new = bench.small_ddi(folder, &Small { version: NEW, ..Small::default() })?;
    let disk = bench::disk(source, &[(OLD, &old), (NEW, &new)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected(NEW, &new, source, false))?;
    ensure!(booted.record.refused.is_empty(), "nothing was to be refused: {:?}", booted.record.refused);
    Ok(())
}

fn falls_back(bench: &Bench, folder: &Path, source: Source, tamper: Tamper) -> Result<()> {
    let old = bench.small_ddi(folder, &Small { version: OLD, ..Small::default() })?;
    let new = bench.small_ddi(folder, &Small { version: NEW, tamper: Some(tamper), ..Small::default() })?;
    let disk = bench::disk(source, &[(OLD, &old), (NEW, &new)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected(OLD, &old, source, false))?;
    let refused: Vec<Reason> = booted.record.refused.iter().map(|refusal| refusal.reason).collect();
    ensure!(Some(refused.as_slice()) == tamper.expected().as_ref().map(std::slice::from_ref), "refused: {refused:?}");
    Ok(())
}

/// Both slots as the factory wrote them: the same image twice, and the first has gone bad.
fn equal_slots(bench: &Bench, folder: &Path) -> Result<()> {
    let first = folder.join("first");
    std::fs::create_dir(&first)?;
    let bad = bench.small_ddi(&first, &Small { version: NEW, tamper: Some(Tamper::Tree), ..Small::default() })?;
    let good = bench.small_ddi(folder, &Small { version: NEW, ..Small::default() })?;
    ensure!(bad.root_hash == good.root_hash, "the two were to be one image");
    let disk = bench::disk(Source::Partition, &[(NEW, &bad), (NEW, &good)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected(NEW, &good, Source::Partition, false))?;
    let refused: Vec<&str> = booted.record.refused.iter().map(|refusal| refusal.device.as_str()).collect();
    ensure!(
        refused == ["vda1"] && booted.record.device == "vda2",
        "booted {}, refused {refused:?}",
        booted.record.device
    );
    Ok(())
}

fn two_bad(bench: &Bench, folder: &Path) -> Result<()> {
    let old = bench.small_ddi(folder, &Small { version: OLD, tamper: Some(Tamper::ImageId), ..Small::default() })?;
    let new = bench.small_ddi(folder, &Small { version: NEW, tamper: Some(Tamper::Unsigned), ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[(OLD, &old), (NEW, &new)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::Unsigned, "vda2")?;
    let tried = outcome.console.iter().any(|line| line.contains("refused: image-id: vda1: "));
    ensure!(tried, "the older image was not tried");
    Ok(())
}
