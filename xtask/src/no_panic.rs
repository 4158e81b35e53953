// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing in what PID 1 runs can panic by an unwrap, an index or an overflow, whatever the sources say about lints.
//!
//! The crates deny these lints; an `allow` would lift that where it stands, and a new crate might not deny them at all. So
//! clippy is told to report each place regardless (`--force-warn`), in storage-init and every crate of the workspace that it
//! links, with every feature and without tests. What it finds must be exactly the list of exceptions below: one more is an
//! escape, one less a lint that no longer looks.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::call;
use crate::repository;
use crate::target::host_cargo;

/// The program that is PID 1.
const PROGRAM: &str = "storage-init";
const LINTS: [&str; 10] = [
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::get_unwrap",
    "clippy::panic",
    "clippy::unreachable",
    "clippy::todo",
    "clippy::unimplemented",
    "clippy::indexing_slicing",
    "clippy::string_slice",
    "clippy::arithmetic_side_effects",
];

/// Places that may stay, by lint and file, and how many there are.
const EXCEPTIONS: [(&str, &str, usize); 3] = [
    // Constant functions: the compiler evaluates them, and what is out of range fails the build.
    ("clippy::indexing_slicing", "boot-formats/src/crc32.rs", 4),
    ("clippy::arithmetic_side_effects", "boot-formats/src/crc32.rs", 7),
    // What the key dangerously-panic-at is for.
    ("clippy::panic", "storage-init/src/main.rs", 1),
];

/// Number of places by lint and file below `rust/`.
type Places = BTreeMap<(String, String), usize>;

/// Looks at every crate that PID 1 is made of.
///
/// # Errors
/// clippy cannot be run, a crate was not looked at, or there are other places than the exceptions.
pub fn check() -> Result<()> {
    let rust = repository::root().join("rust");
    let mut command = host_cargo();
    command.args(["clippy", "--quiet", "--locked", "--message-format=json", "--all-features", "--bins"]);
    command.args(["--package", PROGRAM, "--manifest-path"]).arg(rust.join("Cargo.toml")).current_dir(&rust).arg("--");
    for lint in LINTS {
        command.args(["--force-warn", lint]);
    }
    let said = call::output("clippy", &mut command)?;
    let (places, looked_at) = read(&String::from_utf8_lossy(&said))?;
    let members = members()?;
    if let Some(missed) = members.difference(&looked_at).next() {
        bail!("clippy did not look at {missed}, which {PROGRAM} links");
    }
    compare(&places)
}

/// What clippy found, and the packages of the workspace that it looked at.
fn read(said: &str) -> Result<(Places, BTreeSet<String>)> {
    let (mut places, mut looked_at) = (Places::new(), BTreeSet::new());
    for line in said.lines() {
        let message: Value = serde_json::from_str(line).context("cargo printed no JSON")?;
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        match text("/reason") {
            Some("compiler-artifact") => looked_at.extend(text("/target/name").map(|name| name.replace('_', "-"))),
            Some("compiler-message") => {
                let (Some(lint), Some(file)) = (text("/message/code/code"), text("/message/spans/0/file_name")) else {
                    continue;
                };
                if LINTS.contains(&lint) {
                    *places.entry((lint.to_owned(), file.to_owned())).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    Ok((places, looked_at))
}

/// Members of the workspace that the program links, itself included: what `cargo tree` prints without a registry.
fn members() -> Result<BTreeSet<String>> {
    let mut command = host_cargo();
    command.args(["tree", "--locked", "--prefix", "none", "--format", "{p}", "--edges", "normal", "--all-features"]);
    command.args(["--package", PROGRAM, "--manifest-path"]).arg(repository::root().join("rust/Cargo.toml"));
    let tree = String::from_utf8(call::output("cargo tree", &mut command)?)?;
    // A package of the workspace is followed by its path: `boot-formats v0.1.0 (/checkout/rust/boot-formats)`.
    let ours = tree.lines().filter(|line| line.contains("(/")).filter_map(|line| line.split(' ').next());
    let members: BTreeSet<String> = ours.map(str::to_owned).collect();
    ensure!(members.contains(PROGRAM), "cargo tree does not name {PROGRAM}");
    Ok(members)
}

fn compare(found: &Places) -> Result<()> {
    let expected: Places =
        EXCEPTIONS.iter().map(|(lint, file, count)| (((*lint).to_owned(), (*file).to_owned()), *count)).collect();
    let mut wrong = Vec::new();
    for (lint, file) in found.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        let key = (lint.clone(), file.clone());
        let count = |places: &Places| places.get(&key).copied().unwrap_or(0);
        if count(found) != count(&expected) {
            wrong.push(format!("{lint} in rust/{file}: {} places, expected {}", count(found), count(&expected)));
        }
    }
    ensure!(wrong.is_empty(), "{} (xtask/src/no_panic.rs lists what may stay)", wrong.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(lint: &str, file: &str) -> String {
        format!(
            r#"{{"reason":"compiler-message","message":{{"code":{{"code":"{lint}"}},"spans":[{{"file_name":"{file}"}}]}}}}"#
        )
    }

    fn exceptions() -> Vec<String> {
        EXCEPTIONS.iter().flat_map(|(lint, file, count)| std::iter::repeat_n(message(lint, file), *count)).collect()
    }

    fn verdict(lines: &[String]) -> Result<(), String> {
        let (places, _) = read(&lines.join("\n")).unwrap();
        compare(&places).map_err(|error| error.to_string())
    }

    #[test]
    fn exactly_the_exceptions_pass() {
        assert_eq!(verdict(&exceptions()), Ok(()));
    }

    #[test]
    fn an_allow_is_no_escape() {
        let mut lines = exceptions();
        lines.push(message("clippy::unwrap_used", "storage-init/src/verify.rs"));
        lines.push(message("clippy::needless_return", "storage-init/src/verify.rs"));
        let error = verdict(&lines).unwrap_err();
        assert!(
            error.starts_with("clippy::unwrap_used in rust/storage-init/src/verify.rs: 1 places, expected 0 (xtask")
        );
    }

    #[test]
    fn a_lint_that_no_longer_looks_is_noticed() {
        let error = verdict(&[]).unwrap_err();
        assert!(error.contains("clippy::panic in rust/storage-init/src/main.rs: 0 places, expected 1"), "{error}");
    }

    #[test]
    fn crates_that_were_looked_at_are_known() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"boot_formats"}}"#;
        let (places, looked_at) = read(line).unwrap();
        assert_eq!((places.len(), looked_at.into_iter().collect::<Vec<_>>()), (0, vec!["boot-formats".to_owned()]));
    }
}
