// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu`: builds everything and boots it, for a person to see.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use boot_record::config::Source;

use super::parts::{Config, IMAGE_ID, Parts};
use super::{Answer, Boot, Outcome};
use crate::boot_report::{self, CONSOLE_PREFIX, Expected, Target};
use crate::cache::Cache;
use crate::disk::{Candidate, Ddi, Disk, write_root};
use crate::progress::Step;
use crate::tamper::Tamper;
use crate::userspace::{self, Identity};

/// Version of the image.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Size of the real root: room for what a person may want to try in it.
const ROOT_SIZE: u64 = 256 << 20;
/// A boot to multi-user.target takes 8 s on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where storage-init looks for the DDI.
    #[arg(long, value_enum, default_value_t = From::Esp)]
    source: From,
    /// Spoils the boot in one way, to see it refused.
    #[arg(long, value_enum, value_name = "KIND")]
    tamper: Option<Tamper>,
    /// Whether the DDI gets a writable layer in memory.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    overlay: Switch,
    /// Leaves the guest running after its report, with a login on this terminal.
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
enum Switch {
    On,
    Off,
}

/// Builds, boots, checks and says what came of it.
///
/// # Errors
/// Something cannot be built, or QEMU cannot be run. A boot that fails is an exit status of 1.
pub fn run(cache: &Cache, options: &Options) -> Result<ExitCode> {
    let parts = Parts::make(cache)?;
    // One folder, so that disk and log of the last boot are where they were the time before.
    let _lock = cache.lock("qemu")?;
    let folder = cache.root().join("qemu").join("last");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    let step = Step::start("images: DDI, real root, disk", 0);
    let initramfs = folder.join("initramfs.cpio");
    let config = Config { sources: vec![options.source()], overlay: options.overlay(), ..Config::default() };
    parts.write_initramfs(&config, &initramfs)?;
    let (ddi, disk) = write_disk(cache, &parts, options, &folder)?;
    step.done();

    let expected = options.expected(&ddi, &disk);
    let path = folder.join("disk.img");
    let outcome = Boot {
        kernel: &parts.kernel.image,
        initramfs: &initramfs,
        command_line: "",
        disks: &[&path],
        late_disk: None,
        answer: if options.keep { Answer::Stay } else { Answer::PowerOff },
        deadline: DEADLINE,
        on_line: &|line| {
            if line.contains(CONSOLE_PREFIX) {
                println!("{line}");
            }
        },
    }
    .run(&parts.tools, &folder)?;
    Ok(conclude(&outcome, &expected, &path))
}

impl Options {
    fn source(&self) -> Source {
        match self.source {
            From::Esp => Source::EspFile,
            From::Partition => Source::Partition,
        }
    }

    fn overlay(&self) -> bool {
        self.overlay == Switch::On
    }

    fn expected(&self, ddi: &Ddi, disk: &Disk) -> Expected {
        Expected {
            root_hash: ddi.root_hash.clone(),
            version: VERSION.to_owned(),
            source: self.source(),
            overlay: self.overlay(),
            target: Target::RealRoot { device: format!("/dev/vda{}", disk.root_number()) },
        }
    }
}

/// The DDI in the place that `--source` says, and the real root; spoilt as `--tamper` says.
fn write_disk(cache: &Cache, parts: &Parts, options: &Options, folder: &Path) -> Result<(Ddi, Disk)> {
    let identity = Identity { image_id: IMAGE_ID.to_owned(), version: VERSION.to_owned(), epoch: 1 };
    let name = format!("{IMAGE_ID}_{VERSION}");
    let mut tree = userspace::ddi(cache, &identity)?;
    if let Some(tamper) = options.tamper {
        tamper.apply_to_tree(&mut tree, &identity);
    }
    let signer = options.tamper.map_or(crate::tamper::Signer::Development, Tamper::signer);
    let ddi = parts.ddi.image(&parts.tools, &tree, &parts.keys(cache, signer)?, &folder.join(format!("{name}.raw")))?;
    if let Some(tamper) = options.tamper {
        tamper.apply_to_image(&parts.tools, &ddi.image)?;
    }
    let root = folder.join("root.ext4");
    write_root(&parts.tools, &userspace::root(cache)?, &root, ROOT_SIZE)?;

    let candidate = Candidate { name, image: ddi.image.clone() };
    let (esp, partitions) = match options.source {
        From::Esp => (vec![candidate], Vec::new()),
        From::Partition => (Vec::new(), vec![candidate]),
    };
    let mut disk = Disk { esp: Some(esp), partitions, root: Some(root.clone()) };
    if let Some(tamper) = options.tamper {
        tamper.apply_to_disk(&mut disk);
    }
    disk.write(&parts.tools, &folder.join("disk.img"))?;
    std::fs::remove_file(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    Ok((ddi, disk))
}

fn conclude(outcome: &Outcome, expected: &Expected, disk: &Path) -> ExitCode {
    println!();
    let record = outcome.report.as_ref().map(boot_report::record);
    if let Some(Ok(record)) = record {
        println!("{}", boot_report::print(&record));
    }
    println!("log:  {}", outcome.log.display());
    println!("disk: {}", disk.display());
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
