// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody else signs: one build stops at the root hash, the next joins the signature, and what comes out is what the build with
//! the key at hand makes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::clones::Clones;
use super::standin::{FIRST, IMAGE, Standin, deployed};

/// What the ways of signing deploy, and what of it after each build.
const TYPES: [&str; 3] = ["signed-ddi", "unsigned-ddi", "roothash"];

/// Builds by the key, then in two steps, in the same folder: no build may deploy what only the one before it made.
///
/// # Errors
/// A build fails, deploys something else, or makes another image.
pub fn check(bench: &Bench, clones: &Clones) -> Result<()> {
    let signed = fs::read(Standin::open(bench, clones, FIRST)?.images()?.ddi)?;
    let result = in_two_steps(bench, clones, &signed);
    // As it was, whatever came of this.
    Standin::open(bench, clones, FIRST)?.images()?;
    result
}

fn in_two_steps(bench: &Bench, clones: &Clones, expected: &[u8]) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    standin.build.settings.push_str("INITOVERLAYFS_SIGNING = \"detached\"\nINITOVERLAYFS_SIGNING_KEY = \"\"\n");
    standin.build.configure()?;
    standin.execute("to sign")?;
    assert_deployed(&standin, &["unsigned-ddi", "roothash"])?;

    let signature = standin.build.folder.join("signature.p7");
    sign(bench, &deployed(&standin.build, &format!("{IMAGE}.roothash"))?, &signature)?;
    standin.build.settings.push_str(&format!("INITOVERLAYFS_SIGNATURE = \"{}\"\n", signature.display()));
    standin.build.configure()?;
    standin.execute("join")?;
    assert_deployed(&standin, &["signed-ddi"])?;
    let joined = fs::read(deployed(&standin.build, &format!("{IMAGE}.signed-ddi"))?)?;
    ensure!(joined == expected, "the image is not that of the build with the key: {} bytes", joined.len());
    Ok(())
}

fn assert_deployed(standin: &Standin<'_>, wanted: &[&str]) -> Result<()> {
    let found: Vec<&str> =
        TYPES.into_iter().filter(|kind| deployed(&standin.build, &format!("{IMAGE}.{kind}")).is_ok()).collect();
    ensure!(found == wanted, "deployed are {found:?}, expected {wanted:?}");
    Ok(())
}

/// As docs/porting.md says.
fn sign(bench: &Bench, root_hash: &Path, signature: &Path) -> Result<()> {
    let keys = &bench.keys;
    let folder = signature.parent().context("a signature without a folder")?;
    let mut openssl = bench.tools.command_in(folder, "openssl", &[root_hash, &keys.key_pem, &keys.certificate_pem])?;
    openssl.args(["smime", "-sign", "-nocerts", "-noattr", "-binary", "-outform", "der", "-in"]).arg(root_hash);
    openssl.arg("-signer").arg(&keys.certificate_pem).arg("-inkey").arg(&keys.key_pem).arg("-out").arg(signature);
    let output = openssl.output().context("cannot run openssl")?;
    ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
