// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line. Every option's help is the manual.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand};
use tpm_policy::{Bank, PcrMask};
use tpm_unlock::unlock::Rules;

use crate::cryptsetup::Existing;
use crate::policy::{self, Literals, Request, Signer};

/// Binds encrypted volumes to the TPM, so that initoverlayfs opens them at boot without anybody there.
///
/// Tokens are those of systemd: systemd-cryptsetup opens what this program enrols, and initoverlayfs what systemd-cryptenroll does.
#[derive(Debug, Parser)]
#[command(name = "initoverlayfs-tpm", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a keyslot to a LUKS2 volume that the TPM opens
    #[command(long_about = ENROLL_LONG, after_long_help = ENROLL_EXAMPLES)]
    Enroll(EnrollArgs),

    /// Say what a volume has for the TPM, and what the boot makes of it
    #[command(after_long_help = STATUS_EXIT)]
    Status(StatusArgs),

    /// Take what was enrolled away again, keyslots included
    #[command(long_about = WIPE_LONG)]
    Wipe(WipeArgs),

    /// Extend the register once more, so that the TPM opens nothing any longer before the next reset
    #[command(long_about = LATCH_LONG)]
    Latch(LatchArgs),
}

const ENROLL_LONG: &str = "\
Add a keyslot to a LUKS2 volume that the TPM opens.

A random secret is sealed in the TPM under its storage root key, to registers or to a key that signs policies; its base64 becomes the \
passphrase of a new keyslot, and a token of type systemd-tpm2 says where it is. cryptsetup writes both. The volume keeps its other \
keyslots and tokens.

The boot measures an image into register 13 and opens volumes before any of the system runs. A policy has to contain that register, so that \
no other image and nothing later gets the key, and one that was extended before the kernel ran, such as 11 (by systemd's stub) or 7: anybody \
who boots a kernel of their own can extend 13.";

const ENROLL_EXAMPLES: &str = "\
Examples:
  To every kernel and image that a key signs policies for (`ddi sign-policy`); updates need no other enrolment:
    initoverlayfs-tpm enroll /dev/disk/by-partlabel/data --public-key policy.pem --public-key-pcrs 11+13

  To the registers as they are, in an image's own init, before anything else was measured:
    initoverlayfs-tpm enroll /dev/disk/by-partlabel/data --pcrs 11+13 --key-file passphrase

  To the registers as they will be, out of `ddi sign-policy`:
    initoverlayfs-tpm enroll /dev/disk/by-partlabel/data --pcrs 11=6d0f...+13=9c31...

Exit status: 0 it is enrolled, 1 it is not (stderr says why), 2 the command line is wrong.";

const STATUS_EXIT: &str = "Exit status: 0 the boot would use one of the tokens, 1 it would not, or there is no answer, 2 the command line is wrong.";

const WIPE_LONG: &str = "\
Take what was enrolled away again, keyslots included.

All tokens of type systemd-tpm2, whoever enrolled them, or those that are named. Tokens of other types stay, and so does the last keyslot: \
a volume that nothing else opens is refused.";

const LATCH_LONG: &str = "\
Extend the register that the image was measured into once more, so that the TPM opens nothing any longer before the next reset.

For systems that open volumes by the TPM themselves: initoverlayfs-latch.service does it when they have. Where the boot has done it \
(`unlock-latch`), or nothing was measured, there is nothing to do.";

/// What the boot asks of a policy.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// The register that the boot measures images into; by default that of this boot, or 13
    #[arg(long, value_name = "REGISTER", value_parser = clap::value_parser!(u8).range(0..24))]
    measure_pcr: Option<u8>,

    /// Take a policy too that is over no register, over the image's alone, without it, or over 16 to 23: the boot refuses it unless it has
    /// `dangerously-unlock-any-registers`
    #[arg(long)]
    dangerously_any_registers: bool,
}

impl RulesArgs {
    /// The rules; `measured` is the register of this boot.
    #[must_use]
    pub fn rules(&self, measured: u8) -> Rules {
        Rules { measured: self.measure_pcr.unwrap_or(measured), any_registers: self.dangerously_any_registers }
    }
}

/// Options of `enroll`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("policy").required(true).multiple(true).args(["pcrs", "public_key"]))]
pub struct EnrollArgs {
    /// The volume: a block device, or a file
    #[arg(value_name = "DEVICE")]
    pub device: String,

    /// Registers whose values are part of the policy: `11+13` as they are, `11=HEX+13=HEX` as they will be
    #[arg(long, value_name = "REGISTERS")]
    pcrs: Option<Literals>,

