// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody else signs: one build stops at the root hash, the next joins the signature, and what comes out is what the build with
//! the key at hand makes. Nobody signs (INITOVERLAYFS_DANGEROUSLY_UNSIGNED): no image is deployed under the name of a signed one.

use std::fs;

use anyhow::{Result, ensure};

use super::Bench;
use super::clones::Clones;
use super::standin::{FIRST, IMAGE, Standin, deployed};
use crate::keys;

/// The switch that is named for its danger.
const UNSIGNED: &str = "INITOVERLAYFS_DANGEROUSLY_UNSIGNED = \"1\"";
/// What the ways of signing deploy, and what of it after each build.
const TYPES: [&str; 3] = ["signed-ddi", "unsigned-ddi", "roothash"];

/// Builds by the key, then in two steps, then without a signature, in the same folder: no build may deploy what only the one before it made.
///
/// # Errors
/// A build fails, deploys something else, or makes another image.
pub fn check(bench: &Bench, clones: &Clones) -> Result<()> {
    let signed = fs::read(Standin::open(bench, clones, FIRST)?.images()?.ddi)?;
    let result = in_two_steps(bench, clones, &signed).and_then(|()| unsigned(bench, clones));
    // As it was, whatever came of this.
    let restored = Standin::open(bench, clones, FIRST).and_then(|standin| standin.images());
    result.and(restored.map(drop))
}

fn in_two_steps(bench: &Bench, clones: &Clones, expected: &[u8]) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    standin.build.settings.push_str("INITOVERLAYFS_SIGNING = \"detached\"\nINITOVERLAYFS_SIGNING_KEY = \"\"\n");
    standin.build.configure()?;
    standin.execute("to sign")?;
    assert_deployed(&standin, &["unsigned-ddi", "roothash"])?;

    let signature = standin.build.folder.join("signature.p7");
    keys::sign(&bench.tools, &bench.keys, &deployed(&standin.build, &format!("{IMAGE}.roothash"))?, &signature)?;
    standin.build.settings.push_str(&format!("INITOVERLAYFS_SIGNATURE = \"{}\"\n", signature.display()));
    standin.build.configure()?;
    standin.execute("join")?;
    assert_deployed(&standin, &["signed-ddi"])?;
    let joined = fs::read(deployed(&standin.build, &format!("{IMAGE}.signed-ddi"))?)?;
    ensure!(joined == expected, "the image is not that of the build with the key: {} bytes", joined.len());
    Ok(())
}

fn unsigned(bench: &Bench, clones: &Clones) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    standin.build.settings.push_str(&format!("{UNSIGNED}\n"));
    standin.build.configure()?;
    // A task that is restored out of shared state says nothing.
    standin.build.run("forget", "bitbake", &["-c", "cleansstate", "initoverlayfs-image"])?.expect_success()?;
    let ran = standin.build.run("unsigned", "bitbake", &["initoverlayfs-image"])?.expect_success()?;
    let warnings = ran.lines_of("WARNING");
    let warned = matches!(warnings.as_slice(), [line] if line.contains(UNSIGNED));
    ensure!(warned, "expected one warning, of {UNSIGNED}, see {}: {warnings:?}", ran.log.display());
    assert_deployed(&standin, &["unsigned-ddi", "roothash"])
}

fn assert_deployed(standin: &Standin<'_>, wanted: &[&str]) -> Result<()> {
    let found: Vec<&str> =
        TYPES.into_iter().filter(|kind| deployed(&standin.build, &format!("{IMAGE}.{kind}")).is_ok()).collect();
    ensure!(found == wanted, "deployed are {found:?}, expected {wanted:?}");
    Ok(())
}
