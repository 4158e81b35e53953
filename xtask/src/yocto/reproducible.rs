// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two builds of the same layer, in folders of different names and depths and without shared state, give the same bytes.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::Bench;
use super::clones::Clones;
use super::standin::{FIRST, Standin};

/// The other folder: longer, deeper.
const SECOND: &str = "standin-again/in/a/deeper/folder";

/// Compares DDI and mini-initramfs of both.
///
/// # Errors
/// A build fails, or the bytes differ.
pub fn check(bench: &Bench, clones: &Clones) -> Result<()> {
    let second = bench.work.join(SECOND);
    // A state left over from an earlier run would prove that run's reproducibility, not this one's.
    for name in ["tmp", "sstate-cache"] {
        let left = second.join(name);
        if left.exists() {
            std::fs::remove_dir_all(&left).with_context(|| format!("cannot remove {}", left.display()))?;
        }
    }
    let first = Standin::open(bench, clones, FIRST)?.images()?;
    let second = Standin::open(bench, clones, SECOND)?.images()?;
    for (name, one, other) in
        [("the DDI", &first.ddi, &second.ddi), ("the mini-initramfs", &first.initramfs, &second.initramfs)]
    {
        let (one_bytes, other_bytes) = (std::fs::read(one)?, std::fs::read(other)?);
        let differs = one_bytes.iter().zip(&other_bytes).position(|(one, other)| one != other);
        ensure!(
            one_bytes == other_bytes,
            "{name} differs from byte {differs:?} on: {} ({} bytes), {} ({} bytes)",
            one.display(),
            one_bytes.len(),
            other.display(),
            other_bytes.len()
        );
        let hash: String = Sha256::digest(&one_bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        println!("  {name}: {} bytes, SHA-256 {hash}", one_bytes.len());
    }
    Ok(())
}
