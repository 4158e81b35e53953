// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: every tier of tests in order, and one closing line `N passed, N failed` over all of them.
//!
//! Programs that report their own numbers are counted by their closing lines (`test result: ...` of cargo's harness and
//! libtest-mimic, `N passed, N failed` of the parser); a check that is one command counts as one test. A program that
//! fails without saying what failed counts as one failure. A tier that cannot run fails, and says so.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::progress::human;
use crate::target::host_cargo;
use crate::tools::Tools;
use crate::{bench, crates_inc, layer, no_panic, refusals, repository, variables};

/// Folders with a Cargo workspace of their own, and clippy's options in it.
const WORKSPACES: [(&str, &[&str]); 4] = [
    ("rust", &[]),
    ("xtask", &[]),
    ("tests/boot/probe", &[]),
    // The fuzzer itself is C++, for which a host need not have a compiler; the targets can be checked without it.
    ("fuzz", &["--no-default-features"]),
];
/// Two machines at a time: one for each core of the smallest supported host.
const BOOTS_AT_ONCE: &str = "--test-threads=2";

/// Results of tests so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Tests that did what they should.
    pub passed: u64,
    /// Tests that did not, or did not run to their end.
    pub failed: u64,
    /// Tests that said why they did not run.
    pub skipped: u64,
}

impl Tally {
    /// Adds the results of further tests.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// One test.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), skipped: 0 }
    }

    /// The closing line.
    pub fn line(&self) -> String {
        let skipped = if self.skipped == 0 { String::new() } else { format!(", {} skipped", self.skipped) };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

/// The tiers, in the order in which they run: what fails soonest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tier {
    /// rustfmt and clippy over every workspace.
    Lint,
    /// Tests of the host: units, tables, golden vectors, properties, images.
    Unit,
    /// Every fuzz target, on its seeds and some inputs made of them.
    Fuzz,
    /// The layer, parsed by BitBake, and its list of crates.
    Layer,
    /// Boots in QEMU.
    Boot,
    /// What is promised of time and size: `ddi build` beside the same by hand, the boot beside dm-init.
    Budget,
    /// The table of refusals in docs/security.md, held against what the tests of the last run saw.
    Refusals,
}

impl Tier {
    const ALL: [Self; 7] = [Self::Lint, Self::Unit, Self::Fuzz, Self::Layer, Self::Boot, Self::Budget, Self::Refusals];

    fn run(self, cache: &Cache, tools: &Tools) -> Result<Tally> {
        match self {
            Self::Lint => lint(),
            Self::Unit => unit(),
            Self::Fuzz => fuzz(cache, tools),
            Self::Layer => parse_layer(cache, tools),
            Self::Boot => boot(),
            Self::Budget => Ok(budget(cache)),
            Self::Refusals => Ok(outcome("table of refusals", &refusals::run(true))),
        }
    }
}

fn budget(cache: &Cache) -> Tally {
    let mut tally = outcome("speed of ddi build", &bench::images::check_gain(cache));
    tally.add(outcome("time and size of the boot", &bench::boots::check(cache)));
    tally
}

/// Runs one tier, or all of them. A tier that cannot run is a failed test.
pub fn run(cache: &Cache, tools: &Tools, only: Option<Tier>) -> Tally {
    let mut total = Tally::default();
    for tier in Tier::ALL.into_iter().filter(|tier| only.is_none_or(|only| only == *tier)) {
        let name = format!("{tier:?}").to_lowercase();
        println!("== tier: {name}");
        let started = Instant::now();
        let tally = tier.run(cache, tools).unwrap_or_else(|error| {
            println!("FAILED tier {name}, which did not run: {error:#}");
            Tally::one(false)
        });
        println!("== {name}: {} in {}", tally.line(), human(started.elapsed()));
        total.add(tally);
    }
    total
}

fn lint() -> Result<Tally> {
    let mut tally = Tally::default();
    for (name, options) in WORKSPACES {
        let manifest = repository::root().join(name).join("Cargo.toml");
        let fmt = cargo(&manifest, &["fmt", "--all"], &["--check"]);
        tally.add(component(&format!("format {name}"), "fmt", fmt)?);
        let arguments = [&["clippy", "--quiet", "--locked", "--all-targets"], options].concat();
        let clippy = cargo(&manifest, &arguments, &["--deny", "warnings"]);
        tally.add(component(&format!("lint {name}"), "clippy", clippy)?);
    }
    // Both forms of code that a feature chooses.
    let command = ["clippy", "--quiet", "--locked", "--all-targets", "--package", "storage-init", "--all-features"];
    let clippy = cargo(&repository::root().join("rust/Cargo.toml"), &command, &["--deny", "warnings"]);
    tally.add(component("lint rust with every feature", "clippy", clippy)?);
    let name = "no panic in what PID 1 runs";
    tally.add(if has_component("clippy") { outcome(name, &no_panic::check()) } else { skipped(name, "clippy") });
    Ok(tally)
}

fn unit() -> Result<Tally> {
    let mut tally = Tally::default();
    refusals::forget(&["storage-init", "ddi"])?;
    // Test programs run in the tools root: they find mkfs.erofs, veritysetup and openssl of known versions there.
    let runner = std::env::current_exe().context("cannot find this program")?;
    let runner = format!("target.x86_64-unknown-linux-gnu.runner=[{:?}, \"tool\"]", runner.display().to_string());
    for (name, options) in [
        ("rust", &["--workspace", "--all-features"][..]),
        ("xtask", &["--lib"]),
        ("fuzz", &["--lib", "--no-default-features"]),
    ] {
        let manifest = repository::root().join(name).join("Cargo.toml");
        let mut command = cargo(&manifest, &["test", "--locked", "--no-fail-fast"], &[]);
        command.args(options).args(["--config", &runner]);
        tally.add(counted(&format!("cargo test of {name}/"), command)?);
    }
    Ok(tally)
}

