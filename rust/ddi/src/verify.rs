// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi verify`: whether the boot would accept an image, or why not.
//!
//! * Makes the checks of storage-init's stage `verify`, by the same parsers and in the same order, then what the kernel
//!   does: the signature when the verity table is loaded, and every block on reading.
//! * Goes on after a refusal with whatever can still be checked; the reason that counts is the first.
//! * Trusts the given certificates and nothing else: an embedded one must be one of them, byte for byte.
//!
//! What it does not do:
//! * Look at files: whether os-release names the configured image and no extension, storage-init sees after the mount.
//! * Know a device: its configuration, its kernel's keyring, the versions it still runs.
//! * Look at certificates' dates and issuers: the boot has no clock, a certificate is a pin.

use std::path::{Path, PathBuf};

use boot_formats::ddi::{self, Layout};
use boot_formats::dps::Role;
use boot_formats::pkcs7::{self, Algorithm};
use boot_formats::signature_json::{self, MAX_SIGNATURE_PARTITION};
use boot_formats::verity::{self, SUPERBLOCK_SIZE, Superblock};
use boot_formats::x509;
use boot_record::reason::Reason;

use crate::block_check::{BadBlocks, Blocks};
use crate::certificate::{self, Certificate};
use crate::derive::SALTED_BYTES;
use crate::erofs;
use crate::file_error::FileError;
use crate::opened::{self, Opened};
use crate::report::SignerReport;
use crate::verdict::{Check, CheckReport, Outcome, Verdict};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[allow(missing_docs, reason = "each is the error of the module of its name")]
pub enum Error {
    Open(#[from] opened::Error),
    File(#[from] FileError),
    Certificate(#[from] certificate::Error),
}

/// Checks the image at `path` against the certificates in the PEM files `certificates`, one in each.
///
/// # Errors
/// See [`Error`]: an image that would be refused is none.
pub fn verify(path: &Path, certificates: &[PathBuf]) -> Result<Verdict, Error> {
    let anchors: Vec<_> = certificates.iter().map(|path| Certificate::load(path)).collect::<Result<_, _>>()?;
    let image = Opened::open(path)?;
    let mut report = Report::default();
    let (mut root_hash, mut signer) = (None, None);
    if let Some(layout) = layout(&image, &mut report)? {
        let signature = signature_partition(&image, &layout, &mut report)?;
        check_root_hash(&layout, signature.as_ref(), &mut report);
        let superblock = superblock(&image, &layout, &mut report)?;
        root_hash = signature.as_ref().map(|signature| signature.root_hash);
        signer = signature.as_ref().and_then(|signature| check_signature(signature, &anchors, &mut report));
        if let (Some(superblock), Some(root_hash)) = (superblock, root_hash) {
            check_blocks(&image, &layout, &superblock, root_hash, &mut report)?;
        }
    }
    let checks = report.finish();
    let reason = checks.iter().find_map(|CheckReport { outcome, .. }| match outcome {
        Outcome::Refused { reason, .. } => Some(*reason),
        Outcome::Ok { .. } | Outcome::NotChecked { .. } => None,
    });
    let valid = checks.iter().all(|CheckReport { outcome, .. }| matches!(outcome, Outcome::Ok { .. }));
    Ok(Verdict {
        format: 1,
        image: path.display().to_string(),
        size: image.size,
        valid,
        reason,
        root_hash: root_hash.map(|hash| hash.to_string()),
        signer: signer.map(SignerReport::of),
        checks,
    })
}

/// The outcomes so far.
#[derive(Default)]
struct Report(Vec<CheckReport>);

impl Report {
    fn ok(&mut self, check: Check, detail: impl ToString) {
        self.0.push(CheckReport { check, outcome: Outcome::Ok { detail: detail.to_string() } });
    }

    fn refused(&mut self, check: Check, reason: Reason, detail: impl ToString) {
        let outcome = Outcome::Refused { reason, detail: detail.to_string(), bad_blocks: None };
        self.0.push(CheckReport { check, outcome });
    }

    fn blocks(&mut self, check: Check, bad: Option<BadBlocks>, total: u64) {
        let Some(bad) = bad else {
            return self.ok(check, format_args!("{total} blocks"));
        };
        let BadBlocks { first_block, offset, count } = bad;
        let detail = format!("{count} of {total} blocks, the first is block {first_block} at byte {offset}");
        let outcome = Outcome::Refused { reason: Reason::Corrupt, detail, bad_blocks: Some(bad) };
        self.0.push(CheckReport { check, outcome });
    }

    fn outcome(&self, check: Check) -> Option<&Outcome> {
        self.0.iter().find(|report| report.check == check).map(|report| &report.outcome)
    }

    /// In the order of the boot, with those that were not reached: each names the first check that it needs and that
    /// did not end well.
    fn finish(self) -> Vec<CheckReport> {
        let is_ok = |check| matches!(self.outcome(check), Some(Outcome::Ok { .. }));
        Check::ALL
            .into_iter()
            .map(|check| {
                let needs = needs(check).iter().copied().find(|needed| !is_ok(*needed)).unwrap_or(check);
                let outcome = self.outcome(check).cloned().unwrap_or(Outcome::NotChecked { needs });
                CheckReport { check, outcome }
            })
            .collect()
    }
}

/// What has to be known before a check can be made.
const fn needs(check: Check) -> &'static [Check] {
    match check {
        Check::Partitions => &[],
        Check::SignaturePartition | Check::Superblock => &[Check::Partitions],
        Check::RootHash | Check::Signer => &[Check::Partitions, Check::SignaturePartition],
        Check::Signature => &[Check::Partitions, Check::SignaturePartition, Check::Signer],
        Check::HashTree => &[Check::Partitions, Check::SignaturePartition, Check::Superblock],
        Check::Data => &[Check::Partitions, Check::SignaturePartition, Check::Superblock, Check::HashTree],
    }
}

fn layout(image: &Opened, report: &mut Report) -> Result<Option<Layout>, FileError> {
    let found = match image.partition_table()? {
        Ok(found) => found,
        Err(error) => {
            report.refused(Check::Partitions, Reason::NotADdi, error);
            return Ok(None);
        }
    };
    match ddi::layout(&found.table) {
        Ok(layout) => {
            let (which, sector_size) = (found.which, found.sector_size);
            report.ok(Check::Partitions, format_args!("{which} table, {sector_size}-byte sectors"));
            Ok(Some(layout))
        }
        Err(error) => {
            let reason = match error {
                ddi::Error::Missing(Role::RootVeritySig) => Reason::Unsigned,
                _ => Reason::NotADdi,
            };
            report.refused(Check::Partitions, reason, error);
            Ok(None)
        }
    }
}

fn signature_partition(
    image: &Opened,
    layout: &Layout,
    report: &mut Report,
) -> Result<Option<signature_json::Signature>, FileError> {
    let bytes = image.read(layout.signature, MAX_SIGNATURE_PARTITION)?;
    match signature_json::parse(&bytes) {
        Ok(signature) => {
            report.ok(Check::SignaturePartition, format_args!("PKCS#7 of {} bytes", signature.pkcs7.len()));
            Ok(Some(signature))
        }
        Err(error) => {
            report.refused(Check::SignaturePartition, Reason::SignatureMalformed, error);
            Ok(None)
        }
    }
}

fn check_root_hash(layout: &Layout, signature: Option<&signature_json::Signature>, report: &mut Report) {
    let Some(signature) = signature else { return };
    match layout.check_root_hash(&signature.root_hash) {
        Ok(()) => report.ok(Check::RootHash, "is that of the partition UUIDs"),
        Err(error) => report.refused(Check::RootHash, Reason::RootHashMismatch, error),
    }
}

fn superblock(image: &Opened, layout: &Layout, report: &mut Report) -> Result<Option<Superblock>, FileError> {
    let first_block = image.read(layout.root, SALTED_BYTES)?;
    let parsed = verity::parse(&image.read(layout.verity, SUPERBLOCK_SIZE)?).and_then(|superblock| {
        superblock.require_4k()?;
        superblock.check_fits(layout.root, layout.verity)?;
        // What is no erofs, and lies about its size, is for the data's check.
        let erofs = erofs::size_in_partition(&image.path, &first_block, layout.root.len);
        erofs.map_or(Ok(()), |size| superblock.check_covers(size))?;
        Ok(superblock)
    });
    match parsed {
        Ok(superblock) => {
            report.ok(Check::Superblock, "sha256, 4096-byte blocks");
            Ok(Some(superblock))
        }
        Err(error) => {
            report.refused(Check::Superblock, Reason::VeritySuperblock, error);
            Ok(None)
        }
    }
}

/// The given certificate that the signature names, whether or not it made the signature.
fn check_signature<'a>(
    signature: &signature_json::Signature,
    anchors: &'a [Certificate],
    report: &mut Report,
) -> Option<&'a Certificate> {
    let certificate = match find_signer(signature, anchors) {
        Ok(found) => found,
        Err((reason, detail)) => {
            report.refused(Check::Signer, reason, detail);
            return None;
        }
    };
    report.ok(Check::Signer, certificate.path.display());
    match signature_check::verify(&signature.pkcs7, &signature.root_hash.as_hex(), &certificate.der) {
        Ok(verified) => {
            let Algorithm { digest, scheme } = verified.algorithm();
            report.ok(
                Check::Signature,
                format_args!("{} with {}, of the root hash's digits", scheme.name(), digest.name()),
            );
        }
        Err(error) => {
            let detail = format!("{error} ({})", certificate.path.display());
            report.refused(Check::Signature, error.reason(), detail);
        }
    }
    Some(certificate)
}

