// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `ddi`: see `ddi --help`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use ddi::build;
use ddi::cli::{BuildArgs, Cli, Command};
use ddi::output;

/// Why the program ends with status 1.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error("cannot handle signals: {0}")]
    Signals(#[from] ctrlc::Error),
    #[error("the image is built, but its facts cannot be put as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the image is built, but its facts cannot be printed: {0}")]
    Print(#[from] std::io::Error),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ddi: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Error> {
    output::remove_on_signals()?;
    match cli.command {
        Command::Build(arguments) => run_build(arguments),
    }
}

fn run_build(arguments: BuildArgs) -> Result<(), Error> {
    let json = arguments.wants_json();
    let report = build::build(&arguments.into_request())?;
    let facts = match json {
        true => report.to_json()?,
        false => report.to_string(),
    };
    Ok(writeln!(std::io::stdout(), "{facts}")?)
}
