// SPDX-License-Identifier: MIT OR Apache-2.0
//! The results as text: a line while they come, and the page that docs/performance.md holds.

use std::fmt::Write;

use super::latency::MODELS;
use super::{Measured, PEER, Results};

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
    writeln!(page, "| stage | virtual ms |\n|---|---:|")?;
    for stage in &results.stages {
        writeln!(page, "| {} | {:.3} |", stage.name, stage.ms)?;
    }
    writeln!(page, "\n| initcall | virtual ms |\n|---|---:|")?;
    for initcall in &results.initcalls {
        writeln!(page, "| {} | {:.1} |", initcall.name, initcall.ms)?;
    }
    Ok(())
}
