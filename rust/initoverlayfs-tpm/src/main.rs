// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `initoverlayfs-tpm`: see `initoverlayfs-tpm --help`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use initoverlayfs_tpm::cli::{Cli, Command, EnrollArgs, LatchArgs, StatusArgs, WipeArgs};
use initoverlayfs_tpm::cryptsetup::Cryptsetup;
use initoverlayfs_tpm::latch::{Latched, Plan};
use initoverlayfs_tpm::measured::{self, BOOT_JSON, Extensions, boot_record};
use initoverlayfs_tpm::status::Status;
use initoverlayfs_tpm::{enroll, latch, survey, tpm, wipe};
use kernel_edge::process::lock_memory;
use serde::Serialize;
use tpm_unlock::banks::active_banks;
use tpm_unlock::stack::scrubbed;
use tpm_unlock::unlock::Rules;

/// Why the program ends with status 1.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Enroll(#[from] enroll::Error),
    #[error("{device}: {source}")]
    Survey { device: String, source: survey::Error },
    #[error(transparent)]
    Wipe(#[from] wipe::Error),
    #[error(transparent)]
    Latch(#[from] latch::Error),
    #[error(transparent)]
    Measured(#[from] measured::Error),
    #[error(transparent)]
    Tpm(#[from] tpm::Error),
    #[error("{}: {source}", path.display())]
    PublicKey { path: PathBuf, source: std::io::Error },
    #[error("memory cannot be locked: {0}")]
    Memory(kernel_edge::Errno),
    #[error("cannot handle signals: {0}")]
    Signals(#[from] ctrlc::Error),
    #[error("it is done, but cannot be put as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is done, but cannot be printed: {0}")]
    Print(#[from] std::io::Error),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("initoverlayfs-tpm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    match cli.command {
        Command::Enroll(arguments) => run_enroll(&arguments),
        Command::Status(arguments) => run_status(&arguments),
        Command::Wipe(arguments) => run_wipe(&arguments),
        Command::Latch(arguments) => run_latch(&arguments),
    }
}

fn run_enroll(arguments: &EnrollArgs) -> Result<ExitCode, Error> {
    lock_memory().map_err(Error::Memory)?;
    // Who interrupts it interrupts cryptsetup, whose failure is undone.
    ctrlc::set_handler(|| ())?;
    let measured = measured::register(boot_record(Path::new(BOOT_JSON))?.as_ref());
    let request = arguments.request(measured).map_err(|(path, source)| Error::PublicKey { path, source })?;
    let volume = enroll::Volume {
        device: &arguments.device,
        existing: &arguments.existing(),
        cryptsetup: &Cryptsetup::default(),
    };
    let log = Extensions::of_this_boot()?;
    let mut tpm = tpm::open()?;
    let enrolled = scrubbed(|| enroll::enroll(&mut tpm, volume, &request, &log))?;
    say(&enrolled, &enrolled, arguments.json)
}

fn run_status(arguments: &StatusArgs) -> Result<ExitCode, Error> {
    let measured = measured::register(boot_record(Path::new(BOOT_JSON))?.as_ref());
    let device = &arguments.device;
    let status = Status::of(device, arguments.rules.rules(measured))
        .map_err(|source| Error::Survey { device: device.clone(), source })?;
    let said = say(&status, &status, arguments.json)?;
    Ok(if status.is_enrolled() { said } else { ExitCode::FAILURE })
}

fn run_wipe(arguments: &WipeArgs) -> Result<ExitCode, Error> {
    // Whatever their policies are.
    let rules = Rules { measured: 0, any_registers: true };
    let wiped = wipe::wipe(&arguments.device, &arguments.tokens, rules, &Cryptsetup::default())?;
    say(&wiped, &wiped, arguments.json)
}

fn run_latch(arguments: &LatchArgs) -> Result<ExitCode, Error> {
    let record = match arguments.pcr {
        Some(_) => None,
        None => boot_record(Path::new(BOOT_JSON))?,
    };
    let latched = match Plan::of(record.as_ref(), arguments.pcr)? {
        Plan::Extend(register) => {
            let banks = active_banks().map_err(latch::Error::Banks)?;
            latch::extend(&mut tpm::open()?, register, &banks, latch::log())?
        }
        nothing => Latched::without(nothing),
    };
    say(&latched, &latched, arguments.json)
}

fn say(facts: &impl Serialize, words: &impl std::fmt::Display, json: bool) -> Result<ExitCode, Error> {
    let text = if json { serde_json::to_string(facts)? } else { words.to_string() };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
