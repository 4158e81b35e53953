// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: what a boot costs until init is executed, beside what other ways cost on the same kernel.
//!
//! * Time is virtual and counts instructions (QEMU, `-icount`); it repeats to some 0.1 %, whatever else the host does. It sees
//!   no latency of storage: for that, bytes and requests are counted, and a stated model ([`latency`]) turns them into
//!   milliseconds.
//! * Everything is measured afresh in one run, on one kernel: that of `make qemu`.
//! * Init is the mark in every trial, one page that says the time and switches off.

mod budget;
mod latency;
mod machine;
pub mod mark;
mod page;
mod signature;
mod stages;
mod target;
mod trials;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use boot_record::config::Source;
use serde::Serialize;

use crate::cache::Cache;
use crate::progress::Step;
use crate::qemu::{BootBinary, Parts};
use crate::userspace::INITRD_RELEASE;
use machine::{Trial, measure};
use stages::{Initcall, Stage};
use target::Reached;
use trials::{CLUSTER, Init, Way, Workshop};

pub use budget::check;
pub use machine::Measured;

/// Names of the two trials that the budget compares.
const PEER: &str = "dm-init";
const OURS: &str = "esp-file, overlay";
/// Sizes of the padded images, in bytes.
const PADDED: [usize; 3] = [32 << 20, 256 << 20, 1 << 30];

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Also writes the numbers to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also writes the table to this file, as Markdown (docs/performance.md holds one).
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Everything that one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// What `uname -r` says in all trials.
    pub kernel: String,
    /// Bytes of the boot binary, stripped.
    pub storage_init_bytes: u64,
    /// Each way to boot.
    pub trials: Vec<Measured>,
    /// Virtual milliseconds of the kernel's check of the signature.
    pub signature_ms: f64,
    /// The stages of storage-init, in the trial that the budget is for.
    pub stages: Vec<Stage>,
    /// Reads up to multi-user.target.
    pub reached: Vec<Reached>,
    /// The kernel's ten slowest initcalls.
    pub initcalls: Vec<Initcall>,
}

/// Measures, prints the tables, and writes them where asked.
///
/// # Errors
/// Something cannot be built, or a boot of the table does not reach its init.
pub fn run(cache: &Cache, options: &Options) -> Result<()> {
    let parts = Parts::make(cache)?;
    let folder = cache.run_dir("bench")?;
    let workshop = Workshop::open(cache, &parts, folder.path())?;

    let step = Step::start("images", 0);
    let tree = workshop.tree()?;
    let image = workshop.image(&tree, "tree")?;
    step.done();

    let mut results = Vec::new();
    let mut run = |trial: Trial| -> Result<()> {
        let measured = measure(&parts, folder.path(), &trial)?;
        println!("{}", page::line(&measured));
        results.push(measured);
        Ok(())
    };
    run(workshop.empty(&image)?)?;
    run(workshop.dm_init(&image)?)?;
    for (name, source, overlay, cluster) in [
        ("partition", Source::Partition, false, CLUSTER),
        ("partition, overlay", Source::Partition, true, CLUSTER),
        ("esp-file", Source::EspFile, false, CLUSTER),
        (OURS, Source::EspFile, true, CLUSTER),
        ("esp-file, 32 KiB clusters", Source::EspFile, false, 8 * CLUSTER),
    ] {
        run(workshop.ours(name, &image, Way { source, overlay, cluster, init: Init::Mark })?)?;
    }
    let mut staying = tree.clone();
    staying.remove(INITRD_RELEASE);
    let staying = workshop.image(&staying, "staying")?;
    let way = Way { source: Source::EspFile, overlay: false, cluster: CLUSTER, init: Init::Mark };
    run(workshop.ours("esp-file, stays the root", &staying, way)?)?;
    let mut initrds = Vec::new();
    for compressor in [["zstd", "-19", "-T0", "--quiet"], ["lz4", "-9", "-l", "-q"]] {
        let trial = workshop.initrd(&tree, &image, &compressor)?;
        initrds.extend(trial.initramfs.clone().map(|path| (trial.name.clone(), path)));
        run(trial)?;
    }
    for size in PADDED {
        let padded = workshop.image(&workshop.padded_tree(size)?, "padded")?;
        for (source, cluster) in
            [(Source::Partition, CLUSTER), (Source::EspFile, CLUSTER), (Source::EspFile, 8 * CLUSTER)]
        {
            let clusters = match source {
                Source::EspFile => format!(", {} KiB clusters", cluster >> 10),
                Source::Partition => String::new(),
            };
            for (overlay, layer) in [(false, ""), (true, ", overlay")] {
                let name = format!("{source}, {} MiB{clusters}{layer}", size >> 20);
                run(workshop.ours(&name, &padded, Way { source, overlay, cluster, init: Init::Mark })?)?;
            }
        }
    }
    let probe = workshop.image(&workshop.probe_tree()?, "probe")?;
    let way = Way { source: Source::EspFile, overlay: true, cluster: CLUSTER, init: Init::Own };
    let initrds: Vec<(&str, &Path)> = initrds.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    let results = Results {
        kernel: parts.kernel.release.clone(),
        storage_init_bytes: parts
            .boot_binary(cache, BootBinary::Least)?
            .metadata()
            .context("cannot find storage-init")?
            .len(),
        trials: results,
        signature_ms: signature::cost(&parts, folder.path(), &workshop)?,
        stages: stages::stages(&parts, folder.path(), &workshop.ours("stages", &probe, way)?)?,
        reached: target::reached(cache, &parts, folder.path(), &initrds)?,
        initcalls: stages::initcalls(&parts, folder.path(), &workshop.empty(&image)?)?,
    };
    let page = page::markdown(&results);
    println!("\n{page}");
    if let Some(path) = &options.markdown {
        std::fs::write(path, &page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&results)? + "\n";
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
