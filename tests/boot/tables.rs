// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition tables that the kernel and storage-init could understand differently, and very full ones.
//!
//! storage-init uses a partition only where the kernel has it with the same bounds. The one exception is a backup table, of
//! which it tells the kernel (`devices`).

use anyhow::{Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::disk::{Ddi, Disk, Partition, PartitionType, TableForm};
use xtask::qemu::Config;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::storage::Storage;

use crate::storage::PATIENT;
use crate::support::{assert_boot_chain, assert_refused, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("partition_100_of_an_sd_card_boots", |bench, folder| {
            hundredth(bench, folder, Storage::Sd, Source::Partition)
        }),
        test("esp_as_partition_100_boots", |bench, folder| hundredth(bench, folder, Storage::Virtio, Source::EspFile)),
        test("table_whose_entries_lie_elsewhere_boots", |bench, folder| {
            boots(bench, folder, TableForm::EntriesElsewhere, "")
        }),
        test("table_without_a_protective_mbr_boots_where_linux_is_told_gpt", |bench, folder| {
            boots(bench, folder, TableForm::NoProtectiveMbr, "gpt")
        }),
        test("bad_primary_table_boots_where_linux_is_told_gpt", |bench, folder| {
            boots(bench, folder, TableForm::BadPrimary, "gpt")
        }),
        test("table_without_a_protective_mbr_is_refused", |bench, folder| {
            refused(bench, folder, TableForm::NoProtectiveMbr, "vda1")
        }),
        test("table_with_entries_of_256_bytes_is_refused", |bench, folder| {
            refused(bench, folder, TableForm::LargeEntries, "vda1")
        }),
        test("disk_with_two_bad_tables_is_refused", |bench, folder| refused(bench, folder, TableForm::BadBoth, "vda")),
    ]
}

const VERSION: &str = "1.0";

/// A trial of a DDI in a partition, under a table of this form, with `word` on the command line.
fn trial(ddi: &Ddi, table: TableForm, word: &'static str) -> Trial<'static> {
    let disk = Some(Disk { table, ..bench::disk(Source::Partition, &[(VERSION, ddi)]) });
    let config = Config { cmdline_allow: word, ..Config::default() };
    Trial { config, disk, command_line: word, ..Trial::default() }
}

fn boots(bench: &Bench, folder: &Path, table: TableForm, word: &'static str) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let outcome = bench.boot(folder, &trial(&ddi, table, word))?;
    assert_boot_chain(&outcome, &expected(VERSION, &ddi, Source::Partition, false)).map(|_| ())
}

fn refused(bench: &Bench, folder: &Path, table: TableForm, device: &str) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    assert_refused(&bench.boot(folder, &trial(&ddi, table, ""))?, Reason::PartitionTable, device)
}

/// Ninety-nine partitions of no interest, then the one that counts. An SD card has room for seven of the kernel's ordinary
/// device numbers, a virtio disk for fifteen: the others are numbered as they come.
fn hundredth(bench: &Bench, folder: &Path, storage: Storage, source: Source) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let filler = |number| Partition { kind: PartitionType::Data, label: format!("filler-{number}"), contents: None };
    let disk = Disk { first: (1..100).map(filler).collect(), ..bench::disk(source, &[(VERSION, &ddi)]) };
    let config = Config { storage, device_deadline: PATIENT, ..Config::default() };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected(VERSION, &ddi, source, false))?;
    let partition = storage.partition(100);
    ensure!(booted.record.device.starts_with(&partition), "booted {}, expected {partition}", booted.record.device);
    Ok(())
}
