// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask yocto`: the layer under real BitBake and openembedded-core, out of clones that the caller has.
//!
//! * Parse, graphs of all images, yocto-check-layer and signatures are openembedded-core's own, on every series given.
//! * Images are executed on the LTS with a stand-in toolchain (tests/yocto), and booted in QEMU.
//! * Not covered: openembedded-core's own gcc, glibc, Rust, systemd and kernel; those are parsed and resolved, not built.
//! * Reads the clones, writes the cache. Each check can be run alone; one that needs what another makes, makes it.

mod boot;
pub mod build;
mod check_layer;
pub mod clones;
mod contents;
mod copy;
mod detached;
mod downloads;
mod graph;
pub mod host;
mod parse;
mod pkcs11;
mod plain;
mod programs;
mod rebuild;
mod refusals;
mod reproducible;
mod selftests;
mod signatures;
mod standin;
mod wic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, Key};
use crate::keys::{self, Keys};
use crate::progress::human;
use crate::suite::Tally;
use crate::tools::Tools;
use crate::{debian_kernel, kernel, plan, repository};
use clones::{Clones, Series, WRYNOSE};

const KIND: &str = "yocto";
/// Raise it to start with empty build folders.
const RECIPE: u32 = 1;
/// Time of all checks in new build folders, and of none of it in one that is there.
const SECONDS: u32 = 3600;

/// Options of `cargo xtask yocto`.
#[derive(clap::Args)]
pub struct Options {
    /// Only these checks.
    #[arg(value_enum)]
    checks: Vec<Check>,
    /// No check: run this program in the environment of a build folder, such as `bitbake -e storage-init`.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_name = "PROGRAM")]
    run: Vec<String>,
    /// The build folder for --run.
    #[arg(long, value_enum, default_value = "standin", requires = "run")]
    folder: Folder,
}

/// Build folders that a person may look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Folder {
    /// Where images are executed.
    Standin,
    /// Parse and graphs of the LTS.
    Wrynose,
    /// Parse and graphs of the series after it.
    Blacksail,
}

/// The checks, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Check {
    /// BitBake parses every recipe, and warns of none.
    Parse,
    /// The task graphs of all images resolve: plain, bundled into the kernel, as UKI, with musl.
    Graph,
    /// Every wrong value of a variable ends the build with its name, value and what is allowed.
    Refusals,
    /// mini-initramfs and initoverlayfs-image are built.
    Execute,
    /// The cpio holds the boot binary, configuration, certificates and modules, and nothing else.
    Contents,
    /// The programs' packages hold what they should, and nothing else.
    Programs,
    /// What was built boots in QEMU to the DDI's init and on to the real root, its signature checked.
    Boot,
    /// initoverlayfs-disk is written by wic, and boots.
    Wic,
    /// Somebody else signs: a build that stops at the root hash and one that joins the signature give the same image.
    Detached,
    /// The key is in a PKCS#11 token: the image is that of the build with the key in a file.
    Pkcs11,
    /// Nothing changed: no task of ours runs. One file changed: only what depends on it does.
    Rebuild,
    /// Two builds in different folders: the same bytes.
    Reproducible,
    /// Adding the layer changes the signature of no other recipe's task.
    Signatures,
    /// oe-selftest finds the tests of lib/oeqa.
    Selftests,
    /// yocto-check-layer.
    #[value(name = "check-layer")]
    OfCore,
}

impl Check {
    const ALL: [Self; 15] = [
        Self::Parse,
        Self::Graph,
        Self::Refusals,
        Self::Execute,
        Self::Contents,
        Self::Programs,
        Self::Boot,
        Self::Wic,
        Self::Detached,
        Self::Pkcs11,
        Self::Rebuild,
        Self::Reproducible,
        Self::Signatures,
        Self::Selftests,
        Self::OfCore,
    ];

    fn run(self, bench: &Bench) -> Result<Tally> {
        match self {
            Self::Parse => bench.each_series(|clones| parse::check(bench, clones)),
            Self::Graph => graph::check(bench),
            Self::Refusals => bench.on_lts(|clones| refusals::check(bench, clones)),
            Self::Execute => {
                bench.lts("execute", |clones| standin::Standin::open(bench, clones, standin::FIRST)?.images().map(drop))
            }
            Self::Contents => bench.on_lts(|clones| contents::check(bench, clones)),
            Self::Programs => bench.on_lts(|clones| programs::check(bench, clones)),
            Self::Boot => bench.on_lts(|clones| boot::check(bench, clones)),
            Self::Wic => bench.on_lts(|clones| wic::check(bench, clones)),
            Self::Detached => bench.lts("detached", |clones| detached::check(bench, clones)),
            Self::Pkcs11 => bench.lts("pkcs11", |clones| pkcs11::check(bench, clones)),
            Self::Rebuild => bench.on_lts(|clones| rebuild::check(bench, clones)),
            Self::Reproducible => bench.lts("reproducible", |clones| reproducible::check(bench, clones)),
            Self::Signatures => bench.each_series(|clones| signatures::check(bench, clones)),
            Self::Selftests => bench.each_series(|clones| selftests::check(bench, clones)),
            Self::OfCore => bench.each_series(|clones| check_layer::check(bench, clones)),
        }
    }

    fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What every check needs.
struct Bench {
    cache: Cache,
    /// The tools root of the boot tests.
    tools: Tools,
    /// The root that BitBake runs in.
    host: Tools,
    keys: Keys,
    /// Where build folders are.
    work: PathBuf,
    /// The series whose clones are there.
    clones: Vec<Clones>,
}

impl Bench {
    fn open() -> Result<Self> {
        let mut clones = Vec::new();
        for series in clones::ALL {
            match Clones::of_environment(series)? {
                Some(found) => clones.push(found),
                None => println!("not run: {}", clones::how_to(series)),
            }
        }
        if clones.is_empty() {
            bail!("no clones of BitBake and openembedded-core: see CONTRIBUTING.md, \"Under BitBake\"");
        }
        let cache = Cache::open()?;
        let costs = [
            Tools::cost(&cache),
            host::cost(&cache),
            debian_kernel::cost(&cache),
            kernel::tree_cost(&cache),
            kernel::measured_cost(&cache),
        ];
        let costs: Vec<_> = costs.into_iter().flatten().collect();
        println!("{}", plan::announcement(cache.root(), &costs, SECONDS));
        let tools = Tools::ensure(&cache)?;
        let host = host::ensure(&cache)?;
        let keys = keys::development(&cache, &tools)?;
        let checkout = repository::root().as_os_str().as_encoded_bytes();
        let work = cache.work_dir(KIND, &Key::new(RECIPE).bytes("checkout", checkout))?;
        Ok(Self { cache, tools, host, keys, work, clones })
    }

    fn of(&self, series: Series) -> Option<&Clones> {
        self.clones.iter().find(|clones| clones.series == series)
    }

    /// A check that is one test for each series.
    fn each_series(&self, check: impl Fn(&Clones) -> Result<Tally>) -> Result<Tally> {
        let mut tally = Tally::default();
        for clones in &self.clones {
            tally.add(check(clones)?);
        }
        Ok(tally)
    }

    /// A check for the LTS alone; without its clones it did not run, which was said at the start.
    fn on_lts(&self, check: impl Fn(&Clones) -> Result<Tally>) -> Result<Tally> {
        self.of(WRYNOSE).map_or(Ok(Tally { skipped: 1, ..Tally::default() }), check)
    }

    /// As [`Bench::on_lts`], for one test.
    fn lts(&self, name: &str, check: impl Fn(&Clones) -> Result<()>) -> Result<Tally> {
        self.on_lts(|clones| Ok(outcome(name, &check(clones))))
    }
}

/// Says what came of one test, and counts it.
fn outcome(name: &str, result: &Result<()>) -> Tally {
    match result {
        Ok(()) => println!("ok {name}"),
        Err(error) => println!("FAILED {name}: {error:#}"),
    }
    Tally::one(result.is_ok())
}

/// Runs the checks; the last line is their sum.
///
/// # Errors
/// There are no clones, or no root to run BitBake in: no verdict.
pub fn run(options: &Options) -> Result<ExitCode> {
    let bench = Bench::open()?;
    if let Some((program, arguments)) = options.run.split_first() {
        return by_hand(&bench, options.folder, program, arguments);
    }
    let mut total = Tally::default();
    let wanted = |check: &Check| options.checks.is_empty() || options.checks.contains(check);
    for check in Check::ALL.into_iter().filter(wanted) {
        println!("== check: {}", check.name());
        let started = Instant::now();
        let tally = check.run(&bench).unwrap_or_else(|error| {
            println!("FAILED {}, which did not run: {error:#}", check.name());
            Tally::one(false)
        });
        println!("== {}: {} in {}", check.name(), tally.line(), human(started.elapsed()));
        total.add(tally);
    }
    println!("{}", total.line());
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn by_hand(bench: &Bench, folder: Folder, program: &str, arguments: &[String]) -> Result<ExitCode> {
    let series = if folder == Folder::Blacksail { clones::BLACKSAIL } else { WRYNOSE };
    let clones = bench.of(series).with_context(|| clones::how_to(series))?;
    let build = match folder {
        Folder::Standin => standin::Standin::open(bench, clones, standin::FIRST)?.build,
        Folder::Wrynose | Folder::Blacksail => plain::build(bench, clones, plain::Variant::Plain)?,
    };
    let status = build.command(program)?.args(arguments).status().with_context(|| format!("cannot run {program}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
