// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read from the disk up to multi-user.target: the whole way through the initrd into the real root, on the host's clock.

use std::path::Path;

use anyhow::{Context, Result};
use boot_record::config::Source;
use serde::Serialize;

use super::latency::MODELS;
use crate::cache::Cache;
use crate::qemu::system::{self, INITRAMFS, System};
use crate::qemu::{Answer, Meter, Parts, Reads};

/// One way to multi-user.target.
#[derive(Clone, Debug, Serialize)]
pub struct Reached {
    /// Which.
    pub name: String,
    /// Bytes of the initramfs, which the boot loader reads.
    pub initramfs_bytes: u64,
    /// What was asked of the disk after that, by initrd and real root.
    pub reads: Reads,
    /// Milliseconds that both take on real storage, by [`MODELS`].
    pub storage_ms: [f64; MODELS.len()],
}

/// Boots the system of `make qemu`, from both sources, and its real root by these initrds of the same tree, which the kernel unpacks.
///
/// # Errors
/// A part cannot be made, or a boot does not come as far.
pub fn reached(cache: &Cache, parts: &Parts, folder: &Path, initrds: &[(&str, &Path)]) -> Result<Vec<Reached>> {
    let mut all = Vec::new();
    for source in [Source::Partition, Source::EspFile] {
        let system = System::of(source);
        let folder = folder.join(format!("target-{source}"));
        std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let prepared = system.prepare(cache, parts, &folder)?;
        let boot = |name: &str| -> Result<Reached> {
            let outcome = system::boot(parts, &prepared, &folder, None, Answer::PowerOff, Meter::Reads, &|_| {})?;
            let reads = outcome.reads.with_context(|| {
                format!("{name}: multi-user.target was not reached:\n{}", outcome.console.join("\n"))
            })?;
            let initramfs_bytes = folder.join(INITRAMFS).metadata()?.len();
            let loaded = Reads { bytes: initramfs_bytes, requests: 1 };
            let storage_ms = MODELS.map(|model| model.ms(loaded) + model.ms(reads));
            Ok(Reached { name: name.to_owned(), initramfs_bytes, reads, storage_ms })
        };
        all.push(boot(&source.to_string())?);
        if source == Source::EspFile {
            for (name, initrd) in initrds {
                std::fs::copy(initrd, folder.join(INITRAMFS)).with_context(|| format!("cannot copy {name}"))?;
                all.push(boot(name)?);
            }
        }
    }
    Ok(all)
}
