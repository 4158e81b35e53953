// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wrong values that only a task can tell: the build ends with the variable's name, its value and what is allowed.
//!
//! Those that are told when a recipe is parsed (initoverlayfs.bbclass) are not tried here.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::standin::{FIRST, Standin};
use super::{Bench, outcome};
use crate::kernel;
use crate::keys;
use crate::repository;
use crate::suite::Tally;

/// A certificate whose common name does not say DEVELOPMENT, as DER.
const PRODUCTION: &str = "rust/boot-formats/tests/golden/ecdsa.crt";

/// Builds the image once for each wrong value.
///
/// # Errors
/// The build without one fails, or a key cannot be had.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    Standin::open(bench, clones, FIRST)?.images()?;
    let other = keys::named(&bench.cache, &bench.tools, "other")?;
    let (key, certificate) = (other.key_pem.display(), other.certificate_pem.display());
    let ours = bench.keys.certificate_pem.display();
    let production = production_certificate(bench)?;
    let trusted = format!("INITOVERLAYFS_TRUSTED_CERTIFICATES = \"{ours} {}\"", production.display());
    let cases = [
        (
            "certificate of another key",
            format!("INITOVERLAYFS_CERTIFICATE = \"{certificate}\"\n"),
            vec![format!("INITOVERLAYFS_CERTIFICATE = \"{certificate}\""), "INITOVERLAYFS_SIGNING_KEY".to_owned()],
        ),
        (
            "signer that the device does not trust",
            format!(
                "INITOVERLAYFS_CERTIFICATE = \"{certificate}\"\nINITOVERLAYFS_SIGNING_KEY = \"{key}\"\n\
                 INITOVERLAYFS_TRUSTED_CERTIFICATES = \"{ours}\"\n"
            ),
            vec![format!("INITOVERLAYFS_TRUSTED_CERTIFICATES = \"{ours}\""), format!("{certificate}")],
        ),
        (
            "debug option with a production certificate",
            format!("INITOVERLAYFS_DEBUG = \"1\"\n{trusted}\n"),
            vec![trusted, "INITOVERLAYFS_DEBUG = \"1\"".to_owned()],
        ),
        (
            "image larger than its partition",
            "INITOVERLAYFS_PARTITION_SIZE = \"1\"\n".to_owned(),
            vec!["INITOVERLAYFS_PARTITION_SIZE = \"1\"".to_owned(), "bytes".to_owned()],
        ),
        (
            "boot binary larger than its limit",
            "INITOVERLAYFS_BINARY_MAX_KIB = \"100\"\n".to_owned(),
            vec!["INITOVERLAYFS_BINARY_MAX_KIB = \"100\"".to_owned(), "storage-init has".to_owned()],
        ),
    ];
    let files = [other.key_pem.clone(), other.certificate_pem.clone(), production];
    let mut tally = Tally::default();
    for (name, settings, words) in cases {
        tally.add(outcome(&format!("refused: {name}"), &refused(bench, clones, &files, &settings, &words)));
    }
    Ok(tally)
}

/// The file that [`PRODUCTION`] is as PEM.
fn production_certificate(bench: &Bench) -> Result<PathBuf> {
    let der = fs::read(repository::root().join(PRODUCTION)).context(PRODUCTION)?;
    let path = bench.work.join("production.pem");
    fs::write(&path, kernel::pem(&der)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn refused(bench: &Bench, clones: &Clones, files: &[PathBuf], settings: &str, words: &[String]) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    standin.build.settings.push_str(settings);
    standin.build.paths.extend_from_slice(files);
    standin.build.configure()?;
    let ran = standin.build.run("refusal", "bitbake", &["mini-initramfs", "initoverlayfs-image"])?;
    // As it was, whatever comes of this.
    Standin::open(bench, clones, FIRST)?;
    ensure!(!ran.success, "it was built all the same, see {}", ran.log.display());
    let said = |line: &&str| words.iter().all(|word| line.contains(word.as_str()));
    let lines = ran.text.lines().filter(|line| line.contains("ERROR")).find(said);
    lines.with_context(|| {
        format!("no error with {words:?}, see {}:\n{}", ran.log.display(), ran.lines_of("ERROR").join("\n"))
    })?;
    Ok(())
}
