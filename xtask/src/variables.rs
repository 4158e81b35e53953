// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask variables`: docs/variables.md, from the defaults and `[doc]` flags of the layer's variables.
//!
//! `--check` (part of `cargo xtask test layer`) holds the one against the other, and every variable that the layer uses against
//! those that are described or that it assigns itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Where the variables are.
const SOURCE: &str = "conf/initoverlayfs.inc";
/// The generated page.
const PAGE: &str = "docs/variables.md";
/// Where variables are used.
const METADATA: [&str; 6] =
    ["classes-recipe", "conf", "recipes-core", "recipes-devtools", "recipes-kernel", "files/wic"];
const PREFIX: &str = "INITOVERLAYFS_";

/// A variable that a build may set.
struct Variable<'a> {
    name: &'a str,
    default: &'a str,
    doc: &'a str,
}

/// Writes the page, or with `check` fails where it is not what the source gives.
///
/// # Errors
/// A variable without a description or default, one that is used and not there; with `check`, another page.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let source = fs::read_to_string(root.join(SOURCE)).context(SOURCE)?;
    let variables = parse(&source)?;
    let known: BTreeSet<&str> = variables.iter().map(|variable| variable.name).collect();
    let mut metadata = Metadata::default();
    for folder in METADATA {
        metadata.collect(&root.join(folder))?;
    }
    metadata.assigned.extend(assigned(&source));
    for name in &known {
        ensure!(metadata.used.contains(*name), "{SOURCE}: nothing uses {name}");
    }
    for name in metadata.used.difference(&metadata.assigned) {
        ensure!(known.contains(name.as_str()), "{name} is used, and is neither in {SOURCE} nor assigned");
    }
    let page = render(&variables);
    let path = root.join(PAGE);
    if !check {
        return fs::write(&path, page).context(PAGE);
    }
    if fs::read_to_string(&path).context(PAGE)? != page {
        bail!("{PAGE} is not what {SOURCE} gives: run `cargo xtask variables`");
    }
    Ok(())
}

/// The variables in their order: each a line `NAME ??= "DEFAULT"` and a line `NAME[doc] = "DOC"` behind it.
fn parse(source: &str) -> Result<Vec<Variable<'_>>> {
    let mut variables = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let Some((name, default)) = line.split_once(" ??= ") else { continue };
        let doc = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix("[doc] = "));
        let doc = doc.with_context(|| format!("{SOURCE}: {name} has no [doc] on the next line"))?;
        variables.push(Variable { name, default: unquoted(default)?, doc: unquoted(doc)? });
    }
    ensure!(!variables.is_empty(), "{SOURCE}: no variable");
    Ok(variables)
}

fn unquoted(text: &str) -> Result<&str> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.with_context(|| format!("{SOURCE}: not in quotes: {text}"))
}

/// What recipes, classes and disk layouts have of names with our prefix.
#[derive(Default)]
struct Metadata {
    used: BTreeSet<String>,
    assigned: BTreeSet<String>,
}

impl Metadata {
    /// Of all files below a folder, the source of the variables aside.
    fn collect(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                self.collect(&path)?;
            } else if !path.ends_with(SOURCE) {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                self.used.extend(text.match_indices(PREFIX).filter_map(|(at, _)| name(text.get(at..)?)));
                self.assigned.extend(assigned(&text));
            }
        }
        Ok(())
    }
}

/// The name that a text begins with; the prefix alone is none.
fn name(text: &str) -> Option<String> {
    let rest = text.strip_prefix(PREFIX)?;
    let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|end| !end.is_empty()).map(|end| format!("{PREFIX}{end}"))
}

/// The names that get a value or a flag: what a line begins with, unless it is a default of ours (`??=`), which has to be described.
fn assigned(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.contains('=') && !line.contains("??=") && !line.contains("[doc]")).filter_map(name)
}

fn render(variables: &[Variable<'_>]) -> String {
    let mut page = String::from(
        "# Variables\n\n\
         Generated from `conf/initoverlayfs.inc` by `cargo xtask variables`. Set them in local.conf, a distribution's \
         configuration or a kas file.\nA value that is not allowed ends the build when recipes are parsed, or in the task that finds it, with the \
         variable, its value and what is allowed.\n\n\
         | variable | default | what |\n|---|---|---|\n",
    );
    for Variable { name, default, doc } in variables {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let doc = doc.replace("\\\"", "\"").replace("\\\\n", "\\n");
        let _ = writeln!(page, "| `{name}` | {default} | {doc} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_line_gives_a_value_are_assigned() {
        let text = "INITOVERLAYFS_A = \"${INITOVERLAYFS_B}\"\nINITOVERLAYFS_C:x ?= \"\"\nINITOVERLAYFS_D[flag] = \"1\"\n\
                    INITOVERLAYFS_E ??= \"\"\nINITOVERLAYFS_E[doc] = \"\"\nX = \"${INITOVERLAYFS_F}\"\n";
        let expected = ["INITOVERLAYFS_A", "INITOVERLAYFS_C", "INITOVERLAYFS_D"];
        assert_eq!(assigned(text).collect::<Vec<_>>(), expected);
        assert_eq!(name("INITOVERLAYFS_F}"), Some("INITOVERLAYFS_F".to_owned()));
        assert_eq!(name("INITOVERLAYFS_ variables"), None);
    }
}
