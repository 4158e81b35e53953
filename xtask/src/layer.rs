// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parses the layer's recipes, classes and appends with BitBake's own parser, without openembedded-core.
//!
//! The parser is the `bb` package of the PyPI distribution `bitbake-setup`, kept in the cache. It finds syntax errors,
//! failing anonymous python and files that SRC_URI names and the layer lacks; not wrong names of openembedded-core's
//! classes and variables.
//!
//! Wrong values of the layer's variables have to be refused by it. The kas files are held against the schema of kas, the workflow
//! beside them against that of GitHub, which come the same way.

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
const RECIPE: u32 = 2;
const COST: Cost = Cost { what: "BitBake's parser", disk_mib: 20, download_mib: 5, seconds: 15 };
/// BitBake's of the Yocto series that conf/layer.conf names; kas and check-jsonschema for their schemas, and what it takes to use those.
const REQUIREMENTS: [&str; 7] = [
    "bitbake-setup==2.19.0",
    "kas==5.5",
    "check-jsonschema==0.39.0",
    "PyYAML==6.0.2",
    "jsonschema==4.17.3",
    "attrs==24.3.0",
    "pyrsistent==0.20.0",
];

/// What the first run costs.
pub fn cost(cache: &Cache) -> Option<Cost> {
    cache.find(KIND, &key()).is_none().then_some(COST)
}

/// The command that parses the layer; it ends with a line `N passed, N failed`.
///
/// # Errors
/// The parser cannot be had.
pub fn parse_command(cache: &Cache, tools: &Tools) -> Result<Command> {
    script(cache, tools, "xtask/parse_layer.py")
}

/// The command that gives the layer's variables wrong values; it ends as the other.
///
/// # Errors
/// The parser cannot be had.
pub fn refusals_command(cache: &Cache, tools: &Tools) -> Result<Command> {
    script(cache, tools, "xtask/layer_refusals.py")
}

/// The command that checks the kas files; it ends as the other.
///
/// # Errors
/// The schema cannot be had.
pub fn kas_command(cache: &Cache, tools: &Tools) -> Result<Command> {
    script(cache, tools, "xtask/check_kas.py")
}

fn script(cache: &Cache, tools: &Tools, path: &str) -> Result<Command> {
    let packages = cache.entry(KIND, &key(), |folder| install(cache, tools, folder))?;
    let root = repository::root();
    let mut command = tools.command_in(root, "python3", &[packages.as_path()])?;
    command.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(root.join(path)).arg(root);
    Ok(command)
}

fn key() -> Key {
    Key::new(RECIPE).bytes("requirements", REQUIREMENTS.join(" ").as_bytes())
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
    pip.args(["--no-cache-dir", "--target"]).arg(folder).args(REQUIREMENTS);
    progress::run("bitbake: parser and schema from PyPI", 0, &log, &mut pip)
}
