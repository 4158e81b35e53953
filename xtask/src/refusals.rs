// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask refusals`: the table of refusals in docs/security.md, made of what tests saw.
//!
//! * Each test that asserts a refusal leaves a line (`tests/refusal_record.rs`); a tier's lines last until it runs again.
//! * A row is an input, who refuses it, the reason, and the words; hashes, UUIDs and files are normalised in those.
//! * `--check` (the last tier of `cargo xtask test`) fails where table and tests differ, or a reason has no test.
//!
//! Does not judge whether a refusal is right: the tests have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use boot_record::reason::Reason;

use crate::repository;

/// The environment variable that tells tests where to leave their lines (also in tests/refusal_record.rs).
pub const FOLDER_VARIABLE: &str = "INITOVERLAYFS_REFUSALS";
/// The file with the table, below the repository's root.
const FILE: &str = "docs/security.md";
const BEGIN: &str = "<!-- refusals: written by `cargo xtask refusals` out of what the tests saw; do not edit -->\n";
const END: &str = "<!-- refusals: end -->\n";
const HEAD: &str = "| input | who refuses | reason | detail | shown by |\n|---|---|---|---|---|\n";

/// Who leaves lines: the name of its file, and what the table calls it.
const RECORDERS: [(&str, &str); 3] = [("boot", "boot"), ("storage-init", "host"), ("ddi", "`ddi verify`")];

/// Reasons that no test brings about, and why.
const UNTESTED: [(Reason, &str); 2] = [
    (Reason::Internal, "a bug that storage-init caught itself: no input is known that leads to it"),
    (Reason::Panic, "it refuses nothing, it resets the machine: boot test `panic_resets_the_machine`"),
];

/// Where tests leave their lines.
#[must_use]
pub fn folder() -> PathBuf {
    repository::root().join("xtask/target/refusals")
}

/// Forgets what the tests of these recorders left, before they run again.
///
/// # Errors
/// The folder cannot be written.
pub fn forget(recorders: &[&str]) -> Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for recorder in recorders {
        let path = folder.join(recorder).with_extension("tsv");
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// One row. In the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// The reason's place in [`Reason::ALL`], and the reason.
    rank: usize,
    reason: String,
    refuser: &'static str,
    input: String,
    detail: String,
    shown_by: &'static str,
}

/// Writes the table, or with `check` fails where it is not what the tests saw.
///
/// # Errors
/// A tier has not run, a reason has neither test nor excuse, or the table differs.
pub fn run(check: bool) -> Result<()> {
    let rows = rows(&folder())?;
    require_every_reason(&rows)?;
    let path = repository::root().join(FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{FILE} has no line {BEGIN}"))?;
    let (found, after) = rest.split_once(END).with_context(|| format!("{FILE} has no line {END}"))?;
    let table = render(&rows);
    if !check {
        return fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).with_context(|| FILE);
    }
    let (found, wanted): (BTreeSet<&str>, BTreeSet<&str>) = (found.lines().collect(), table.lines().collect());
    let lines = |sign, lines: Vec<&&str>| lines.iter().map(|line| format!("\n{sign} {line}")).collect::<String>();
    ensure!(
        found == wanted,
        "the table of refusals in {FILE} is not what the tests saw: run `cargo xtask refusals`{}{}",
        lines('-', found.difference(&wanted).collect()),
        lines('+', wanted.difference(&found).collect()),
    );
    Ok(())
}

fn rows(folder: &Path) -> Result<BTreeSet<Row>> {
    let mut rows = BTreeSet::new();
    for (recorder, shown_by) in RECORDERS {
        let path = folder.join(recorder).with_extension("tsv");
        let lines = fs::read_to_string(&path).unwrap_or_default();
        ensure!(!lines.is_empty(), "no test of {recorder} left a line in {}: run `cargo xtask test`", path.display());
        for line in lines.lines() {
            rows.insert(row(line, shown_by).with_context(|| format!("{}: {line}", path.display()))?);
        }
    }
    Ok(rows)
}

fn row(line: &str, shown_by: &'static str) -> Result<Row> {
    let mut fields = line.split('\t');
    let (Some(test), Some(name), Some(device), Some(detail), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        bail!("expected test, reason, device and detail");
    };
    let known = Reason::ALL.into_iter().enumerate().find(|(_, reason)| reason.name() == name);
    let (rank, reason) = known.with_context(|| format!("no reason is called {name}"))?;
    let words = test.replace('_', " ");
    Ok(Row {
        rank,
        reason: name.to_owned(),
        refuser: refuser(reason, device, detail, shown_by),
        input: words.strip_suffix(" is refused").unwrap_or(&words).to_owned(),
        detail: normalised(detail),
        shown_by,
    })
}

