// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: the command line.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xtask::cache::Cache;
use xtask::plan::{self, Cost};
use xtask::qemu::BootBinary;
use xtask::tools::Tools;
use xtask::{
    bench, crates_inc, debian_kernel, fuzz, kernel, keys, layer, qemu, refusals, repository, suite, target, userspace,
    variables, yocto,
};

/// Exit status where no verdict was reached: something is missing or cannot be built. A bad verdict is 1.
const EXIT_NO_VERDICT: u8 = 2;
/// Folders that a program of the tools root sees as they are there, not as they are on the host.
const OF_THE_TOOLS: [&str; 9] = ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/dev", "/proc", "/sys"];
/// Time to make the images and boot them when everything is cached.
const BOOT_SECONDS: u32 = 30;
/// Time of the tests themselves, their builds in a new checkout included.
const TEST_SECONDS: u32 = 900;

/// Develops and tests meta-initoverlayfs: builds a signed image and boots it in QEMU.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds a signed image and boots it in QEMU; ends with BOOT OK or BOOT FAILED.
    Qemu(qemu::Options),
    /// Runs the tests, tier by tier; the last line is their sum.
    #[command(visible_alias = "ci")]
    Test {
        /// Only this tier.
        #[arg(value_enum)]
        tier: Option<suite::Tier>,
    },
    /// Measures what a boot costs until init is executed, beside other ways to boot.
    Bench(bench::boots::Options),
    /// Measures what building a DDI costs beside mkfs.erofs; exit status 1 if it is more than the budget.
    BenchImages,
    /// Runs the fuzz targets under the address sanitizer; exit status 1 if there is a finding.
    Fuzz(fuzz::Options),
    /// Runs the layer under BitBake and openembedded-core, out of clones that YOCTO_WRYNOSE and YOCTO_BLACKSAIL name.
    Yocto(yocto::Options),
    /// Removes the cache: everything outside the checkout that these commands wrote.
    Uninstall,
    /// Makes the tools, development key, kernel and boot binary, and says where they are.
    Prepare,
    /// Runs a program of the tools root; it sees this checkout, and files by the paths given to it.
    Tool {
        /// The program, such as mkfs.erofs.
        program: OsString,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Writes the table of refusals in docs/security.md, out of what the last run of the tests saw.
    Refusals {
        /// Only checks that it is what the tests saw.
        #[arg(long)]
        check: bool,
    },
    /// Writes docs/variables.md from the layer's variables.
    Variables {
        /// Only compares; exit status 1 if it differs.
        #[arg(long)]
        check: bool,
    },
    /// Writes the recipes' list of crates.
    Crates {
        /// Only checks that it is what rust/Cargo.lock gives.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_NO_VERDICT)
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Qemu(options) => boot(&options),
        Command::Test { tier } => test(tier),
        Command::Bench(options) => bench::boots::run(&Cache::open()?, &options).map(|()| ExitCode::SUCCESS),
        Command::BenchImages => {
            let kept = bench::images::run(&Cache::open()?)?;
            Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Fuzz(options) => {
            let cache = Cache::open()?;
            let missing: Vec<Cost> = [Tools::cost(&cache), fuzz::cost(&cache)].into_iter().flatten().collect();
            println!("{}", plan::announcement(cache.root(), &missing, options.seconds()?));
            let clean = fuzz::run(&cache, &Tools::ensure(&cache)?, &options)?;
            Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Yocto(options) => yocto::run(&options),
        Command::Uninstall => {
            println!("removed {}", Cache::uninstall()?.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Prepare => prepare(),
        Command::Tool { program, arguments } => tool(program, arguments),
        Command::Refusals { check } => refusals::run(check).map(|()| ExitCode::SUCCESS),
        Command::Variables { check } => variables::run(repository::root(), check).map(|()| ExitCode::SUCCESS),
        Command::Crates { check } => crates_inc::run(repository::root(), check).map(|()| ExitCode::SUCCESS),
    }
}

/// What the set-up of a boot still costs.
fn missing(cache: &Cache) -> Result<Vec<Cost>> {
    let tools_cost = Tools::cost(cache);
    let tools = if tools_cost.is_none() { Some(Tools::ensure(cache)?) } else { None };
    let certificate = keys::existing_development(cache).map(|keys| keys.certificate_pem);
    let kernel = kernel::cost(cache, tools.as_ref(), certificate.as_deref());
    Ok([tools_cost, kernel, target::cost(cache), userspace::cost(cache)].into_iter().flatten().collect())
}

/// What that of a boot by firmware costs besides.
fn of_firmware(cache: &Cache) -> impl Iterator<Item = Cost> {
    [kernel::measured_cost(cache), qemu::enrolled_root::cost(cache)].into_iter().flatten()
}

fn boot(options: &qemu::Options) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let mut missing = missing(&cache)?;
    if options.uefi()? {
        missing.extend(of_firmware(&cache));
    }
    println!("{}", plan::announcement(cache.root(), &missing, BOOT_SECONDS));
    qemu::run(&cache, options)
}

fn test(tier: Option<suite::Tier>) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let mut missing = missing(&cache)?;
    missing.extend(of_firmware(&cache));
    missing.extend(layer::cost(&cache));
    missing.extend(fuzz::cost(&cache));
    missing.extend(kernel::test_costs(&cache));
    missing.extend(userspace::test_cost(&cache));
    missing.extend(debian_kernel::cost(&cache));
    println!("{}", plan::announcement(cache.root(), &missing, TEST_SECONDS));
    let tools = Tools::ensure(&cache)?;
    let tally = suite::run(&cache, &tools, tier);
    println!("{}", tally.line());
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn prepare() -> Result<ExitCode> {
    let cache = Cache::open()?;
    println!("{}", plan::announcement(cache.root(), &missing(&cache)?, 0));
    let tools = Tools::ensure(&cache)?;
    let keys = keys::development(&cache, &tools)?;
    let kernel = kernel::ensure(&cache, &tools, &keys.certificate_pem)?;
    println!("certificate  {}", keys.certificate_pem.display());
    println!("kernel       {} (Linux {})", kernel.image.display(), kernel.release);
    for binary in BootBinary::ALL {
        let program = binary.build(&cache, &tools)?;
        let bytes = program.metadata().with_context(|| format!("cannot find {}", program.display()))?.len();
        println!("storage-init {} ({bytes} bytes)", program.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn tool(program: OsString, arguments: Vec<OsString>) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let tools = Tools::ensure(&cache)?;
    let folder = std::env::current_dir().context("no current folder")?;
    let mut paths: Vec<PathBuf> = vec![repository::root().to_owned(), folder.clone()];
    // A path among the arguments, the program included, is shown inside; a file that will be written, by its folder.
    for word in arguments.iter().chain([&program]) {
        let path = PathBuf::from(word);
        if path.is_absolute() && !OF_THE_TOOLS.iter().any(|folder| path.starts_with(folder)) {
            let exists = path.exists().then(|| path.clone());
            paths.extend(exists.or_else(|| path.parent().filter(|parent| parent.exists()).map(PathBuf::from)));
        }
    }
    let paths: Vec<&std::path::Path> = paths.iter().map(PathBuf::as_path).collect();
    let program = program.to_str().context("the program's name is not UTF-8")?;
    let mut command = tools.command_by_hand(&folder, program, &paths)?;
    let wanted = |name: &str| name.starts_with("CARGO_") || name == refusals::FOLDER_VARIABLE;
    command.args(arguments).envs(std::env::vars().filter(|(name, _)| wanted(name)));
    Err(command.exec()).context("cannot run the program")
}
