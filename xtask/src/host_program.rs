// SPDX-License-Identifier: MIT OR Apache-2.0
//! The product's programs for the host, built from this checkout: what a recipe calls, the tests call too.

use std::path::PathBuf;

use anyhow::Result;

use crate::call;
use crate::repository;
use crate::target::host_cargo;

/// Builds the program of a package of rust/, whose name is the package's; returns its file.
///
/// # Errors
/// cargo fails; the error holds what it said.
pub fn build(package: &str) -> Result<PathBuf> {
    let folder = repository::root().join("rust/target");
    let mut cargo = host_cargo();
    cargo
        .args(["build", "--release", "--locked", "--package", package, "--manifest-path"])
        .arg(repository::root().join("rust/Cargo.toml"))
        .env("CARGO_TARGET_DIR", &folder);
    call::run(&format!("the build of {package}"), &mut cargo)?;
    Ok(folder.join("release").join(package))
}