fn require_every_reason(rows: &BTreeSet<Row>) -> Result<()> {
    for (rank, reason) in Reason::ALL.into_iter().enumerate() {
        let tested = rows.iter().any(|row| row.rank == rank);
        let excused = UNTESTED.iter().any(|(untested, _)| *untested == reason);
        ensure!(tested || excused, "no test is refused for {reason}");
        ensure!(!(tested && excused), "a test is refused for {reason}: it needs no excuse in {}", file!());
    }
    Ok(())
}

/// Who says no. Words that end in an errno are the kernel's verdict, the others storage-init's own.
fn refuser(reason: Reason, device: &str, detail: &str, shown_by: &str) -> &'static str {
    let kernel = detail.ends_with(')') && detail.contains("(os error ");
    // On a device these two are the kernel's to find.
    let stand_in = shown_by == "`ddi verify`";
    match reason {
        Reason::Corrupt | Reason::SignatureRejected if stand_in => "`ddi verify`, in the kernel's place",
        Reason::Corrupt => "kernel: dm-verity, on reading",
        Reason::SignatureRejected if kernel => "kernel: dm-verity, at table load",
        Reason::SignerUnknown if kernel => "kernel: dm-verity, at table load",
        Reason::FileSystem if kernel && device.contains(':') => "kernel: erofs",
        Reason::FileSystem if kernel => "kernel: vfat",
        Reason::ModuleRefused => "kernel: module loader",
        Reason::ConfigInvalid if device.contains("/modules") => "storage-init: modules",
        Reason::ConfigInvalid | Reason::CommandLine => "storage-init: config",
        Reason::NoDevice => "storage-init: discover",
        Reason::NoSource | Reason::NoCandidate | Reason::PartitionTable => "storage-init: select",
        Reason::VeritySuperblock if detail.contains("file system of ") => "storage-init: activate",
        Reason::TpmMissing | Reason::TpmFailed => "storage-init: measure",
        Reason::UnlockFailed => "storage-init: unlock",
        Reason::NotADdi if detail.starts_with("label: ") => "storage-init: select",
        Reason::NotADdi
        | Reason::Unsigned
        | Reason::SignatureMalformed
        | Reason::SignerUnknown
        | Reason::SignatureRejected
        | Reason::RootHashMismatch
        | Reason::VeritySuperblock => "storage-init: verify",
        Reason::FileSystem | Reason::ImageId | Reason::ImageVersion | Reason::NotABootImage | Reason::InitMissing => {
            "storage-init: activate"
        }
        Reason::KernelLacks | Reason::Io | Reason::Internal | Reason::Panic => "storage-init",
    }
}

/// What the kernel says of a spoilt RSA signature beside a certificate, by whether the first byte of what the key makes of it is zero: it
/// is in one run of some hundred, as every run has its own key (crypto/rsa-pkcs1pad.c, pkcs1pad_verify_complete).
const OF_SPOILT_RSA: [&str; 2] = ["Invalid argument (os error 22)", "Bad message (os error 74)"];

/// Without what differs from run to run: digests, UUIDs, sizes of images, and the folders of test files.
fn normalised(detail: &str) -> String {
    const REJECTED: &str = "the kernel rejected the signature: ";
    if detail.strip_prefix(REJECTED).is_some_and(|errno| OF_SPOILT_RSA.contains(&errno)) {
        return format!("{REJECTED}{}", OF_SPOILT_RSA.join(" or "));
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '/' | '.' | '_');
    let mut text = String::new();
    let mut rest = detail;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.find(|character| !is_part(character)).unwrap_or(rest.len()));
        text.push_str(&normalised_word(word));
        let (between, behind) = behind.split_at(behind.find(is_part).unwrap_or(behind.len()));
        text.push_str(between);
        rest = behind;
    }
    text
}

fn normalised_word(word: &str) -> String {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    match word {
        _ if word.len() == 64 && digits(word) => "HASH".to_owned(),
        // The beginning of a checksum.
        _ if word.len() == 16 && digits(word) => "SUM".to_owned(),
        // Sizes of images that have a program in them, and the compiler decides.
        _ if word.len() > 5 && word.bytes().all(|byte| byte.is_ascii_digit()) => "N".to_owned(),
        _ if groups == [8, 4, 4, 4, 12] && word.split('-').all(digits) => "UUID".to_owned(),
        // The last part of a path below a target folder: the folders before it are this run's.
        _ if word.starts_with('/') && word.contains("/target/") => {
            word.rsplit('/').next().unwrap_or_default().to_owned()
        }
        _ => word.to_owned(),
    }
}

fn render(rows: &BTreeSet<Row>) -> String {
    let mut text = HEAD.to_owned();
    for Row { reason, refuser, input, detail, shown_by, .. } in rows {
        let detail = detail.replace('|', "\\|");
        text.push_str(&format!("| {input} | {refuser} | `{reason}` | `{detail}` | {shown_by} |\n"));
    }
    for (reason, excuse) in UNTESTED {
        text.push_str(&format!("| | | `{reason}` | {excuse} | no test |\n"));
    }
    text
}

#[cfg(test)]
mod tests;
