// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building the fuzz targets in the tools root, and running them there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{Cache, Key};
use crate::plan::Cost;
use crate::target::{OF_CARGO_HOME, cargo_home, fetch};
use crate::tools::Tools;
use crate::{progress, repository};

const KIND: &str = "fuzz";
/// Raise it to start with an empty build tree and without what earlier runs found out.
const RECIPE: u32 = 1;
const COST: Cost = Cost { what: "fuzz targets", disk_mib: 260, download_mib: 10, seconds: 190 };
/// A triple of its own, so that the flags below are not those of build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// The address sanitizer, with the runtime of gcc, which links; and the counters that libFuzzer steers by.
const RUSTFLAGS: [&str; 9] = [
    "-Zsanitizer=address",
    // Debian's rustc comes without a runtime. It must be the first library that is loaded.
    "-Zexternal-clangrt",
    "-Zpre-link-arg=-Wl,--no-as-needed,-lasan,--as-needed",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // For targets that want to know.
    "--cfg=fuzzing",
];

/// What the first build costs.
pub fn cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any("work/fuzz")).then_some(COST)
}

/// The targets as programs, which run in the tools root.
pub struct Programs<'a> {
    tools: &'a Tools,
    folder: PathBuf,
    /// Another run would build under the feet of this one.
    _lock: fs::File,
}

/// Builds every target.
///
/// # Errors
/// Crates cannot be fetched, or the build fails; the error ends with what cargo said.
pub fn build<'a>(cache: &Cache, tools: &'a Tools) -> Result<Programs<'a>> {
    let root = repository::root();
    let workspace = root.join("fuzz");
    let cargo_home = cargo_home()?;
    let log = cache.log(KIND)?;
    fs::write(&log, "")?;
    fetch(&workspace.join("Cargo.toml"), &[], &log)?;

    let lock = cache.lock(KIND)?;
    let key = Key::new(RECIPE)
        .bytes("compiler", tools.on_host("/").as_os_str().as_encoded_bytes())
        .bytes("checkout", root.as_os_str().as_encoded_bytes());
    let folder = cache.work_dir(KIND, &key)?;
    let rust = root.join("rust");
    let crates: Vec<PathBuf> =
        OF_CARGO_HOME.iter().map(|name| cargo_home.join(name)).filter(|path| path.exists()).collect();
    let paths: Vec<&Path> = crates.iter().map(PathBuf::as_path).chain([folder.as_path(), rust.as_path()]).collect();
    let mut command = tools.command_in(&workspace, "cargo", &paths)?;
    command
        .env("CARGO_HOME", &cargo_home)
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"))
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        // Sanitizers are unstable options.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CXX", "g++")
        // The fuzzer itself is not under test.
        .env("CXXFLAGS", "-fno-sanitize=all")
        .args(["build", "--release", "--locked", "--offline", "--target", TRIPLE, "--bins"]);
    progress::run("fuzz targets: build", 0, &log, &mut command)?;
    Ok(Programs { tools, folder, _lock: lock })
}

impl Programs<'_> {
    /// A command that runs a target; it sees `paths`.
    ///
    /// # Errors
    /// There is no such target, or no such path.
    pub fn command(&self, target: &str, paths: &[&Path]) -> Result<Command> {
        let program = self.folder.join(TRIPLE).join("release").join(target);
        let name = program.to_str().context("the path of the cache is not UTF-8")?.to_owned();
        let mut seen = vec![program.as_path()];
        seen.extend(paths);
        let mut command = self.tools.command(&name, &seen)?;
        command.env("RUST_BACKTRACE", "1");
        Ok(command)
    }

    /// Where a target keeps what it found out.
    pub fn corpus(&self, target: &str) -> PathBuf {
        self.folder.join("corpus").join(target)
    }
}
