// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask fuzz`: every fuzz target under the address sanitizer, and a table of what came of it.
//!
//! * Compiler, libFuzzer's C++ and the sanitizer's runtime are those of the tools root: one way on every host.
//! * Seeds are made in each run by the tools that make such files in the field (`seeds`), but for texts, which lie in
//!   `fuzz/seeds`. What a target finds out beyond them is kept in the cache, and the next run goes on from there.
//! * A run believes nothing before the canary has died: a fuzzer that finds nothing must be one that finds something.
//! * A crashing input is kept in `fuzz/target/findings`, which `cargo clean` empties.

mod build;
mod outcome;
mod seeds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::repository;
use crate::tools::Tools;
use build::Programs;
pub use build::cost;
use outcome::Outcome;

/// The target that has to die.
const CANARY: &str = "canary";
/// One for each core of the smallest supported host.
const AT_ONCE: usize = 2;
/// An input that takes longer is a finding: a boot reads it within milliseconds.
const TIMEOUT_SECONDS: u32 = 10;
/// Memory above this is a finding, the sanitizer's own included.
const MEMORY_MIB: u32 = 2048;
/// Executions of the short run that is part of the tests, and the most time it may take.
const TEST_RUNS: u32 = 20_000;
const TEST_SECONDS: u32 = 3;

/// Options of `cargo xtask fuzz`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only runs the named target on this input, and shows what it says.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// The targets, files of fuzz/fuzz_targets without `.rs`; all of them if none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

impl Options {
    /// What the run takes, without the build.
    ///
    /// # Errors
    /// The list of targets cannot be read.
    pub fn seconds(&self) -> Result<u32> {
        if self.replay.is_some() {
            return Ok(0);
        }
        let targets = if self.targets.is_empty() { names(repository::root())?.len() } else { self.targets.len() };
        Ok(u32::try_from(targets.div_ceil(AT_ONCE))?.saturating_mul(self.seconds))
    }
}

/// How much is tried.
#[derive(Clone, Copy)]
enum Effort {
    /// As long as the developer asks for, on top of what earlier runs found out.
    Seconds(u32),
    /// The seeds and a number of inputs made of them, the same in each run.
    Test,
}

/// Builds the targets and runs them; `false` if there was a finding.
///
/// # Errors
/// A target that does not exist, a build that fails, a canary that lives.
pub fn run(cache: &Cache, tools: &Tools, options: &Options) -> Result<bool> {
    let all = names(repository::root())?;
    for target in &options.targets {
        ensure!(all.contains(target), "no fuzz target {target:?}; there are: {}", all.join(", "));
    }
    let programs = build::build(cache, tools)?;
    if let Some(input) = &options.replay {
        let [target] = options.targets.as_slice() else { bail!("--replay runs one target: name it") };
        return replay(&programs, target, input);
    }
    let targets = if options.targets.is_empty() { all } else { options.targets.clone() };
    let outcomes = run_all(cache, tools, &programs, &targets, Effort::Seconds(options.seconds))?;
    print!("{}", outcome::table(&outcomes));
    Ok(report_findings(&outcomes))
}

/// The short run that is part of the tests: how many targets passed, how many did not.
///
/// # Errors
/// As [`run`].
pub fn test(cache: &Cache, tools: &Tools) -> Result<(u64, u64)> {
    let programs = build::build(cache, tools)?;
    let outcomes = run_all(cache, tools, &programs, &names(repository::root())?, Effort::Test)?;
    print!("{}", outcome::table(&outcomes));
    report_findings(&outcomes);
    let failed = outcomes.iter().filter(|outcome| outcome.finding.is_some()).count() as u64;
    Ok((outcomes.len() as u64 - failed, failed))
}

/// Every target but the canary, by the files that there are.
fn names(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".rs").filter(|name| *name != CANARY).map(str::to_owned));
    }
    ensure!(!names.is_empty(), "{} is empty", folder.display());
    names.sort();
    Ok(names)
}

fn run_all(
    cache: &Cache,
    tools: &Tools,
    programs: &Programs<'_>,
    targets: &[String],
    effort: Effort,
) -> Result<Vec<Outcome>> {
    let work = cache.run_dir("fuzz")?;
    canary(programs, work.path())?;
    let seeds = work.path().join("seeds");
    seeds::make(cache, tools, &seeds)?;
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().ok().and_then(|mut targets| targets.next());
    let worker = || {
        let mut done = Vec::new();
        while let Some(target) = next() {
            done.push(run_one(cache, programs, target, &seeds.join(target), work.path(), effort)?);
        }
        anyhow::Ok(done)
    };
    let mut outcomes = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a thread died"))??);
        }
        anyhow::Ok(all)
    })?;
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(outcomes)
}

