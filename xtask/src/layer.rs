// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parses the layer's recipes, classes and appends with BitBake's own parser, without openembedded-core.
//!
//! The parser is the `bb` package of the PyPI distribution `bitbake-setup`, kept in the cache. It finds syntax errors,
//! failing anonymous python and files that SRC_URI names and the layer lacks; not wrong names of openembedded-core's
//! classes and variables.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cache::{Cache, Key};
use crate::plan::Cost;
use crate::progress;
use crate::repository;
use crate::tools::Tools;

const KIND: &str = "bitbake";
const RECIPE: u32 = 1;
const COST: Cost = Cost { what: "BitBake's parser", disk_mib: 10, download_mib: 3, seconds: 10 };
/// Of the Yocto series that conf/layer.conf names.
const REQUIREMENT: &str = "bitbake-setup==2.19.0";

/// What the first run costs.
pub fn cost(cache: &Cache) -> Option<Cost> {
    cache.find(KIND, &key()).is_none().then_some(COST)
}

/// The command that parses the layer; it ends with a line `N passed, N failed`.
///
/// # Errors
/// The parser cannot be had.
pub fn parse_command(cache: &Cache, tools: &Tools) -> Result<Command> {
    let parser = cache.entry(KIND, &key(), |folder| install(cache, tools, folder))?;
    let root = repository::root();
    let mut command = tools.command_in(root, "python3", &[parser.as_path()])?;
    command.env("PYTHONPATH", &parser).env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(root.join("xtask/parse_layer.py")).arg(root);
    Ok(command)
}

fn key() -> Key {
    Key::new(RECIPE).bytes("requirement", REQUIREMENT.as_bytes())
}

fn install(cache: &Cache, tools: &Tools, folder: &Path) -> Result<()> {
    let log = cache.log(KIND)?;
    fs::write(&log, "")?;
    // The host's pip.conf and PIP_ variables are seen anyway; the user's own file is not, HOME being another.
    let own = std::env::home_dir().map(|home| home.join(".config/pip/pip.conf")).filter(|path| path.exists());
    let mut pip = tools.command_online(folder, "python3", own.as_deref().as_slice())?;
    if let Some(own) = own.filter(|_| std::env::var_os("PIP_CONFIG_FILE").is_none()) {
        pip.env("PIP_CONFIG_FILE", own);
    }
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-compile",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]);
    pip.args(["--no-cache-dir", "--target"]).arg(folder).arg(REQUIREMENT);
    progress::run("bitbake: parser from PyPI", 0, &log, &mut pip)
}