    /// The bank of all registers: sha256, sha384 or sha512
    #[arg(long, value_name = "BANK", default_value = "sha256", value_parser = bank)]
    bank: Bank,

    /// The public key whose policies the TPM takes: PEM, RSA
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,

    /// Registers that its policies are about
    #[arg(long, value_name = "REGISTERS", default_value = "11+13", requires = "public_key", value_parser = policy::mask)]
    public_key_pcrs: PcrMask,

    /// A file with a passphrase that the volume has; without it cryptsetup asks for one
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    #[command(flatten)]
    rules: RulesArgs,

    /// What was done as JSON on stdout, instead of a line for people
    #[arg(long)]
    pub json: bool,
}

impl EnrollArgs {
    /// Who may add a keyslot.
    #[must_use]
    pub fn existing(&self) -> Existing {
        self.key_file.clone().map_or(Existing::Typed, Existing::KeyFile)
    }

    /// What is asked for; `measured` is the register of this boot.
    ///
    /// # Errors
    /// The public key's file and why it cannot be read.
    pub fn request(&self, measured: u8) -> Result<Request, (PathBuf, std::io::Error)> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| (path.to_owned(), error));
        let pem = self.public_key.as_deref().map(read).transpose()?;
        Ok(Request {
            literals: self.pcrs.clone().unwrap_or_default(),
            bank: self.bank,
            signer: pem.map(|pem| Signer { pem, registers: self.public_key_pcrs }),
            rules: self.rules.rules(measured),
        })
    }
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The volume: a block device, or a file
    #[arg(value_name = "DEVICE")]
    pub device: String,

    /// What the boot asks of a policy.
    #[command(flatten)]
    pub rules: RulesArgs,

    /// As JSON on stdout, instead of lines for people
    #[arg(long)]
    pub json: bool,
}

/// Options of `wipe`.
#[derive(Debug, Args)]
pub struct WipeArgs {
    /// The volume: a block device, or a file
    #[arg(value_name = "DEVICE")]
    pub device: String,

    /// Only this token. May be given several times
    #[arg(long = "token", value_name = "NUMBER")]
    pub tokens: Vec<u8>,

    /// What was taken away as JSON on stdout, instead of a line for people
    #[arg(long)]
    pub json: bool,
}

/// Options of `latch`.
#[derive(Debug, Args)]
pub struct LatchArgs {
    /// This register, whatever the boot did
    #[arg(long, value_name = "REGISTER", value_parser = clap::value_parser!(u8).range(0..24))]
    pub pcr: Option<u8>,

    /// What was done as JSON on stdout, instead of a line for people
    #[arg(long)]
    pub json: bool,
}

fn bank(name: &str) -> Result<Bank, String> {
    let bank = Bank::of(name).filter(|bank| *bank != Bank::Sha1);
    bank.ok_or_else(|| "expected sha256, sha384 or sha512".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn request(arguments: &[&str]) -> Result<Request, String> {
        let words = [&["initoverlayfs-tpm", "enroll", "/dev/x"], arguments].concat();
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Enroll(arguments) => Ok(arguments.request(13).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn registers_are_read_with_their_values() {
        let request = request(&["--pcrs", "13+11=00fF", "--bank", "sha384"]).unwrap();
        let values: Vec<_> = request.literals.0.iter().map(|one| (one.register, one.value.clone())).collect();
        assert_eq!(values, [(13, None), (11, Some(vec![0, 0xff]))]);
        assert_eq!((request.bank, request.rules), (Bank::Sha384, Rules { measured: 13, any_registers: false }));
    }

    #[test]
    fn what_is_no_policy_is_refused_by_name() {
        for (arguments, expected) in [
            (&[][..], "the following required arguments were not provided"),
            (&["--pcrs", "11+24"], "\"24\": expected a register from 0 to 23"),
            (&["--pcrs", "11+"], "\"\": expected a register from 0 to 23"),
            (&["--pcrs", "11+11"], "register 11 is there twice"),
            (&["--pcrs", "11=0"], "\"0\": expected the value of register 11 in hexadecimal digits"),
            (&["--pcrs", "11=0g"], "\"0g\": expected the value of register 11 in hexadecimal digits"),
            (&["--pcrs", "11+13", "--bank", "sha1"], "expected sha256, sha384 or sha512"),
            (&["--pcrs", "11+13", "--bank", "sm3"], "expected sha256, sha384 or sha512"),
            (&["--pcrs", "11+13", "--public-key-pcrs", "11"], "--public-key <FILE>"),
        ] {
            let error = request(arguments).unwrap_err();
            assert!(error.contains(expected), "{arguments:?}: {error}");
        }
    }
}
