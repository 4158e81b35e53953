// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has cryptsetup write a volume's header: a well-kept program that locks it, writes both copies, and knows every kind of keyslot.
//!
//! A new passphrase goes to it through a pipe, whose contents are in no file and on no swap.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// Where it is looked for when nobody says.
const PATHS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Rounds of PBKDF2: what is sealed has 256 random bits, which need no stretching. As systemd has it (src/shared/cryptsetup-util.c,
/// `cryptsetup_set_minimal_pbkdf`).
const MINIMAL: [&str; 6] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--hash", "sha512"];

/// Its exit status for a wrong passphrase (cryptsetup(8)).
const NO_PERMISSION: i32 = 2;

/// Who may add a keyslot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Who has the passphrase in this file.
    KeyFile(PathBuf),
    /// Who types it: cryptsetup asks.
    Typed,
}

/// It did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    #[error("{program}: {source}", program = program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("cryptsetup {action}: that is no passphrase of the volume")]
    Passphrase { action: &'static str },
    #[error("cryptsetup {action}: {status}{said}")]
    Failed { action: &'static str, status: ExitStatus, said: String },
}

/// The program.
#[derive(Clone, Debug)]
pub struct Cryptsetup {
    program: OsString,
}

impl Default for Cryptsetup {
    fn default() -> Self {
        Self::at("cryptsetup")
    }
}

impl Cryptsetup {
    /// This one; a name without a folder is looked for in PATH.
    pub fn at(program: impl Into<OsString>) -> Self {
        Self { program: program.into() }
    }

    /// Adds a keyslot of this number with this passphrase.
    ///
    /// # Errors
    /// [`Error`]; also where the number is taken, or the existing passphrase is not one.
    pub fn add_keyslot(&self, device: &str, keyslot: u8, existing: &Existing, passphrase: &[u8]) -> Result<(), Error> {
        let (reading, writing) = rustix::pipe::pipe().map_err(|errno| self.start_error(errno.into()))?;
        // A passphrase is far shorter than what a pipe holds. The writing end is closed before cryptsetup reads up to the end.
        let mut writing = std::fs::File::from(writing);
        writing.write_all(passphrase).map_err(|error| self.start_error(error))?;
        drop(writing);
        let mut command = self.command("luksAddKey");
        command.args(MINIMAL).arg("--key-slot").arg(keyslot.to_string());
        if let Existing::KeyFile(path) = existing {
            command.arg("--key-file").arg(path);
        }
        command.arg(device).arg(format!("/proc/self/fd/{}", reading.as_raw_fd()));
        self.run("luksAddKey", command, None, *existing == Existing::Typed)
    }

    /// Destroys a keyslot, whatever its passphrase is.
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove_keyslot(&self, device: &str, keyslot: u8) -> Result<(), Error> {
        let mut command = self.command("luksKillSlot");
        command.arg("--batch-mode").arg(device).arg(keyslot.to_string());
        self.run("luksKillSlot", command, None, false)
    }

    /// Adds a token of this number.
    ///
    /// # Errors
    /// [`Error`]; also where the number is taken.
    pub fn add_token(&self, device: &str, token: u8, json: &str) -> Result<(), Error> {
        let mut command = self.command("token");
        command.args(["import", "--token-id"]).arg(token.to_string()).args(["--json-file", "-"]).arg(device);
        self.run("token import", command, Some(json), false)
    }

    /// Removes a token.
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove_token(&self, device: &str, token: u8) -> Result<(), Error> {
        let mut command = self.command("token");
        command.args(["remove", "--token-id"]).arg(token.to_string()).arg(device);
        self.run("token remove", command, None, false)
    }

    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(&self.program);
        if std::env::var_os("PATH").is_none_or(|paths| paths.is_empty()) {
            command.env("PATH", PATHS);
        }
        command.arg(action);
        command
    }

    fn run(&self, action: &'static str, mut command: Command, input: Option<&str>, asks: bool) -> Result<(), Error> {
        // Where it asks it has the terminal, or whatever is in its place.
        let (stdin, stderr) = match (input, asks) {
            (Some(_), _) => (Stdio::piped(), Stdio::piped()),
            (None, true) => (Stdio::inherit(), Stdio::inherit()),
            (None, false) => (Stdio::null(), Stdio::piped()),
        };
        command.stdin(stdin).stdout(Stdio::null()).stderr(stderr);
        let mut child = command.spawn().map_err(|error| self.start_error(error))?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // If it does not read it says why: by its status.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(|error| self.start_error(error))?;
        if output.status.success() {
            return Ok(());
        }
        if output.status.code() == Some(NO_PERMISSION) {
            return Err(Error::Passphrase { action });
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
        Err(Error::Failed { action, status: output.status, said })
    }

    fn start_error(&self, source: io::Error) -> Error {
        Error::Start { program: PathBuf::from(AsRef::<OsStr>::as_ref(&self.program)), source }
    }
}
