// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's check of the signature takes: the same table of dm-verity, loaded with a signature and without.

use std::path::Path;

use anyhow::{Context, Result};
use boot_record::config::Source;

use super::machine::{QUIET, boot};
use super::trials::{CLUSTER, Init, Way, Workshop};
use crate::qemu::{Meter, Parts};
use crate::tamper::image;
use crate::userspace;

/// Where the probe looks for the signature.
const OWN_SIGNATURE: &str = "probe/own-signature";

/// Virtual milliseconds. The signature is that of an image of the development key, as in all trials; a guest measures it, with
/// libdevmapper.
///
/// # Errors
/// QEMU cannot be run, or the kernel does not accept the signature.
pub fn cost(parts: &Parts, folder: &Path, workshop: &Workshop<'_>) -> Result<f64> {
    let mut tree = workshop.probe_tree()?;
    let signed = workshop.image(&tree, "signed")?;
    tree.file(OWN_SIGNATURE, 0o644, image::signature(&signed.image)?);
    let action = format!("time-signature /dev/vda1 {}", signed.root_hash);
    tree.file(userspace::ACTIONS_FILE, 0o644, action.into_bytes());
    let timed = workshop.image(&tree, "timed")?;
    // Device-mapper shares a partition with itself; a mounted ESP it would not get.
    let way = Way { source: Source::Partition, overlay: false, cluster: CLUSTER, init: Init::Own };
    let trial = workshop.ours("signature", &timed, way)?;
    let outcome = boot(parts, folder, &trial, Meter::Instructions { report: true }, QUIET)?;
    let report = outcome.report.as_ref().with_context(|| format!("no report:\n{}", outcome.console.join("\n")))?;
    difference(report.text("action-1")?)
}

/// `WITH WITHOUT`, in nanoseconds.
fn difference(said: &str) -> Result<f64> {
    let numbers = said.split_once(' ').and_then(|(with, without)| Some((with.parse().ok()?, without.parse().ok()?)));
    let (with, without): (u64, u64) = numbers.with_context(|| format!("the probe could not time it: {said}"))?;
    let more = with.checked_sub(without).with_context(|| format!("no check: {said}"))?;
    Ok(more as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_check_is_what_is_more() {
        assert!((difference("3500000 1500000").unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(difference("1 2").unwrap_err().to_string(), "no check: 1 2");
        assert_eq!(difference("error: 16").unwrap_err().to_string(), "the probe could not time it: error: 16");
    }
}
