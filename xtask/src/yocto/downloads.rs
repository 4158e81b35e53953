// SPDX-License-Identifier: MIT OR Apache-2.0
//! DL_DIR without a network: the crates that the host's cargo fetched, under the names that BitBake looks for.
//!
//! The way for builds behind a firewall as well (docs/porting.md).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::{crates_inc, repository, target};

/// Copies each locked crate of rust/ into `folder`, and gives its path.
///
/// # Errors
/// Crates cannot be fetched, or the folder cannot be written.
pub fn fill(cache: &Cache, folder: &Path) -> Result<PathBuf> {
    target::fetch(&repository::root().join("rust/Cargo.toml"), &[], &cache.log("yocto-downloads")?)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let registries = target::cargo_home()?.join("registry/cache");
    let registries: Vec<PathBuf> = fs::read_dir(&registries)
        .with_context(|| format!("cannot list {}", registries.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    for name in crates_inc::file_names(repository::root())? {
        let copy = folder.join(&name);
        if copy.exists() {
            continue;
        }
        let found = registries.iter().map(|registry| registry.join(&name)).find(|path| path.exists());
        let found = found.with_context(|| format!("cargo fetch brought no {name}"))?;
        fs::copy(&found, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(folder.to_owned())
}
