// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask crates`: what the recipes have to know of rust/.
//!
//! * BitBake fetches crates itself, so each locked one stands in a recipe with its checksum.
//! * A recipe takes the members of the workspace that its package is made of, and no other's sources.
//!
//! Both are generated; `--check` (part of `cargo xtask test`) holds them against lock file and manifests.

use std::collections::{BTreeMap, BTreeSet};
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
    let text = render(&parse(&lock)?, &members(root)?);
    let path = root.join(FILE);
    if !check {
        return std::fs::write(&path, text).with_context(|| FILE);
    }
    if std::fs::read_to_string(&path).with_context(|| FILE)? != text {
        bail!("{FILE} is not what {LOCK} and the manifests give: run `cargo xtask crates`");
    }
    Ok(())
}

/// What the registry calls the files of the locked crates.
///
/// # Errors
/// The lock file cannot be read, or is not understood.
pub fn file_names(root: &Path) -> Result<BTreeSet<String>> {
    let lock = std::fs::read_to_string(root.join(LOCK)).with_context(|| LOCK)?;
    Ok(parse(&lock)?.iter().map(|Crate { name, version, .. }| format!("{name}-{version}.crate")).collect())
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

/// Each member of the workspace with the members it is made of, itself among them. What only tests use does not count.
fn members(root: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    let workspace = read("rust/Cargo.toml")?;
    let line = workspace.lines().find_map(|line| line.strip_prefix("members = ["));
    let line = line.and_then(|line| line.strip_suffix(']')).context("rust/Cargo.toml: no line `members = [...]`")?;
    let names: Vec<&str> = line.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let mut direct = BTreeMap::new();
    for name in &names {
        let manifest = read(&format!("rust/{name}/Cargo.toml"))?;
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut counts = false;
        for line in manifest.lines() {
            if let Some(section) = line.strip_prefix('[') {
                counts = section.starts_with("dependencies") || section.starts_with("build-dependencies");
            }
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
            used.extend(names.iter().filter(|name| counts && **name == key));
        }
        direct.insert(*name, used);
    }
    let mut closures = BTreeMap::new();
    for name in &names {
        let mut closure = BTreeSet::from([(*name).to_owned()]);
        let mut open = vec![*name];
        while let Some(member) = open.pop() {
            open.extend(direct.get(member).into_iter().flatten().filter(|used| closure.insert((**used).to_owned())));
        }
        closures.insert((*name).to_owned(), closure);
    }
    Ok(closures)
}

fn render(crates: &[Crate<'_>], members: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut text = String::from(
        "# SPDX-License-Identifier: MIT OR Apache-2.0\n\
         # Generated from rust/ by `cargo xtask crates`: do not edit.\n\n\
         # What each package is made of.\n",
    );
    for (name, closure) in members {
        let closure: Vec<&str> = closure.iter().map(String::as_str).collect();
        let _ = writeln!(text, "INITOVERLAYFS_MEMBERS[{name}] = \"{}\"", closure.join(" "));
    }
    text.push_str("\nSRC_URI += \" \\\n");
    for Crate { name, version, .. } in crates {
        let _ = writeln!(text, "    crate://crates.io/{name}/{version} \\");
    }
    text.push_str("\"\n\n");
    for Crate { name, version, sha256 } in crates {
        let _ = writeln!(text, "SRC_URI[{name}-{version}.sha256sum] = \"{sha256}\"");
    }
    text
}