fn fuzz(cache: &Cache, tools: &Tools) -> Result<Tally> {
    let (passed, failed) = crate::fuzz::test(cache, tools)?;
    Ok(Tally { passed, failed, skipped: 0 })
}

fn parse_layer(cache: &Cache, tools: &Tools) -> Result<Tally> {
    let mut tally = counted("parser", layer::parse_command(cache, tools)?)?;
    tally.add(counted("refusals of values", layer::refusals_command(cache, tools)?)?);
    tally.add(counted("kas", layer::kas_command(cache, tools)?)?);
    tally.add(outcome("list of crates", &crates_inc::run(repository::root(), true)));
    tally.add(outcome("docs/variables.md", &variables::run(repository::root(), true)));
    println!(
        "not run: the layer under BitBake and openembedded-core: `cargo xtask yocto` (CONTRIBUTING.md, \"Under BitBake\")"
    );
    Ok(tally)
}

/// A check that is a function of this program.
fn outcome(name: &str, result: &Result<()>) -> Tally {
    if let Err(error) = result {
        println!("FAILED {name}: {error:#}");
    }
    Tally::one(result.is_ok())
}

fn boot() -> Result<Tally> {
    let manifest = repository::root().join("xtask/Cargo.toml");
    refusals::forget(&["boot"])?;
    counted("boot tests", cargo(&manifest, &["test", "--locked", "--test", "boot"], &[BOOTS_AT_ONCE]))
}

/// cargo with its command, the workspace, and arguments for the program behind it.
fn cargo(manifest: &Path, command: &[&str], behind: &[&str]) -> Command {
    let mut cargo = host_cargo();
    cargo.args(command).arg("--manifest-path").arg(manifest).current_dir(repository::root());
    cargo.env(refusals::FOLDER_VARIABLE, refusals::folder());
    if !behind.is_empty() {
        cargo.arg("--").args(behind);
    }
    cargo
}

/// A check by a part of the toolchain that a minimal installation lacks. CI has to have it.
fn component(name: &str, part: &str, command: Command) -> Result<Tally> {
    if has_component(part) { check(name, command) } else { Ok(skipped(name, part)) }
}

fn has_component(part: &str) -> bool {
    let installed = host_cargo().args([part, "--version"]).output().is_ok_and(|output| output.status.success());
    installed || std::env::var_os("CI").is_some()
}

fn skipped(name: &str, part: &str) -> Tally {
    println!("skipped {name}: cargo {part} is not installed (rustup component add rustfmt clippy)");
    Tally { skipped: 1, ..Tally::default() }
}

/// One command that is one test.
fn check(name: &str, mut command: Command) -> Result<Tally> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{name}: cannot start"))?;
    println!("{} {name}", if status.success() { "ok" } else { "FAILED" });
    Ok(Tally::one(status.success()))
}

/// One command that counts its tests itself; its output is passed on as it comes.
fn counted(name: &str, mut command: Command) -> Result<Tally> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| format!("{name}: cannot start"))?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        pass_on(output, &mut tally)?;
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        println!("FAILED {name}: {status}");
        tally.failed = 1;
    } else if tally.passed + tally.failed + tally.skipped == 0 {
        println!("FAILED {name}: no test ran");
        tally.failed = 1;
    }
    Ok(tally)
}

fn pass_on(output: impl Read, tally: &mut Tally) -> Result<()> {
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        match closing_line(&line) {
            // Only the total may stand alone on a line.
            Some(counts) => {
                tally.add(counts);
                println!("  {line}");
            }
            None => println!("{line}"),
        }
    }
    Ok(())
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; ...` or `3 passed, 0 failed`.
fn closing_line(line: &str) -> Option<Tally> {
    let (counts, separator) = match line.strip_prefix("test result: ") {
        Some(rest) => (rest.split_once(". ")?.1, ';'),
        None => (line, ','),
    };
    let mut parts = counts.split(separator).map(str::trim);
    let mut number = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse::<u64>().ok();
    let (passed, failed) = (number("passed")?, number("failed")?);
    let skipped = if separator == ';' { number("ignored")? } else { 0 };
    Some(Tally { passed, failed, skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_cargo_is_counted() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(closing_line(line), Some(Tally { passed: 3, failed: 1, skipped: 2 }));
    }

    #[test]
    fn the_closing_line_of_the_parser_is_counted() {
        assert_eq!(closing_line("2 passed, 0 failed"), Some(Tally { passed: 2, failed: 0, skipped: 0 }));
    }

    #[test]
    fn other_lines_are_not() {
        for line in ["test a ... ok", "running 2 tests", "we passed, they failed", "test result: odd"] {
            assert_eq!(closing_line(line), None, "{line}");
        }
    }

    #[test]
    fn skipped_tests_are_named_only_if_there_are_any() {
        assert_eq!(Tally { passed: 1, failed: 0, skipped: 0 }.line(), "1 passed, 0 failed");
        assert_eq!(Tally { passed: 1, failed: 0, skipped: 2 }.line(), "1 passed, 0 failed, 2 skipped");
    }
}
