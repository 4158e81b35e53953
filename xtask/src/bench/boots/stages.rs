// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the time goes: in storage-init by stage, and in the kernel before it by initcall.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::machine::{QUIET, Trial, boot};
use crate::boot_report;
use crate::qemu::{Meter, Parts};

/// How many initcalls are told of.
const SLOWEST: usize = 10;

/// What the table calls the time until storage-init is executed.
const BEFORE: &str = "kernel";

/// One stage of storage-init.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Virtual milliseconds.
    pub ms: f64,
}

/// One initcall of the kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Initcall {
    /// The function.
    pub name: String,
    /// Virtual milliseconds.
    pub ms: f64,
}

/// What came before the first stage, kernel and initramfs; then what storage-init did in a trial whose init reports, and how long
/// each stage took. The hand-over is not over when it writes them down.
///
/// # Errors
/// QEMU cannot be run, or the boot does not reach its report.
pub fn stages(parts: &Parts, folder: &Path, trial: &Trial) -> Result<Vec<Stage>> {
    let outcome = boot(parts, folder, trial, Meter::Instructions { report: true }, QUIET)?;
    let report = outcome.report.as_ref().with_context(|| format!("no report:\n{}", outcome.console.join("\n")))?;
    let stages = boot_report::record(report)?.stages;
    let ms = |us: u64| us as f64 / 1000.0;
    let before = stages.first().map(|first| Stage { name: BEFORE.to_owned(), ms: ms(first.start_us) });
    let stages = stages.iter().map(|stage| Stage { name: stage.stage.to_string(), ms: ms(stage.took_us) });
    Ok(before.into_iter().chain(stages).collect())
}

/// The kernel's slowest initcalls, slowest first, as its `initcall_debug` says.
///
/// # Errors
/// QEMU cannot be run, or the kernel said nothing of initcalls.
pub fn initcalls(parts: &Parts, folder: &Path, empty: &Trial) -> Result<Vec<Initcall>> {
    let meter = Meter::Instructions { report: false };
    let outcome = boot(parts, folder, empty, meter, "initcall_debug ignore_loglevel")?;
    let mut found: Vec<Initcall> = outcome.console.iter().filter_map(|line| initcall(line)).collect();
    if found.is_empty() {
        bail!("the kernel said nothing of initcalls:\n{}", outcome.console.join("\n"));
    }
    found.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    found.truncate(SLOWEST);
    Ok(found)
}

/// `initcall NAME+0xN/0xN returned N after N usecs`, with or without the time before it.
fn initcall(line: &str) -> Option<Initcall> {
    let (_, rest) = line.split_once("initcall ")?;
    let (function, rest) = rest.split_once(' ')?;
    let us = rest.split_once(" after ")?.1.strip_suffix(" usecs")?.parse::<u32>().ok()?;
    let name = function.split_once('+').map_or(function, |(name, _)| name);
    Some(Initcall { name: name.to_owned(), ms: f64::from(us) / 1000.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initcall_is_read_off_the_console() {
        let line = "[    0.046] initcall virtio_blk_init+0x0/0xa0 returned 0 after 13919 usecs";
        assert_eq!(initcall(line), Some(Initcall { name: "virtio_blk_init".into(), ms: 13.919 }));
        assert_eq!(initcall("calling  virtio_blk_init+0x0/0xa0 @ 1"), None);
    }
}
