// SPDX-License-Identifier: MIT OR Apache-2.0
//! What libFuzzer said of one target.

use std::fmt::Write;
use std::path::PathBuf;

/// One target's run.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub target: String,
    /// Inputs that were tried.
    pub executions: u64,
    /// Edges of the code that were reached.
    pub coverage: u64,
    /// What it died of.
    pub finding: Option<Finding>,
}

/// A crash, a failed property, or too much time or memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first line that says why.
    pub cause: String,
    /// The input, kept for later.
    pub input: Option<PathBuf>,
}

impl Outcome {
    /// Reads libFuzzer's standard error.
    pub fn read(target: &str, success: bool, said: &str) -> Self {
        let number_after = |start: &str| said.lines().rev().find_map(|line| number(line.split_once(start)?.1));
        let finding = (!success).then(|| Finding { cause: cause(said), input: None });
        let executions = number_after("stat::number_of_executed_units:").or_else(|| number_after("Done "));
        Self {
            target: target.to_owned(),
            executions: executions.or_else(|| last_execution(said)).unwrap_or(0),
            coverage: number_after(" cov: ").unwrap_or(0),
            finding,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// `#1234 NEW cov: ...`, the only count of a run that did not end well.
fn last_execution(said: &str) -> Option<u64> {
    said.lines().rev().find_map(|line| number(line.strip_prefix('#')?))
}

fn cause(said: &str) -> String {
    let lines = || said.lines().map(str::trim);
    // A panic's message stands on the line behind it.
    let panic = lines().skip_while(|line| !line.contains("panicked at ")).take(2).collect::<Vec<_>>().join(" ");
    if !panic.is_empty() {
        return panic;
    }
    let error = lines().find(|line| line.contains("ERROR: "));
    error.or_else(|| lines().next_back()).unwrap_or("it died without a word").to_owned()
}

/// For people: target, executions, coverage, finding.
pub fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.target.len()).chain(["target".len()]).max().unwrap_or(0);
    let mut table = format!("{:width$} | {:>10} | {:>8} | finding\n", "target", "executions", "coverage");
    let _ = writeln!(table, "{}-+-{}-+-{}-+--------", "-".repeat(width), "-".repeat(10), "-".repeat(8));
    for Outcome { target, executions, coverage, finding } in outcomes {
        let finding = finding.as_ref().map_or("none", |finding| finding.cause.as_str());
        let _ = writeln!(table, "{target:width$} | {executions:>10} | {coverage:>8} | {finding}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "\
INFO: Seed: 1
#8\tINITED cov: 101 ft: 130 corp: 6/3122b exec/s: 0 rss: 50Mb
#20000\tDONE   cov: 188 ft: 402 corp: 61/90Kb lim: 4096 exec/s: 10000 rss: 61Mb
Done 20000 runs in 2 second(s)
stat::number_of_executed_units: 20000
stat::average_exec_per_sec:     10000
";
    const PANIC: &str = "\
#12\tNEW    cov: 99 ft: 130 corp: 6/3122b lim: 4096 exec/s: 0 rss: 50Mb
thread '<unnamed>' (2) panicked at fuzz_targets/gpt.rs:10:5:
assertion `left == right` failed
  left: 1
==2== ERROR: libFuzzer: deadly signal
artifact_prefix='/x/'; Test unit written to /x/crash-00
stat::number_of_executed_units: 14
";

    #[test]
    fn a_clean_run() {
        let outcome = Outcome::read("gpt", true, CLEAN);
        let expected = Outcome { target: "gpt".into(), executions: 20000, coverage: 188, finding: None };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn a_failed_property_is_a_finding_with_its_message() {
        let outcome = Outcome::read("gpt", false, PANIC);
        assert_eq!((outcome.executions, outcome.coverage), (14, 99));
        let cause = "thread '<unnamed>' (2) panicked at fuzz_targets/gpt.rs:10:5: assertion `left == right` failed";
        assert_eq!(outcome.finding.map(|finding| finding.cause), Some(cause.to_owned()));
    }

    #[test]
    fn what_the_sanitizer_and_the_fuzzer_stop_at_is_a_finding() {
        for line in [
            "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x5020",
            "==7== ERROR: libFuzzer: timeout after 11 seconds",
            "==7== ERROR: libFuzzer: out-of-memory (used: 2050Mb; limit: 2048Mb)",
        ] {
            let outcome = Outcome::read("gpt", false, &format!("#3\tNEW    cov: 9\n{line}\n    #0 0x55\n"));
            assert_eq!(outcome.executions, 3);
            assert_eq!(outcome.finding.map(|finding| finding.cause).as_deref(), Some(line));
        }
    }

    #[test]
    fn a_program_that_does_not_start_is_a_finding() {
        let outcome = Outcome::read("gpt", false, "gpt: error while loading shared libraries: libasan.so.8\n");
        assert_eq!((outcome.executions, outcome.coverage), (0, 0));
        let cause = "gpt: error while loading shared libraries: libasan.so.8";
        assert_eq!(outcome.finding.map(|finding| finding.cause).as_deref(), Some(cause));
    }

    #[test]
    fn the_table_is_aligned() {
        let outcomes = [Outcome::read("gpt", true, CLEAN), Outcome::read("signature_json", false, "")];
        assert_eq!(
            table(&outcomes),
            "target         | executions | coverage | finding\n\
             ---------------+------------+----------+--------\n\
             gpt            |      20000 |      188 | none\n\
             signature_json |          0 |        0 | it died without a word\n"
        );
    }
}
