// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a test saw refused, as one line for the table of refusals in docs/security.md.
//!
//! * Included by path (`#[path]`) wherever a test asserts a refusal: the table holds what tests have shown, nothing else.
//! * Writes only where `cargo xtask test` asks for it, by the variable [`FOLDER`]; a test run by hand records nothing.
//!
//! The reader is `xtask/src/refusals.rs`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

/// The environment variable with the folder of the lines.
const FOLDER: &str = "INITOVERLAYFS_REFUSALS";

/// Records one refusal. `by` is the program that was tested and the name of the file; `test` is the test's function.
///
/// # Errors
/// The folder is named and cannot be written.
pub fn record(by: &str, test: &str, reason: &str, device: &str, detail: &str) -> io::Result<()> {
    let Some(folder) = std::env::var_os(FOLDER) else { return Ok(()) };
    let fields = [test, reason, device, detail].map(|field| field.replace(['\t', '\n'], " "));
    let line = format!("{}\n", fields.join("\t"));
    // One write for one line: tests are threads of several processes, and appending keeps lines whole.
    let path = PathBuf::from(folder).join(by).with_extension("tsv");
    OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
}

/// The function that the test harness runs in this thread.
#[allow(dead_code, reason = "the boot tests have a harness of their own")]
pub fn current_test() -> String {
    let name = std::thread::current().name().unwrap_or("main").to_owned();
    name.rsplit("::").next().unwrap_or_default().to_owned()
}
