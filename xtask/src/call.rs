// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs a program to its end, for what it does or prints. Its name is the caller's: the command is that of the sandbox it runs in.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs it, with nothing to read on standard input.
///
/// # Errors
/// It cannot be started, or fails; the error holds its status and what it said on standard error.
pub fn run(name: &str, command: &mut Command) -> Result<()> {
    output(name, command).map(drop)
}

/// As [`run`]; gives what it printed.
///
/// # Errors
/// As [`run`].
pub fn output(name: &str, command: &mut Command) -> Result<Vec<u8>> {
    feed(name, command, "")
}

/// As [`output`], with text on standard input.
///
/// # Errors
/// As [`run`].
pub fn feed(name: &str, command: &mut Command, input: &str) -> Result<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why on standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| format!("cannot wait for {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_failure_is_told_with_name_status_and_words() {
        assert_eq!(feed("it", &mut shell("cat; echo no >&2"), "text").unwrap(), b"text");
        assert_eq!(output("it", &mut shell("cat")).unwrap(), b"");
        let error = run("it", &mut shell("echo wrong >&2; exit 3")).unwrap_err();
        assert_eq!(error.to_string(), "it: exit status: 3: wrong");
        let error = run("it", &mut Command::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "cannot run it");
    }
}
