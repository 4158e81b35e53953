// SPDX-License-Identifier: MIT OR Apache-2.0
//! DL_DIR without a network: the crates that the host's cargo fetched, under the names that BitBake looks for.
//!
//! The way for builds behind a firewall as well (docs/porting.md).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::{repository, target};

/// Copies each locked crate of rust/ into `folder`, and gives its path.
///
/// # Errors
/// Crates cannot be fetched, or the folder cannot be written.
pub fn fill(cache: &Cache, folder: &Path) -> Result<PathBuf> {
    target::fetch(&repository::root().join("rust/Cargo.toml"), &[], &cache.log("yocto-downloads")?)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let registries = target::cargo_home()?.join("registry/cache");
    for registry in fs::read_dir(&registries).with_context(|| format!("cannot list {}", registries.display()))? {
        for file in fs::read_dir(registry?.path())? {
            let path = file?.path();
            let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|suffix| suffix == "crate"))
            else {
                continue;
            };
            let copy = folder.join(name);
            if !copy.exists() {
                fs::copy(&path, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
            }
        }
    }
    Ok(folder.to_owned())
}