type Refusal = (Reason, String);

fn find_signer<'a>(
    signature: &signature_json::Signature,
    anchors: &'a [Certificate],
) -> Result<&'a Certificate, Refusal> {
    let malformed = |error: pkcs7::Error| (Reason::SignatureMalformed, error.to_string());
    let unknown = |detail: &str| (Reason::SignerUnknown, detail.to_owned());
    let signer = pkcs7::sole_signer(&signature.pkcs7).map_err(malformed)?;
    signer.algorithm().map_err(malformed)?;
    let certificate = anchors
        .iter()
        .find(|anchor| x509::parse(&anchor.der).is_ok_and(|certificate| certificate.is_signer(&signer)))
        .ok_or_else(|| unknown("the signer is none of the given certificates"))?;
    match signature.certificate_fingerprint {
        Some(claimed) if claimed != certificate.fingerprint => {
            Err(unknown("certificateFingerprint is of another certificate"))
        }
        _ => Ok(certificate),
    }
}

/// Data is not looked at under a tree that is bad: it would be compared with digests that nobody signed.
fn check_blocks(
    image: &Opened,
    layout: &Layout,
    superblock: &Superblock,
    root_hash: verity::RootHash,
    report: &mut Report,
) -> Result<(), FileError> {
    let blocks = match Blocks::new(layout, superblock, root_hash) {
        Ok(blocks) => blocks,
        Err(error) => {
            report.refused(Check::HashTree, Reason::VeritySuperblock, error);
            return Ok(());
        }
    };
    let bad = blocks.check_tree(image)?;
    report.blocks(Check::HashTree, bad, blocks.tree_blocks());
    if bad.is_none() {
        report.blocks(Check::Data, blocks.check_data(image)?, blocks.data_blocks());
    }
    Ok(())
}
