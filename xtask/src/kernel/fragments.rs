// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the layer adds to kernels: fragments of configurations, its `.cfg` files, and what became of their options; and patches.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::repository;

/// Where the layer has them.
const FOLDER: &str = "recipes-kernel/linux/files/initoverlayfs";
/// Those that not every board wants, and that cost a boot time or contradict others: a kernel of their own has them.
const APART: [&str; 4] = ["crypt.cfg", "efi.cfg", "force.cfg", "tpm.cfg"];

/// A `.cfg` or `.patch` file.
pub struct Fragment {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

impl Fragment {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, text })
    }

    /// Its file name.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// The layer's fragments for every kernel: those that are not in [`APART`], and what `further` of them are wanted.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn of_the_layer(further: &[&str]) -> Result<Vec<Fragment>> {
    let mut fragments = with_extension("cfg")?;
    fragments.retain(|fragment| {
        let is = |names: &[&str]| names.iter().any(|name| fragment.path.ends_with(name));
        !is(&APART) || is(further)
    });
    Ok(fragments)
}

/// The layer's patches, in the order of their names.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn patches() -> Result<Vec<Fragment>> {
    with_extension("patch")
}

fn with_extension(wanted: &str) -> Result<Vec<Fragment>> {
    let folder = repository::root().join(FOLDER);
    let mut fragments = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == wanted) {
            fragments.push(Fragment::read(path)?);
        }
    }
    fragments.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(fragments)
}

/// Every option that the fragments ask for, with its line.
///
/// # Errors
/// A line is none of a kernel configuration, or two fragments disagree.
pub fn requested(fragments: &[Fragment]) -> Result<BTreeMap<String, String>> {
    let mut requested = BTreeMap::new();
    for fragment in fragments {
        for line in fragment.text.lines().map(str::trim) {
            let Some(option) = option_name(line) else {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                bail!("{}: not a line of a kernel configuration: {line}", fragment.path.display());
            };
            match requested.insert(option.to_owned(), line.to_owned()) {
                Some(other) if other != line => {
                    bail!("{}: {line}, but another fragment says {other}", fragment.path.display());
                }
                _ => {}
            }
        }
    }
    Ok(requested)
}

/// `CONFIG_X=...` or `# CONFIG_X is not set`.
fn option_name(line: &str) -> Option<&str> {
    let set = || line.strip_prefix("CONFIG_").and_then(|_| line.split_once('=')).map(|(name, _)| name);
    let unset = || line.strip_prefix("# ")?.strip_suffix(" is not set").filter(|name| name.starts_with("CONFIG_"));
    set().or_else(unset)
}

/// The requested lines that `config` lacks. An option that is not mentioned is not set.
pub fn lost<'a>(requested: &'a BTreeMap<String, String>, config: &str) -> Vec<&'a str> {
    let actual: BTreeMap<&str, &str> = config.lines().filter_map(|line| Some((option_name(line)?, line))).collect();
    requested
        .iter()
        .filter(|(name, line)| match actual.get(name.as_str()) {
            Some(found) => found != line,
            None => !line.ends_with(" is not set"),
        })
        .map(|(_, line)| line.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment { path: "x.cfg".into(), text: text.into() }
    }

    #[test]
    fn an_option_that_did_not_arrive_is_named() -> Result<()> {
        let requested =
            requested(&[fragment("# why\nCONFIG_A=y\nCONFIG_B=\"x\"\n# CONFIG_C is not set\nCONFIG_D=y\n")])?;
        assert_eq!(
            lost(&requested, "CONFIG_A=y\nCONFIG_B=\"y\"\n# CONFIG_D is not set\n"),
            ["CONFIG_B=\"x\"", "CONFIG_D=y"]
        );
        Ok(())
    }

    #[test]
    fn an_option_that_must_be_off_and_is_on_is_named() -> Result<()> {
        let requested = requested(&[fragment("# CONFIG_C is not set\n")])?;
        assert_eq!(lost(&requested, "CONFIG_C=y\n"), ["# CONFIG_C is not set"]);
        Ok(())
    }

    #[test]
    fn two_fragments_that_disagree_are_refused() {
        let refusal = requested(&[fragment("CONFIG_A=y"), fragment("CONFIG_A=m")]).map_err(|error| error.to_string());
        assert_eq!(refusal, Err("x.cfg: CONFIG_A=m, but another fragment says CONFIG_A=y".into()));
    }

    #[test]
    fn a_line_that_is_no_option_is_refused() {
        let refusal = requested(&[fragment("CONFIG_A y")]).map_err(|error| error.to_string());
        assert_eq!(refusal, Err("x.cfg: not a line of a kernel configuration: CONFIG_A y".into()));
    }
}
