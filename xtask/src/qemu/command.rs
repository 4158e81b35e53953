// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu`: builds everything and boots it, for a person to see.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use bootlog::drawing;
use bootlog::timeline::Timeline;

use super::kernel_choice::KernelChoice;
use super::parts::Parts;
use super::storage::Storage;
use super::system::{self, DISK, System};
use super::{Answer, KeptMemory, Meter, Outcome};
use crate::boot_report::{self, CONSOLE_PREFIX, Expected};
use crate::cache::Cache;
use crate::log_strings;
use crate::progress::Step;
use crate::tamper::Tamper;
use crate::userspace::Release;

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where storage-init looks for the DDI.
    #[arg(long, value_enum, default_value_t = From::Esp)]
    source: From,
    /// What the disk is.
    #[arg(long, value_enum, default_value_t = Storage::Virtio)]
    storage: Storage,
    /// The kernel.
    #[arg(long, value_enum, default_value_t = KernelChoice::BuiltIn)]
    kernel: KernelChoice,
    /// What starts the kernel. With UEFI there is a TPM, and the image has to be measured; the disk is virtio or NVMe.
    #[arg(long, value_enum, default_value_t = StartedBy::None, conflicts_with = "kernel")]
    firmware: StartedBy,
    /// Spoils the boot in one way, to see it refused.
    #[arg(long, value_enum, value_name = "KIND")]
    tamper: Option<Tamper>,
    /// Whether the DDI gets a writable layer in memory.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    overlay: Switch,
    /// Leaves the guest running after its report, with a shell on this terminal.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum From {
    /// A file on the EFI system partition
    Esp,
    /// A partition of our own type
    Partition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StartedBy {
    /// QEMU itself, which puts kernel and mini-initramfs into memory
    None,
    /// UEFI with Secure Boot, out of a unified kernel image on the ESP
    Uefi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    /// With it
    On,
    /// Without it
    Off,
}

/// Builds, boots, checks and says what came of it.
///
/// # Errors
/// Something cannot be built, or QEMU cannot be run. A boot that fails is an exit status of 1.
pub fn run(cache: &Cache, options: &Options) -> Result<ExitCode> {
    let uefi = options.firmware == StartedBy::Uefi;
    ensure!(
        !uefi || matches!(options.storage, Storage::Virtio | Storage::Nvme),
        "--firmware uefi: this firmware has no driver for --storage {:?}",
        options.storage
    );
    let parts = Parts::make(cache)?;
    // One folder, so that disk and log of the last boot are where they were the time before.
    let _lock = cache.lock("qemu")?;
    let folder = cache.root().join("qemu").join("last");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    let step = Step::start("images: DDI, real root, disk", 0);
    let system = System {
        source: match options.source {
            From::Esp => Source::EspFile,
            From::Partition => Source::Partition,
        },
        storage: options.storage,
        kernel: if uefi { KernelChoice::Measured } else { options.kernel },
        uefi,
        overlay: options.overlay == Switch::On,
        root: Release::Stable,
        tamper: options.tamper,
    };
    let prepared = system.prepare(cache, &parts, &folder)?;
    step.done();

    let answer = if options.keep { Answer::Stay } else { Answer::PowerOff };
    // A boot that is refused leaves its log to the next, in memory that outlives a reset. It takes up to a gigabyte of disk here.
    // Its devicetree is made without the TPM of a boot by UEFI: there it is left out.
    let memory = options.tamper.filter(|_| !uefi).map(|_| KeptMemory::make(&parts.tools, &folder)).transpose()?;
    let outcome = system::boot(&parts, &prepared, &folder, memory.as_ref(), answer, Meter::Off, &|line| {
        if line.contains(CONSOLE_PREFIX) {
            println!("{line}");
        }
    })?;
    println!();
    let log = match (&outcome.report, &memory) {
        (Some(report), _) => Some(report.bytes("boot.defmt")?.to_vec()),
        (None, Some(memory)) => memory.log()?,
        (None, None) => None,
    };
    let picture = log.map(|log| show_log(cache, &log, &folder)).transpose()?;
    memory.map(KeptMemory::forget).transpose()?;
    Ok(conclude(&outcome, &prepared.expected, &folder.join(DISK), picture.as_deref()))
}

/// Prints where the boot's time went, and draws it.
fn show_log(cache: &Cache, log: &[u8], folder: &Path) -> Result<PathBuf> {
    let decoded = log_strings::decode(cache, log)?;
    let timeline = Timeline::of(decoded.events())?;
    println!("{}", bootlog::report::Report { timeline: &timeline, decoded: &decoded });
    let picture = folder.join("boot.svg");
    std::fs::write(&picture, drawing::draw(&timeline, &decoded))
        .with_context(|| format!("cannot write {}", picture.display()))?;
    Ok(picture)
}

fn conclude(outcome: &Outcome, expected: &Expected, disk: &Path, picture: Option<&Path>) -> ExitCode {
    println!("log:     {}", outcome.log.display());
    println!("disk:    {}", disk.display());
    if let Some(picture) = picture {
        println!("picture: {}", picture.display());
    }
    match boot_report::check(outcome, expected) {
        Ok(booted) => {
            println!("{booted}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}
