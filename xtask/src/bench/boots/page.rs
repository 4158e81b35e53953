// SPDX-License-Identifier: MIT OR Apache-2.0
//! The results as text: a line while they come, and the page that docs/performance.md holds.

use std::fmt::Write;

use boot_record::stage::Stage::Verify;

use super::latency::MODELS;
use super::stages::Stage;
use super::{Measured, OURS, PEER, Reached, Results};

const KIB: f64 = 1024.0;
const MIB: f64 = KIB * KIB;

/// One line for a person who waits.
pub fn line(measured: &Measured) -> String {
    let Measured { name, virtual_ms, reads, .. } = measured;
    format!("{name:34} {virtual_ms:9.2} ms  {:5} requests  {:9.1} KiB", reads.requests, reads.bytes as f64 / KIB)
}

/// The tables, as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut page = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut page, results);
    page
}

fn write(page: &mut String, results: &Results) -> std::fmt::Result {
    let peer = results.trials.iter().find(|trial| trial.name == PEER).map(|trial| trial.virtual_ms);
    write!(page, "| until init is executed | virtual ms | to dm-init | initramfs KiB | requests | KiB read |")?;
    for model in MODELS {
        write!(page, " {} ms |", model.name)?;
    }
    writeln!(page, " free MiB |\n|---|{}", "---:|".repeat(6 + MODELS.len()))?;
    for trial in &results.trials {
        let ratio = peer.map_or(f64::NAN, |peer| trial.virtual_ms / peer);
        write!(page, "| {} | {:.2} | {ratio:.3} |", trial.name, trial.virtual_ms)?;
        write!(page, " {:.1} | {} |", trial.initramfs_bytes as f64 / KIB, trial.reads.requests)?;
        write!(page, " {:.1} |", trial.reads.bytes as f64 / KIB)?;
        for ms in trial.modelled_ms {
            write!(page, " {ms:.1} |")?;
        }
        writeln!(page, " {:.1} |", trial.free_bytes as f64 / MIB)?;
    }
    writeln!(page, "\nLinux {}, storage-init {} bytes.\n", results.kernel, results.storage_init_bytes)?;
    let ours = results.trials.iter().find(|trial| trial.name == OURS).map(|trial| trial.virtual_ms);
    if let Some((ours, peer)) = ours.zip(peer) {
        let signature = results.signature_ms;
        writeln!(page, "| {OURS} | virtual ms |\n|---|---:|")?;
        writeln!(page, "| {PEER} | {peer:.2} |\n| the kernel's check of the signature | {signature:.2} |")?;
        writeln!(page, "| left | {:.2} |\n", ours - peer - signature)?;
    }
    writeln!(page, "| stage | virtual ms | without the signature |\n|---|---:|---:|")?;
    for Stage { name, ms } in &results.stages {
        let signature = if *name == Verify.to_string() { results.signature_ms } else { 0.0 };
        writeln!(page, "| {name} | {ms:.3} | {:.3} |", ms - signature)?;
    }
    write!(page, "\n| until multi-user.target | initramfs KiB | requests | KiB read |")?;
    for model in MODELS {
        write!(page, " storage, {} ms |", model.name)?;
    }
    writeln!(page, "\n|---|{}", "---:|".repeat(3 + MODELS.len()))?;
    for Reached { name, initramfs_bytes, reads, storage_ms } in &results.reached {
        let kib = |bytes: u64| bytes as f64 / KIB;
        write!(page, "| {name} | {:.1} | {} | {:.1} |", kib(*initramfs_bytes), reads.requests, kib(reads.bytes))?;
        for ms in storage_ms {
            write!(page, " {ms:.0} |")?;
        }
        writeln!(page)?;
    }
    writeln!(page, "\n| initcall | virtual ms |\n|---|---:|")?;
    for initcall in &results.initcalls {
        writeln!(page, "| {} | {:.1} |", initcall.name, initcall.ms)?;
    }
    Ok(())
}
