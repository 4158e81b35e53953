// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person sees while something takes minutes: one line with the elapsed time, the output in a log file.
//!
//! On a terminal the line moves (indicatif). Elsewhere (CI) it is printed at the start, once a minute and at the end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is drawn anew.
const TICK: Duration = Duration::from_millis(200);
/// How often a machine that is not a terminal is told that the work goes on.
const REMINDER: Duration = Duration::from_secs(60);
/// Lines of a failed command's log that are worth repeating.
const LOG_TAIL: usize = 15;

/// One piece of work under way.
pub struct Step {
    title: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Starts the line `title`; `expected` is the number of units of work (log lines), 0 if unknown.
    pub fn start(title: &str, expected: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = if expected == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(expected) };
            let template = if expected == 0 {
                "{spinner} {msg} [{elapsed_precise}]"
            } else {
                "{spinner} {msg} {percent}% [{elapsed_precise}]"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(title.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        if bar.is_none() {
            eprintln!("{title} ...");
        }
        Self { title: title.to_owned(), started: Instant::now(), bar }
    }

    /// Says how far the work has come, in the units of [`Step::start`].
    pub fn at(&self, position: u64) {
        if let Some(bar) = &self.bar {
            // A log that grew longer than last year's is no reason to show 100 % before the end.
            bar.set_position(position.min(bar.length().unwrap_or(u64::MAX).saturating_sub(1)));
        }
    }

    /// Ends the line: the work is done.
    pub fn done(self) {
        self.end("done");
    }

    fn end(&self, word: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {word} in {}", self.title, human(self.started.elapsed()));
    }
}

/// Runs a command to its end with its output in `log` (appended), under one progress line.
///
/// # Errors
/// The command cannot be started or fails; the error ends with the last lines of the log.
pub fn run(title: &str, expected: u64, log: &Path, command: &mut Command) -> Result<()> {
    let output = append(log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let program = command.get_program().to_owned();
    let child = command.spawn().with_context(|| format!("{title}: cannot run {}", program.display()))?;
    wait(Step::start(title, expected), log, child)
}

/// Waits for a child whose output goes to `log`, under the line `step`.
///
/// # Errors
/// As [`run`].
pub fn wait(step: Step, log: &Path, mut child: Child) -> Result<()> {
    let skip = lines(log);
    let mut reminded = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(TICK);
        if step.bar.is_some() {
            step.at(lines(log).saturating_sub(skip));
        } else if reminded.elapsed() >= REMINDER {
            reminded = Instant::now();
            eprintln!("{}: {} so far", step.title, human(step.started.elapsed()));
        }
    };
    if status.success() {
        step.done();
        return Ok(());
    }
    step.end("FAILED");
    bail!("{}: {status}; the end of {}:\n{}", step.title, log.display(), tail(log));
}

/// The log, opened for appending: a child may write it through several handles.
///
/// # Errors
/// It cannot be opened.
pub fn append(log: &Path) -> Result<File> {
    File::options().create(true).append(true).open(log).with_context(|| format!("cannot write {}", log.display()))
}

/// The last lines of a log, for an error message.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default().join("\n")
}

fn lines(log: &Path) -> u64 {
    File::open(log).map_or(0, |file| BufReader::new(file).split(b'\n').count() as u64)
}

/// `75 s` or `6 min 31 s`.
pub fn human(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
