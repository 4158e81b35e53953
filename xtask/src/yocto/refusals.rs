// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wrong values: the build ends with the variable's name, its value and what is allowed.
//!
//! Those that are told when a recipe is parsed (initoverlayfs.bbclass) are tried by `cargo xtask test layer`; two of them show here that they
//! end a build of openembedded-core's as well.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::standin::{FIRST, Standin};
use super::{Bench, outcome};
use crate::keys;
use crate::suite::Tally;

/// What has rustc make storage-init static, in its recipe.
const STATIC: &str =
    "-Ctarget-feature=+crt-static -Clink-arg=-Wl,-Bstatic,--start-group,-lgcc,-lgcc_eh,-lc,--end-group";

/// Builds the image once for each wrong value.
///
/// # Errors
/// The build without one fails, or a key cannot be had.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let before = fs::read(Standin::open(bench, clones, FIRST)?.images()?.ddi)?;
    let other = keys::named(&bench.cache, &bench.tools, "other")?;
    let (key, certificate) = (other.key_pem.display(), other.certificate_pem.display());
    let ours = bench.keys.certificate_pem.display();
    let production = keys::production(&bench.cache, &bench.tools)?;
    let [production_key, production_certificate] = [production.key_pem.display(), production.certificate_pem.display()];
    // A signature that is right in itself, of something else than the image's root hash.
    let other_hash = bench.work.join("other.roothash");
    fs::write(&other_hash, "0".repeat(64)).with_context(|| format!("cannot write {}", other_hash.display()))?;
    let signature = bench.work.join("other.p7");
    keys::sign(&bench.tools, &bench.keys, &other_hash, &signature)?;
    let trusted = format!("INITOVERLAYFS_TRUSTED_CERTIFICATES = \"{ours} {production_certificate}\"");
    let cases = [
        (
            "certificate of another key",
            format!("INITOVERLAYFS_CERTIFICATE = \"{certificate}\"\n"),
            vec![
                format!("INITOVERLAYFS_CERTIFICATE = \"{certificate}\""),
                format!("INITOVERLAYFS_SIGNING_KEY = \"{}\"", bench.keys.key_pem.display()),
                "expected a key and the certificate of that key".to_owned(),
            ],
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
            "debug option with an image that a production key signs",
            format!(
                "INITOVERLAYFS_DEBUG = \"1\"\nINITOVERLAYFS_SIGNING_KEY = \"{production_key}\"\n\
                 INITOVERLAYFS_CERTIFICATE = \"{production_certificate}\"\n\
                 INITOVERLAYFS_TRUSTED_CERTIFICATES = \"{production_certificate}\"\n"
            ),
            vec![
                "INITOVERLAYFS_DEBUG = \"1\"".to_owned(),
                format!("INITOVERLAYFS_CERTIFICATE = \"{production_certificate}\""),
            ],
        ),
        (
            "image larger than its partition",
            "INITOVERLAYFS_PARTITION_SIZE = \"1\"\n".to_owned(),
            vec!["INITOVERLAYFS_PARTITION_SIZE = \"1\"".to_owned(), "bytes".to_owned()],
        ),
        (
            "signature of another image",
            format!(
                "INITOVERLAYFS_SIGNING = \"detached\"\nINITOVERLAYFS_SIGNING_KEY = \"\"\nINITOVERLAYFS_SIGNATURE = \"{}\"\n",
                signature.display()
            ),
            vec![
                format!("INITOVERLAYFS_SIGNATURE = \"{}\"", signature.display()),
                format!("INITOVERLAYFS_CERTIFICATE = \"{ours}\""),
            ],
        ),
        (
            "kernel module that the kernel does not have",
            "INITOVERLAYFS_MODULES = \"no_such_module\"\n".to_owned(),
            vec!["INITOVERLAYFS_MODULES = \"no_such_module\"".to_owned()],
        ),
        (
            "watchdog that runs out while the boot may still wait for the disk",
            "INITOVERLAYFS_WATCHDOG = \"5s\"\n".to_owned(),
            vec!["INITOVERLAYFS_WATCHDOG = \"5s\"".to_owned()],
        ),
        (
            "line that the configuration does not know",
            "INITOVERLAYFS_CONFIG_MORE = \"colour = 'red'\"\n".to_owned(),
            vec!["INITOVERLAYFS_CONFIG_MORE = \"colour = 'red'\"".to_owned()],
        ),
        (
            "source that there is none of",
            "INITOVERLAYFS_SOURCES = \"esp-file tape\"\n".to_owned(),
            vec!["INITOVERLAYFS_SOURCES = \"esp-file tape\"".to_owned(), "esp-file partition".to_owned()],
        ),
        (
            "feature without the layer that it needs",
            "INITOVERLAYFS_FEATURES = \"lvm2\"\n".to_owned(),
            vec!["INITOVERLAYFS_FEATURES = \"lvm2\"".to_owned(), "lvm2 needs the layer meta-oe".to_owned()],
        ),
        (
            "boot binary that is not static",
            format!("RUSTFLAGS:remove:pn-storage-init = \"{STATIC}\"\n"),
            vec!["storage-init asks for a program interpreter".to_owned()],
        ),
        (
            "boot binary larger than its limit",
            "INITOVERLAYFS_BINARY_MAX_KIB = \"100\"\n".to_owned(),
            vec!["INITOVERLAYFS_BINARY_MAX_KIB = \"100\"".to_owned(), "storage-init has".to_owned()],
        ),
    ];
    let mut files = [other, production].map(|keys| [keys.key_pem, keys.certificate_pem]).concat();
    files.push(signature);
    let mut tally = Tally::default();
    for (name, settings, words) in cases {
        tally.add(outcome(&format!("refused: {name}"), &refused(bench, clones, &files, &settings, &words)));
    }
    // A task that failed has left nothing behind, and taken nothing away.
    let result = (|| {
        let after = fs::read(Standin::open(bench, clones, FIRST)?.images()?.ddi)?;
        ensure!(before == after, "the image has {} bytes and had {}, or others", after.len(), before.len());
        Ok(())
    })();
    tally.add(outcome("the image after all that is the one before", &result));
    Ok(tally)
}

fn refused(bench: &Bench, clones: &Clones, files: &[PathBuf], settings: &str, words: &[String]) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    standin.build.settings.push_str(settings);
    standin.build.paths.extend_from_slice(files);
    standin.build.configure()?;
    let ran = standin.build.run("refusal", "bitbake", &["mini-initramfs", "initoverlayfs-image"])?;
    ensure!(!ran.success, "it was built all the same, see {}", ran.log.display());
    let said = |line: &&str| words.iter().all(|word| line.contains(word.as_str()));
    let lines = ran.text.lines().filter(|line| line.contains("ERROR")).find(said);
    lines.with_context(|| {
        format!("no error with {words:?}, see {}:\n{}", ran.log.display(), ran.lines_of("ERROR").join("\n"))
    })?;
    Ok(())
}