/// Whether the canary dies of what it should die of.
fn canary(programs: &Programs<'_>, work: &Path) -> Result<()> {
    for (input, cause) in [("assertion", "the canary's assertion"), ("overflow", "heap-buffer-overflow")] {
        let path = work.join(input);
        fs::write(&path, input)?;
        let output = programs.command(CANARY, &[&path])?.arg(&path).output().context("cannot run the canary")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let died = !output.status.success() && said.contains(cause);
        ensure!(died, "the canary outlived {input}: this build finds nothing\n{said}");
    }
    Ok(())
}

fn run_one(
    cache: &Cache,
    programs: &Programs<'_>,
    target: &str,
    seeds: &Path,
    work: &Path,
    effort: Effort,
) -> Result<Outcome> {
    ensure!(seeds.is_dir(), "{target} has no seeds: make some in xtask/src/fuzz/seeds.rs or fuzz/seeds/{target}");
    let findings = work.join("findings").join(target);
    fs::create_dir_all(&findings)?;
    let (corpus, limits) = match effort {
        Effort::Seconds(seconds) => (programs.corpus(target), vec![format!("-max_total_time={seconds}")]),
        Effort::Test => {
            let limits =
                ["-seed=1".to_owned(), format!("-runs={TEST_RUNS}"), format!("-max_total_time={TEST_SECONDS}")];
            (work.join("corpus").join(target), limits.to_vec())
        }
    };
    fs::create_dir_all(&corpus)?;
    let mut command = programs.command(target, &[&findings, &corpus, seeds])?;
    // New inputs go to the first folder.
    command.args(limits).arg(format!("-artifact_prefix={}/", findings.display())).arg(&corpus).arg(seeds);
    command.args([format!("-timeout={TIMEOUT_SECONDS}"), format!("-rss_limit_mb={MEMORY_MIB}")]);
    command.args(["-print_final_stats=1", "-detect_leaks=0"]);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {target}"))?;
    fs::write(cache.log(&format!("fuzz-{target}"))?, &output.stderr)?;
    let mut outcome = Outcome::read(target, output.status.success(), &String::from_utf8_lossy(&output.stderr));
    if let Some(finding) = &mut outcome.finding {
        finding.input = keep(&findings, target)?;
    }
    Ok(outcome)
}

/// Copies the crashing input out of the run's folder. libFuzzer leaves one, and stops.
fn keep(findings: &Path, target: &str) -> Result<Option<PathBuf>> {
    let Some(input) = fs::read_dir(findings)?.next().transpose()? else { return Ok(None) };
    let folder = repository::root().join("fuzz/target/findings").join(target);
    fs::create_dir_all(&folder)?;
    let kept = folder.join(input.file_name());
    fs::copy(input.path(), &kept).with_context(|| format!("cannot write {}", kept.display()))?;
    Ok(Some(kept))
}

/// Says each finding, and how to see it again; true if there is none.
fn report_findings(outcomes: &[Outcome]) -> bool {
    let mut clean = true;
    for (target, finding) in outcomes.iter().filter_map(|outcome| Some((&outcome.target, outcome.finding.as_ref()?))) {
        clean = false;
        println!("FAILED {target}: {}", finding.cause);
        match &finding.input {
            Some(input) => {
                println!("  input:  {}", input.display());
                println!("  replay: cargo xtask fuzz --replay {} {target}", input.display());
            }
            None => println!("  it left no input"),
        }
    }
    clean
}

/// Runs a target on one input; what it says goes to the terminal.
fn replay(programs: &Programs<'_>, target: &str, input: &Path) -> Result<bool> {
    let input = input.canonicalize().with_context(|| format!("cannot find {}", input.display()))?;
    let status = programs.command(target, &[&input])?.arg(&input).status().context("cannot run the target")?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_target_is_a_program_and_every_program_a_target() {
        let manifest = fs::read_to_string(repository::root().join("fuzz/Cargo.toml")).unwrap();
        let mut programs: Vec<_> = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
            .filter(|name| *name != CANARY)
            .collect();
        programs.sort_unstable();
        assert_eq!(programs, names(repository::root()).unwrap());
    }
}
