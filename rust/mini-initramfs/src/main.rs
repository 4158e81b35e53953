// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `mini-initramfs`: see `mini-initramfs --help`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use mini_initramfs::build;
use mini_initramfs::cli::Cli;

/// Why the program ends with status 1.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error("the archive is there, but what is in it cannot be printed: {0}")]
    Print(#[from] std::io::Error),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mini-initramfs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Error> {
    let report = build::build(&cli.into_request())?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
