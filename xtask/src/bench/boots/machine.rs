// SPDX-License-Identifier: MIT OR Apache-2.0
//! One way to boot, measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::latency::MODELS;
use super::mark::Mark;
use crate::qemu::storage::Storage;
use crate::qemu::{Answer, Boot, Exit, Meter, Outcome, Parts, Reads, SERIAL, Start};

/// Each way is booted so often, and the fastest counts. All do the same work; a host that is late with a read only ever adds.
const BOOTS: usize = 5;
/// For every boot: nothing of the kernel's chatter on the serial line, whose every character costs instructions; and a processor
/// that waits for a read by counting, which is some microseconds. One that sleeps has QEMU's clock leap to the kernel's next timer,
/// milliseconds away.
pub const QUIET: &str = "quiet nohlt";
/// Most that a boot may take on the host's clock.
const DEADLINE: Duration = Duration::from_secs(300);

/// One way to boot.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What the table calls it.
    pub name: String,
    /// The initramfs, if it has one.
    pub initramfs: Option<PathBuf>,
    /// The disk.
    pub disk: PathBuf,
    /// Further words of the kernel's command line.
    pub command_line: String,
}

/// What came of it, up to the exec of init.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which way.
    pub name: String,
    /// Milliseconds of virtual time since the kernel's clock started: instructions, 2 ns each.
    pub virtual_ms: f64,
    /// Bytes of the initramfs, which the boot loader reads.
    pub initramfs_bytes: u64,
    /// What the kernel, and whatever it ran, asked of the disk.
    pub reads: Reads,
    /// Milliseconds with the initramfs and these reads on real storage, by [`MODELS`].
    pub modelled_ms: [f64; MODELS.len()],
    /// Free memory, in bytes.
    pub free_bytes: u64,
}

/// Boots it as often as it takes. Files go into `folder`.
///
/// # Errors
/// QEMU cannot be run, or init was not executed.
pub fn measure(parts: &Parts, folder: &Path, trial: &Trial) -> Result<Measured> {
    let initramfs_bytes = match &trial.initramfs {
        Some(path) => path.metadata().with_context(|| format!("cannot find {}", path.display()))?.len(),
        None => 0,
    };
    let mut best: Option<(Mark, Reads)> = None;
    for _ in 0..BOOTS {
        let outcome = boot(parts, folder, trial, Meter::Instructions { report: false }, QUIET)?;
        let mark = Mark::find(&outcome.console).filter(|_| outcome.exit == Exit::PowerOff);
        let Some((mark, reads)) = mark.zip(outcome.reads) else {
            bail!("{}: init was not executed:\n{}", trial.name, outcome.console.join("\n"));
        };
        if best.is_none_or(|(best, _)| mark.ms < best.ms) {
            best = Some((mark, reads));
        }
    }
    let Some((mark, reads)) = best else { bail!("{}: no boot", trial.name) };
    // The boot loader reads the initramfs in one go.
    let loaded = Reads { bytes: initramfs_bytes, requests: u64::from(initramfs_bytes != 0) };
    Ok(Measured {
        name: trial.name.clone(),
        virtual_ms: mark.ms,
        initramfs_bytes,
        reads,
        modelled_ms: MODELS.map(|model| mark.ms + model.ms(loaded) + model.ms(reads)),
        free_bytes: mark.free,
    })
}

/// Boots it once.
///
/// # Errors
/// QEMU cannot be run.
pub fn boot(parts: &Parts, folder: &Path, trial: &Trial, meter: Meter, words: &str) -> Result<Outcome> {
    Boot {
        start: Start::Kernel {
            image: &parts.kernel.image,
            initramfs: trial.initramfs.as_deref(),
            console: SERIAL,
            command_line: &format!("{words} {}", trial.command_line),
        },
        tpm: None,
        devices: &[],
        disks: &[&trial.disk],
        storage: Storage::Virtio,
        late_disk: None,
        memory: None,
        answer: Answer::PowerOff,
        meter,
        deadline: DEADLINE,
        until: None,
        on_line: &|_| {},
    }
    .run(&parts.tools, folder)
    .with_context(|| trial.name.clone())
}
