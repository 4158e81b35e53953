// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures: the corpus as the kernel judges it, and boots whose signature storage-init checks itself.

#[path = "../../rust/signature-check/tests/corpus/mod.rs"]
mod corpus;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boot_formats::hex::Hex;
use boot_formats::x509;
use boot_record::config::{SignaturePath, Source};
use boot_record::reason::Reason;
use corpus::{ACCEPTED, Entry, ROOT_HASH};
use libtest_mimic::Trial as Test;
use xtask::boot_report::Expected;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::{BootBinary, Config};
use xtask::tamper::{Signer, Tamper};

use crate::support::{action, assert_boot_chain, assert_refused, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("kernel_gives_each_signature_its_verdict", kernel_verdicts),
        test("kernel_accepts_ecdsa_where_it_trusts_the_certificate", |bench, folder| {
            let kernel = KernelChoice::Signatures;
            let config = Config { kernel, certificate: Signer::P256, ..Config::default() };
            accepted(bench, folder, Signer::P256, config)
        }),
        test("user_space_accepts_rsa", |bench, folder| user_space(bench, folder, Signer::Development)),
        test("user_space_accepts_p256", |bench, folder| user_space(bench, folder, Signer::P256)),
        test("user_space_accepts_p384", |bench, folder| user_space(bench, folder, Signer::P384)),
        test("unsigned_image_is_refused_in_user_space", |bench, folder| refused(bench, folder, Tamper::Unsigned)),
        test("image_signed_by_another_key_is_refused_in_user_space", |bench, folder| {
            refused(bench, folder, Tamper::OtherKey)
        }),
        test("key_that_claims_the_trusted_name_and_serial_is_refused_in_user_space", |bench, folder| {
            refused(bench, folder, Tamper::OtherKeySameName)
        }),
        test("flipped_bit_in_signature_is_refused_in_user_space", |bench, folder| {
            refused(bench, folder, Tamper::SignatureBit)
        }),
        test("flipped_bit_in_signature_with_certificate_is_refused_in_user_space", |bench, folder| {
            refused(bench, folder, Tamper::EmbeddedSignatureBit)
        }),
        test("flipped_bit_in_json_root_hash_is_refused_in_user_space", |bench, folder| {
            refused(bench, folder, Tamper::JsonRootHashBit)
        }),
        test("user_space_check_that_is_not_built_in_is_refused", not_built_in),
        test("kernel_that_requires_signatures_refuses_the_user_space_check", required_by_the_kernel),
        test("certificate_whose_key_is_not_the_kernels_is_refused_by_it", |bench, folder| {
            // The same image that user space accepts: who checks is the configuration's choice, and there is no other.
            let small = Small { signer: Signer::P256, ..Small::default() };
            let config = Config { certificate: Signer::P256, ..Config::default() };
            let trial = Trial { config, ..Trial::default() };
            assert_refused_on_partition(bench, folder, &small, trial, Reason::SignerUnknown)
        }),
    ]
}

/// The words of the C library for the errno values that the corpus leads to.
const ERRNO: [(&str, &str); 6] = [
    ("Required key not available", "ENOKEY"),
    ("Key was rejected by service", "EKEYREJECTED"),
    ("Bad message", "EBADMSG"),
    ("Invalid argument", "EINVAL"),
    ("Package not installed", "ENOPKG"),
    ("Message too long", "EMSGSIZE"),
];

