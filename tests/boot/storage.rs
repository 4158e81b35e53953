// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every kind of storage, with both sources: from the kernel to the exec of init.

use anyhow::{Result, ensure};
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::qemu::Config;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::storage::Storage;

use crate::support::{assert_boot_chain, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("file_on_emmc_boots", |bench, folder| boots(bench, folder, Storage::Emmc, Source::EspFile)),
        test("partition_of_emmc_boots", |bench, folder| boots(bench, folder, Storage::Emmc, Source::Partition)),
        test("file_on_an_sd_card_boots", |bench, folder| boots(bench, folder, Storage::Sd, Source::EspFile)),
        test("partition_of_an_sd_card_boots", |bench, folder| boots(bench, folder, Storage::Sd, Source::Partition)),
        test("file_on_ufs_boots", |bench, folder| boots(bench, folder, Storage::Ufs, Source::EspFile)),
        test("partition_of_ufs_boots", |bench, folder| boots(bench, folder, Storage::Ufs, Source::Partition)),
        test("file_on_nvme_boots", |bench, folder| boots(bench, folder, Storage::Nvme, Source::EspFile)),
        test("partition_of_nvme_boots", |bench, folder| boots(bench, folder, Storage::Nvme, Source::Partition)),
    ]
}

/// Cards are slow to say what they are, and test machines are busy.
pub const PATIENT: &str = "30s";

fn boots(bench: &Bench, folder: &Path, storage: Storage, source: Source) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let config = Config { storage, device_deadline: PATIENT, ..Config::default() };
    let disk = bench::disk(source, &[("1.0", &ddi)]);
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &ddi, source, false))?;
    let partition = storage.partition(1);
    let wanted = match source {
        Source::EspFile => format!("{partition}:/initoverlayfs/{}.raw", bench::name("1.0")),
        Source::Partition => partition,
    };
    ensure!(booted.record.device == wanted.as_str(), "expected {wanted}, booted {}", booted.record.device);
    ensure!(booted.record.refused.is_empty(), "nothing was to be refused: {:?}", booted.record.refused);
    Ok(())
}
