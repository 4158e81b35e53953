// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu`: builds everything and boots it, for a person to see.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
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

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where storage-init looks for the DDI.
    #[arg(long, value_enum, default_value_t = From::Esp)]
    source: From,
    /// What the disk is.
    #[arg(long, value_enum, default_value_t = Storage::Virtio)]
    storage: Storage,
    /// The kernel of a boot without firmware [default: built-in]
    #[arg(long, value_enum)]
    kernel: Option<KernelChoice>,
    /// What starts the kernel [default: uefi, and none where another option asks for what does not go with it]
    #[arg(long, value_enum)]
    firmware: Option<StartedBy>,
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
    /// QEMU itself, which puts kernel and mini-initramfs into memory; no TPM, the real root in a plain partition
    None,
    /// UEFI with Secure Boot, out of a unified kernel image on the ESP; the image is measured, and the TPM opens the real root's volume
    Uefi,
}

/// Why a boot is not started by UEFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The UKI has its own.
    Kernel,
    /// edk2 as it is built for the board.
    Storage(Storage),
    /// Nowhere else is a signed policy looked for.
    Source,
    /// The UKI is there.
    NoEsp,
    /// [`KeptMemory`]'s devicetree is made without the TPM: the log of a refused boot would not be seen.
    Tamper,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("--kernel: that of the UKI has UEFI, TPM and dm-crypt built in"),
            Self::Storage(storage) => {
                let name = format!("{storage:?}").to_lowercase();
                write!(f, "--storage {name}: this firmware has drivers for virtio and nvme")
            }
            Self::Source => {
                f.write_str("--source partition: the volume's signed policy lies beside an image on the ESP")
            }
            Self::NoEsp => f.write_str("--tamper no-esp: the UKI lies on the ESP"),
            Self::Tamper => {
                f.write_str("--tamper: the log of a boot that is refused outlives it only in a machine without TPM")
            }
        }
    }
}

impl Obstacle {
    /// Whether the boot can be had all the same.
    fn is_of_comfort(self) -> bool {
        self == Self::Tamper
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    /// With it
    On,
    /// Without it
    Off,
}

impl Options {
    fn obstacle(&self) -> Option<Obstacle> {
        match *self {
            Self { kernel: Some(_), .. } => Some(Obstacle::Kernel),
            Self { storage, .. } if !matches!(storage, Storage::Virtio | Storage::Nvme) => {
                Some(Obstacle::Storage(storage))
            }
            Self { source: From::Partition, .. } => Some(Obstacle::Source),
            Self { tamper: Some(Tamper::NoEsp), .. } => Some(Obstacle::NoEsp),
            Self { tamper: Some(_), .. } => Some(Obstacle::Tamper),
            _ => None,
        }
    }

    /// Whether UEFI starts it.
    ///
    /// # Errors
    /// It is asked for, and something is in its way.
    pub fn uefi(&self) -> Result<bool> {
        match (self.firmware, self.obstacle()) {
            (Some(StartedBy::None), _) | (None, Some(_)) => Ok(false),
            (Some(StartedBy::Uefi), Some(obstacle)) if !obstacle.is_of_comfort() => {
                bail!("--firmware uefi does not go with {obstacle}")
            }
            (Some(StartedBy::Uefi) | None, _) => Ok(true),
        }
    }
}

/// Builds, boots, checks and says what came of it.
///
/// # Errors
/// Something cannot be built, or QEMU cannot be run. A boot that fails is an exit status of 1.
pub fn run(cache: &Cache, options: &Options) -> Result<ExitCode> {
    let uefi = options.uefi()?;
    if let (None, Some(obstacle)) = (options.firmware, options.obstacle()) {
        println!("Without firmware, TPM and encrypted root, for {obstacle}.");
    }
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
        kernel: if uefi { KernelChoice::Measured } else { options.kernel.unwrap_or_default() },
        uefi,
        overlay: options.overlay == Switch::On,
        tamper: options.tamper,
        ..System::of(Source::EspFile)
    };
    let prepared = system.prepare(cache, &parts, &folder)?;
    step.done();

    let answer = if options.keep { Answer::Stay } else { Answer::PowerOff };
    // A boot that is refused leaves its log to the next, in memory that outlives a reset. It takes up to a gigabyte of disk here.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn uefi(words: &str) -> Result<bool, String> {
        let line = Line::try_parse_from(std::iter::once("qemu").chain(words.split_ascii_whitespace()));
        line.unwrap().options.uefi().map_err(|error| error.to_string())
    }

    #[test]
    fn boots_by_uefi_unless_something_is_in_the_way() {
        for words in ["", "--storage nvme", "--overlay on --keep", "--tamper tree --firmware uefi"] {
            assert_eq!(uefi(words), Ok(true), "{words}");
        }
        for words in ["--firmware none", "--storage ufs", "--source partition", "--kernel built-in", "--tamper tree"] {
            assert_eq!(uefi(words), Ok(false), "{words}");
        }
    }

    #[test]
    fn what_does_not_go_with_uefi_is_named() {
        let words = uefi("--firmware uefi --storage sd").unwrap_err();
        assert_eq!(
            words,
            "--firmware uefi does not go with --storage sd: this firmware has drivers for virtio and nvme"
        );
        let words = uefi("--firmware uefi --tamper no-esp").unwrap_err();
        assert_eq!(words, "--firmware uefi does not go with --tamper no-esp: the UKI lies on the ESP");
    }
}
