// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `bootlog`: see `bootlog --help`.

use std::io::Write;
use std::process::ExitCode;

use bootlog::cli::Cli;
use clap::Parser;

/// The boot failed, or its log ends before init was executed.
const FAILED_BOOT: u8 = 1;
/// The log cannot be read.
const UNREADABLE: u8 = 2;
/// There is no log.
const NO_LOG: u8 = 3;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(shown) => match writeln!(std::io::stdout(), "{}", shown.text) {
            Ok(()) if shown.handed_over => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(FAILED_BOOT),
            Err(error) => {
                eprintln!("bootlog: cannot print: {error}");
                ExitCode::from(UNREADABLE)
            }
        },
        Err(error) => {
            eprintln!("bootlog: {error}");
            ExitCode::from(if error.is_no_log() { NO_LOG } else { UNREADABLE })
        }
    }
}
