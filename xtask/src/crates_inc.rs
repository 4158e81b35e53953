// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask crates`: rust/Cargo.lock as the recipes' list of crates.
//!
//! BitBake fetches crates itself, so each locked one stands in a recipe with its checksum. The list is generated, and
//! `--check` (part of `cargo xtask test`) holds it against the lock file.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The generated file, below the repository's root.
pub const FILE: &str = "recipes-core/initoverlayfs-crates.inc";
/// What it is generated from.
const LOCK: &str = "rust/Cargo.lock";

/// A package of the lock file that comes from the registry.
struct Crate<'a> {
    name: &'a str,
    version: &'a str,
    sha256: &'a str,
}

/// Writes the list, or with `check` fails where it is not what the lock file gives.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let lock = std::fs::read_to_string(root.join(LOCK)).with_context(|| LOCK)?;
    let text = render(&parse(&lock)?);
    let path = root.join(FILE);
    if !check {
        return std::fs::write(&path, text).with_context(|| FILE);
    }
    if std::fs::read_to_string(&path).with_context(|| FILE)? != text {
        bail!("{FILE} is not what {LOCK} gives: run `cargo xtask crates`");
    }
    Ok(())
}

fn parse(lock: &str) -> Result<Vec<Crate<'_>>> {
    let value = |package: &'_ str, key: &str| -> Option<(usize, usize)> {
        let start = package.find(&format!("\n{key} = \""))? + key.len() + 5;
        Some((start, start + package[start..].find('"')?))
    };
    let mut crates = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |key| value(package, key).map(|(start, end)| &package[start..end]);
        let name = field("name").with_context(|| format!("{LOCK}: a package without a name"))?;
        match (field("source"), field("checksum")) {
            // A member of the workspace.
            (None, _) => {}
            (Some("registry+https://github.com/rust-lang/crates.io-index"), Some(sha256)) => {
                let version = field("version").with_context(|| format!("{LOCK}: {name} has no version"))?;
                crates.push(Crate { name, version, sha256 });
            }
            (Some(source), _) => bail!("{LOCK}: {name} comes from {source}, which a recipe cannot fetch by checksum"),
        }
    }
    Ok(crates)
}

fn render(crates: &[Crate<'_>]) -> String {
    let mut text = String::from(
        "# SPDX-License-Identifier: MIT OR Apache-2.0\n\
         # Generated from rust/Cargo.lock by `cargo xtask crates`: do not edit.\n\
         SRC_URI += \" \\\n",
    );
    for Crate { name, version, .. } in crates {
        let _ = writeln!(text, "    crate://crates.io/{name}/{version} \\");
    }
    text.push_str("\"\n\n");
    for Crate { name, version, sha256 } in crates {
        let _ = writeln!(text, "SRC_URI[{name}-{version}.sha256sum] = \"{sha256}\"");
    }
    text
}
