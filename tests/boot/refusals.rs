// SPDX-License-Identifier: MIT OR Apache-2.0
//! One image, spoilt in one way, on one source: the exact reason, then power off.

use anyhow::{Context, Result};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::disk::{Candidate, Disk};
use xtask::qemu::Config;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::tamper::Tamper;

use crate::support::{assert_boot_chain, assert_refused, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("unsigned_image_is_refused", |bench, folder| esp(bench, folder, Tamper::Unsigned)),
        test("image_that_waits_for_its_signature_is_refused_until_it_is_joined", signed_elsewhere),
        test("image_signed_by_another_key_is_refused", |bench, folder| partition(bench, folder, Tamper::OtherKey)),
        test("key_that_claims_the_trusted_name_and_serial_is_refused", |bench, folder| {
            partition(bench, folder, Tamper::OtherKeySameName)
        }),
        test("flipped_bit_in_signature_is_refused", |bench, folder| esp(bench, folder, Tamper::SignatureBit)),
        test("flipped_bit_in_signature_with_certificate_is_refused", |bench, folder| {
            partition(bench, folder, Tamper::EmbeddedSignatureBit)
        }),
        test("flipped_bit_in_json_root_hash_is_refused", |bench, folder| {
            partition(bench, folder, Tamper::JsonRootHashBit)
        }),
        test("flipped_bit_in_hash_tree_is_refused", |bench, folder| esp(bench, folder, Tamper::Tree)),
        test("flipped_bit_in_superblock_is_refused", |bench, folder| partition(bench, folder, Tamper::DataEarly)),
        test("tree_that_covers_less_than_the_file_system_is_refused", |bench, folder| {
            partition(bench, folder, Tamper::DataBlocks)
        }),
        test("name_that_claims_another_version_is_refused", |bench, folder| esp(bench, folder, Tamper::NameVersion)),
        test("image_of_another_id_is_refused", |bench, folder| partition(bench, folder, Tamper::ImageId)),
        test("signed_sysext_is_refused", |bench, folder| esp(bench, folder, Tamper::Sysext)),
        test("word_of_the_command_line_that_is_not_allowed_is_refused", command_line),
        test("unknown_key_in_the_configuration_is_refused", unknown_key),
        test("image_without_the_configured_init_is_refused", |bench, folder| {
            let config = Config { more: "init = /sbin/no-such-init", ..Config::default() };
            let ddi = bench.small_ddi(folder, &Small::default())?;
            let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
            let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
            assert_refused(&outcome, Reason::InitMissing, "vda1")
        }),
        test("partition_of_an_image_that_holds_none_is_refused", no_ddi),
    ]
}

fn esp(bench: &Bench, folder: &Path, tamper: Tamper) -> Result<()> {
    refused(bench, folder, tamper, Source::EspFile)
}

fn partition(bench: &Bench, folder: &Path, tamper: Tamper) -> Result<()> {
    refused(bench, folder, tamper, Source::Partition)
}

fn refused(bench: &Bench, folder: &Path, tamper: Tamper, source: Source) -> Result<()> {
    let small = Small { tamper: Some(tamper), ..Small::default() };
    let ddi = bench.small_ddi(folder, &small)?;
    let mut disk = bench::disk(source, &[(small.version, &ddi)]);
    tamper.apply_to_disk(&mut disk);
    let device = match (source, disk.esp.iter().flatten().next()) {
        (Source::EspFile, Some(candidate)) => format!("vda1:/initoverlayfs/{}.raw", candidate.name),
        _ => "vda1".to_owned(),
    };
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, tamper.expected().context("no refusal is expected")?, &device)
}

fn command_line(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let trial = Trial { disk: Some(disk), command_line: "systemd.run=/bin/sh", ..Trial::default() };
    assert_refused(&bench.boot(folder, &trial)?, Reason::CommandLine, "/proc/cmdline")
}

/// `mini-initramfs` would not take it: it gets there by an archive of its own, as whoever can add one would do it.
fn unknown_key(bench: &Bench, folder: &Path) -> Result<()> {
    let files = vec![("etc/initoverlayfs.conf", b"no-such-key = on\n".to_vec())];
    let outcome = bench.boot(folder, &Trial { files, ..Trial::default() })?;
    assert_refused(&outcome, Reason::ConfigInvalid, "/etc/initoverlayfs.conf")
}

/// The label names an image, the partition holds text.
fn no_ddi(bench: &Bench, folder: &Path) -> Result<()> {
    let image = folder.join("image");
    std::fs::write(&image, "no partition table is in here\n".repeat(4096))?;
    let candidate = Candidate { name: bench::name("1.0"), image };
    let disk = Disk { partitions: vec![candidate], ..Disk::default() };
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::NotADdi, "vda1")
}

fn signed_elsewhere(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.unsigned_ddi(folder, &Small::default())?;
    let boot = || {
        let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
        bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })
    };
    assert_refused(&boot()?, Reason::Unsigned, "vda1")?;
    bench.sign_elsewhere(&ddi)?;
    assert_boot_chain(&boot()?, &expected("1.0", &ddi, Source::Partition, false)).map(drop)
}
