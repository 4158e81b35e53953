// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured before it is read, and what becomes of a boot that cannot be.

use std::path::Path;

use anyhow::{Result, ensure};
use boot_record::boot_json::Measurement;
use boot_record::config::Source;
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use libtest_mimic::Trial as Test;
use xtask::qemu::Config;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};

use crate::support::{assert_boot_chain, assert_refused, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("boot_that_requires_a_tpm_is_refused_without_one", required),
        test("boot_that_prefers_a_tpm_goes_on_without_one_and_says_so", preferred),
    ]
}

fn config(measure: &'static str) -> Config {
    Config { measure, ..Config::default() }
}

fn required(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = config("require\ntpm-deadline = 300ms");
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::TpmMissing, "vda1")
}

fn preferred(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config = config("prefer\ntpm-deadline = 300ms");
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?;
    let record = &booted.record;
    ensure!(record.measurement == Measurement::TpmMissing && record.measured.is_none(), "{record:?}");
    let stage = record.stages.iter().find(|stage| stage.stage == Stage::Measure);
    ensure!(stage.is_some_and(|stage| stage.detail == "tpm-missing"), "{stage:?}");
    let line = "not measured: tpm-missing: no /dev/tpm0 within 300 ms";
    ensure!(outcome.console.iter().any(|said| said.ends_with(line)), "nobody said so\n{}", console(&outcome));
    Ok(())
}
