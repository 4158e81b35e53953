// SPDX-License-Identifier: MIT OR Apache-2.0
//! A copy of the layer that a build may edit: what git knows of the checkout, without what it ignores.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::call;
use crate::repository;

/// Makes `to` the same as the checkout. Files that are the same already are not touched: BitBake goes by their time.
///
/// # Errors
/// This is no git checkout, or a file cannot be copied.
pub fn layer(to: &Path) -> Result<()> {
    let from = repository::root();
    synchronize(from, &files(from)?, to)
}

/// These files and no others, as they are below `from`.
fn synchronize(from: &Path, wanted: &BTreeSet<PathBuf>, to: &Path) -> Result<()> {
    for file in wanted {
        let (source, target) = (from.join(file), to.join(file));
        let bytes = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        if fs::read(&target).is_ok_and(|there| there == bytes) {
            continue;
        }
        let folder = target.parent().unwrap_or(to);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // With its mode: some are programs.
        fs::copy(&source, &target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    remove_others(to, to, wanted)
}

fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = String::from_utf8(call::output("git ls-files", &mut git)?).context("a file's name is not UTF-8")?;
    // One that was deleted is still in the index.
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|name| root.join(name).is_file())
        .collect())
}

fn remove_others(root: &Path, folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, wanted)?;
        } else if !path.strip_prefix(root).is_ok_and(|name| wanted.contains(name)) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_copy_is_the_checkout_again_after_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["conf/layer.conf", "README.md"].map(PathBuf::from).into();
        let copy = || synchronize(repository::root(), &files, folder.path()).unwrap();
        copy();
        let edited = folder.path().join("conf/layer.conf");
        let before = fs::read(&edited).unwrap();
        fs::write(&edited, "").unwrap();
        fs::write(folder.path().join("conf/more.conf"), "").unwrap();
        let untouched = folder.path().join("README.md");
        let time = fs::metadata(&untouched).unwrap().modified().unwrap();
        copy();
        assert_eq!(fs::read(&edited).unwrap(), before);
        assert!(!folder.path().join("conf/more.conf").exists());
        assert_eq!(fs::metadata(&untouched).unwrap().modified().unwrap(), time);
    }
}
