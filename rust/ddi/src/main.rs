// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `ddi`: see `ddi --help`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use ddi::cli::{BuildArgs, Cli, Command, InspectArgs, JoinArgs, SignPolicyArgs, VerifyArgs};
use ddi::report::Report;
use ddi::{build, inspect, join, output, policy, verify};

/// Why the program ends with status 1.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error(transparent)]
    Join(#[from] join::Error),
    #[error(transparent)]
    Inspect(#[from] inspect::Error),
    #[error(transparent)]
    Verify(#[from] verify::Error),
    #[error(transparent)]
    Policy(#[from] policy::Error),
    #[error("cannot handle signals: {0}")]
    Signals(#[from] ctrlc::Error),
    #[error("the image is there, but its facts cannot be put as JSON: {0}")]
    BuiltJson(serde_json::Error),
    #[error("the image is there, but its facts cannot be printed: {0}")]
    BuiltPrint(std::io::Error),
    #[error("what was found cannot be put as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("what was found cannot be printed: {0}")]
    Print(#[from] std::io::Error),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("ddi: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    output::remove_on_signals()?;
    match cli.command {
        Command::Build(arguments) => run_build(*arguments),
        Command::JoinSignature(arguments) => run_join(arguments),
        Command::Inspect(arguments) => run_inspect(&arguments),
        Command::Verify(arguments) => run_verify(&arguments),
        Command::SignPolicy(arguments) => run_sign_policy(arguments),
    }
}

fn run_build(arguments: BuildArgs) -> Result<ExitCode, Error> {
    let json = arguments.wants_json();
    say(&build::build(&arguments.into_request())?, json)
}

fn run_join(arguments: JoinArgs) -> Result<ExitCode, Error> {
    let json = arguments.wants_json();
    say(&join::join(&arguments.into_request())?, json)
}

fn say(report: &Report, json: bool) -> Result<ExitCode, Error> {
    let facts = match json {
        true => report.to_json().map_err(Error::BuiltJson)?,
        false => report.to_string(),
    };
    writeln!(std::io::stdout(), "{facts}").map_err(Error::BuiltPrint)?;
    Ok(ExitCode::SUCCESS)
}

fn run_inspect(arguments: &InspectArgs) -> Result<ExitCode, Error> {
    let inspection = inspect::inspect(&arguments.image)?;
    let facts = match arguments.json {
        true => inspection.to_json()?,
        false => inspection.to_string(),
    };
    writeln!(std::io::stdout(), "{facts}")?;
    Ok(ExitCode::SUCCESS)
}

fn run_verify(arguments: &VerifyArgs) -> Result<ExitCode, Error> {
    let verdict = verify::verify(&arguments.image, &arguments.certificates)?;
    let text = match arguments.json {
        true => verdict.to_json()?,
        false => verdict.to_string(),
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(match verdict.valid {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn run_sign_policy(arguments: SignPolicyArgs) -> Result<ExitCode, Error> {
    let json = arguments.wants_json();
    let outcome = policy::sign(&arguments.into_request())?;
    let text = match json {
        true => outcome.to_json()?,
        false => outcome.to_string(),
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
