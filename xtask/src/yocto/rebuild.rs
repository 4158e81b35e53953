// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is built again: nothing after nothing, and after an edit only what depends on it.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::standin::{FIRST, Standin, tasks};
use super::{Bench, copy, outcome};
use crate::suite::Tally;

/// An edit, a recipe that has to be built again, and those that must not be.
const EDITS: [(&str, &str, &[&str]); 2] = [
    (
        "rust/storage-init/src/main.rs",
        "storage-init",
        &["ddi-native", "mini-initramfs-tool-native", "initoverlayfs-image"],
    ),
    ("rust/ddi/src/main.rs", "ddi-native", &["storage-init", "mini-initramfs-tool-native", "mini-initramfs"]),
];

/// Builds again and again, in the folder that the images were built in.
///
/// # Errors
/// The first build fails.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let standin = Standin::open(bench, clones, FIRST)?;
    standin.images()?;
    let mut tally = outcome("second build runs no task", &nothing(&standin));
    for (file, built, left) in EDITS {
        let result = edit(&standin, file, built, left);
        tally.add(outcome(&format!("edit of {file} rebuilds {built} and not {}", left.join(", ")), &result));
        // As it was, for the next edit and for who looks at the images: an edit taken back is restored out of shared state.
        copy::layer(&standin.layer)?;
        standin.execute("execute")?;
    }
    Ok(tally)
}

fn nothing(standin: &Standin<'_>) -> Result<()> {
    let ran = tasks(&standin.execute("again")?)?;
    ensure!(ran.is_empty(), "it ran {ran:?}");
    Ok(())
}

fn edit(standin: &Standin<'_>, file: &str, built: &str, left: &[&str]) -> Result<()> {
    let path = standin.layer.join(file);
    let mut source =
        OpenOptions::new().append(true).open(&path).with_context(|| format!("cannot edit {}", path.display()))?;
    writeln!(source, "// An edit.")?;
    let ran = tasks(&standin.execute("after an edit")?)?;
    let recipes: BTreeSet<&str> = ran.iter().filter_map(|task| Some(task.split_once(':')?.0)).collect();
    ensure!(ran.contains(&format!("{built}:do_compile")), "{built} was not compiled; it ran {recipes:?}");
    for recipe in left {
        ensure!(!recipes.contains(recipe), "{recipe} was built again: {ran:?}");
    }
    Ok(())
}