fn kernel_verdicts(bench: &Bench, folder: &Path) -> Result<()> {
    let entries = corpus::entries().map_err(|error| anyhow!(error))?;
    let mut files = Vec::new();
    for entry in &entries {
        files.push((format!("probe/signatures/{}", entry.name), BASE64.decode(entry.base64)?));
    }
    let judge = format!("judge-signatures /dev/vda1 {ROOT_HASH}");
    let small = Small { files: &files, actions: &[&judge], ..Small::default() };
    let ddi = bench.small_ddi(folder, &small)?;
    let disk = bench::disk(Source::Partition, &[(small.version, &ddi)]);
    let config = Config { kernel: KernelChoice::Signatures, ..Config::default() };
    let trial = Trial { config, disk: Some(disk), ..Trial::default() };
    let outcome = bench.boot(folder, &trial)?;
    assert_boot_chain(&outcome, &expected(small.version, &ddi, Source::Partition, false))?;

    let said = action(&outcome, 1)?;
    let mut verdicts: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut wrong = Vec::new();
    for &Entry { name, certificate, user_space, kernel, stricter, .. } in &entries {
        let words = verdicts.remove(name).with_context(|| format!("the probe said nothing of {name}:\n{said}"))?;
        let found = ERRNO.iter().find(|(text, _)| *text == words).map_or(words, |(_, errno)| errno);
        if found != kernel {
            wrong.push(format!("{name} | {user_space} | {found}"));
        }
        // Whatever the list of verdicts says.
        match (user_space == ACCEPTED, found == ACCEPTED) {
            (true, false) => bail!("{name}: accepted with {certificate}, refused by the kernel: {words}"),
            (false, true) => ensure!(stricter, "{name}: refused with {certificate}, accepted by the kernel"),
            _ => {}
        }
    }
    ensure!(wrong.is_empty(), "other verdicts than in verdicts.txt:\n{}", wrong.join("\n"));
    Ok(())
}

/// storage-init itself checks the signature.
fn in_user_space() -> Config {
    Config { signature: SignaturePath::UserSpace, ..Config::default() }
}

fn user_space(bench: &Bench, folder: &Path, signer: Signer) -> Result<()> {
    accepted(bench, folder, signer, Config { certificate: signer, ..in_user_space() })
}

/// Boots an image of `signer`, from a file on the ESP.
fn accepted(bench: &Bench, folder: &Path, signer: Signer, config: Config) -> Result<()> {
    let small = Small { signer, ..Small::default() };
    let ddi = bench.small_ddi(folder, &small)?;
    let disk = bench::disk(Source::EspFile, &[(small.version, &ddi)]);
    let signature = config.signature;
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    let expected = expected(small.version, &ddi, Source::EspFile, false);
    let booted = assert_boot_chain(&outcome, &Expected { signature, ..expected })?;
    let certificate = std::fs::read(bench.parts().keys(bench.cache(), signer)?.certificate_der)?;
    let fingerprint = Hex(&x509::parse(&certificate)?.fingerprint()).to_string();
    let found = booted.record.signer.sha256;
    ensure!(found.as_str() == fingerprint, "signed by the certificate {found}, expected {fingerprint}");
    Ok(())
}

fn refused(bench: &Bench, folder: &Path, tamper: Tamper) -> Result<()> {
    let small = Small { tamper: Some(tamper), ..Small::default() };
    let trial = Trial { config: in_user_space(), ..Trial::default() };
    let reason = tamper.expected().context("no refusal is expected")?;
    assert_refused_on_partition(bench, folder, &small, trial, reason)
}

pub fn assert_refused_on_partition(
    bench: &Bench,
    folder: &Path,
    small: &Small<'_>,
    trial: Trial<'_>,
    reason: Reason,
) -> Result<()> {
    let ddi = bench.small_ddi(folder, small)?;
    let disk = bench::disk(Source::Partition, &[(small.version, &ddi)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..trial })?;
    assert_refused(&outcome, reason, "vda1")
}

fn not_built_in(bench: &Bench, folder: &Path) -> Result<()> {
    let config = Config { boot_binary: Some(BootBinary::Tpm), ..in_user_space() };
    let outcome = bench.boot(folder, &Trial { config, ..Trial::default() })?;
    assert_refused(&outcome, Reason::ConfigInvalid, "/etc/initoverlayfs.conf")
}

fn required_by_the_kernel(bench: &Bench, folder: &Path) -> Result<()> {
    let config = Config { cmdline_allow: "dm_verity.require_signatures", ..in_user_space() };
    let command_line = "dm_verity.require_signatures=1";
    let trial = Trial { config, command_line, ..Trial::default() };
    assert_refused_on_partition(bench, folder, &Small::default(), trial, Reason::KernelLacks)
}
