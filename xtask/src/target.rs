// SPDX-License-Identifier: MIT OR Apache-2.0
//! Static programs for the target: aarch64, musl, a standard library built for size.
//!
//! rustc, cargo and the library's source are one version, out of the tools root, so that the host's toolchain does not
//! matter. The host's cargo fetches the crates, with the host's own settings (registries, proxies, certificates); the
//! build has no network. Each checkout has a folder of its own in the cache: cargo knows a package by its path below the
//! workspace, so that two checkouts in one folder would take each other's libraries for their own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, Key};
use crate::log_strings;
use crate::plan::Cost;
use crate::progress;
use crate::repository;
use crate::tools::Tools;

const KIND: &str = "target";
/// Raise it to start with an empty build tree.
const RECIPE: u32 = 1;
const COST: Cost = Cost { what: "boot binary and ddi", disk_mib: 480, download_mib: 30, seconds: 130 };
/// The target triple of the boot binary.
pub const TRIPLE: &str = "aarch64-unknown-linux-musl";
/// The workspace of the standard library, as a path inside the tools root.
const LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";
/// Only these parts of the library, without unwinding or symbols for backtraces: 130 KB instead of 900.
const BUILD_STD: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];
/// The unwinder that std's backtraces call, for programs whose libraries ask for one. Debian has none for musl, and none is
/// needed: they come only where RUST_BACKTRACE is set, which then aborts.
const NO_UNWINDER: [&str; 4] = [
    "-Clink-arg=-Wl,--defsym=_Unwind_Backtrace=abort",
    "-Clink-arg=-Wl,--defsym=_Unwind_GetIP=abort",
    "-Clink-arg=-Wl,--defsym=_Unwind_GetCFA=abort",
    "-Clink-arg=-Wl,--defsym=_Unwind_FindEnclosingFunction=abort",
];
/// A static program at a fixed address, linked by our wrapper (tools.rs), with musl's files from Debian. Nothing unwinds: a panic
/// aborts. Nothing would make a RELRO segment read-only: musl does that for what it loads, not for itself; and it costs up to a page
/// of 64 KB in the file. Atomics are those of every ARMv8, without code that asks the processor for better ones (2 KB); SHA-256 is in the
/// processor's instructions where it has them, and else in code that is small rather than fast (8 KB).
const RUSTFLAGS: [&str; 8] = [
    "-Cforce-unwind-tables=no",
    "-Crelro-level=off",
    "-Clink-self-contained=no",
    "-Clinker-flavor=gcc",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static,-outline-atomics",
    "--cfg=sha2_backend_soft=\"compact\"",
    "-L/usr/lib/aarch64-linux-musl",
];

/// What the build needs of CARGO_HOME: fetched crates and where they came from, but no credentials.
pub(crate) const OF_CARGO_HOME: [&str; 3] = ["registry", "git", "config.toml"];

/// What the first build costs.
pub fn cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any("work/target")).then_some(COST)
}

/// Builds the program of the package `program` in the workspace `workspace`, for release, with these features of it.
///
/// The result is a copy without symbols below `WORKSPACE/target`, of this checkout and these features alone. Log strings
/// are kept ([`log_strings`]).
///
/// # Errors
/// Crates cannot be fetched, or the build fails; the error ends with what cargo said.
pub fn build(cache: &Cache, tools: &Tools, workspace: &Path, program: &str, features: &[&str]) -> Result<PathBuf> {
    build_linked(cache, tools, workspace, program, features, &[])
}

/// Builds a program as [`build`] does, whose libraries ask for backtraces of errors; it has none.
///
/// # Errors
/// As [`build`].
pub fn build_without_unwinder(cache: &Cache, tools: &Tools, workspace: &Path, program: &str) -> Result<PathBuf> {
    build_linked(cache, tools, workspace, program, &[], &NO_UNWINDER)
}

fn build_linked(
    cache: &Cache,
    tools: &Tools,
    workspace: &Path,
    program: &str,
    features: &[&str],
    link: &[&str],
) -> Result<PathBuf> {
    let workspace = workspace.canonicalize().with_context(|| format!("cannot find {}", workspace.display()))?;
    let cargo_home = cargo_home()?;
    let name = [&[program], features].concat().join("+");
    let log = cache.log(&format!("{KIND}-{name}"))?;
    fs::write(&log, "")?;
    fetch(&workspace.join("Cargo.toml"), &[], &log)?;
    let library = tools.on_host(LIBRARY).canonicalize().context("the tools root has no library source")?;
    fetch(&library.join("Cargo.toml"), &[("RUSTC_BOOTSTRAP", "1")], &log)?;

    // Cargo's own lock is not enough: another checkout's run removes this folder.
    let _lock = cache.lock(KIND)?;
    let key = Key::new(RECIPE)
        .bytes("library", library.as_os_str().as_encoded_bytes())
        .bytes("checkout", repository::root().as_os_str().as_encoded_bytes());
    let folder = cache.work_dir(KIND, &key)?;
    let crates: Vec<PathBuf> =
        OF_CARGO_HOME.iter().map(|name| cargo_home.join(name)).filter(|path| path.exists()).collect();
    let paths: Vec<&Path> = crates.iter().map(PathBuf::as_path).chain([folder.as_path()]).collect();
    let mut command = tools.command_in(&workspace, "cargo", &paths)?;
    command
        .env("CARGO_HOME", &cargo_home)
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "aarch64-linux-musl-gcc")
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"))
        // The user's own settings for host builds, which are visible in CARGO_HOME, do not apply here.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        // build-std is an unstable option; compiler and library being one package, it is a safe one here.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["rustc", "--release", "--locked", "--offline", "--target", TRIPLE, "--package", program])
        .args(["--bin", program, "--features", &features.join(",")])
        .args(BUILD_STD)
        .arg("--")
        .args(link);
    progress::run(&format!("{name}: build for {TRIPLE}"), 0, &log, &mut command)?;

    let built = folder.join(TRIPLE).join("release").join(program);
    let stripped = folder.join(format!("{name}.stripped"));
    log_strings::keep(cache, tools, &built)?;
    tools.objcopy(&folder, &["--strip-all", "--remove-section=.defmt"], &built, &stripped)?;

    let place = workspace.join("target").join(TRIPLE).join("release");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let copy = place.join(name);
    fs::copy(&stripped, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// Downloads the crates of a locked workspace, with the host's cargo: only it knows how registries are reached from here.
pub(crate) fn fetch(manifest: &Path, environment: &[(&str, &str)], log: &Path) -> Result<()> {
    let output = host_cargo()
        .envs(environment.iter().copied())
        .args(["fetch", "--locked", "--manifest-path"])
        .arg(manifest)
        .output()
        .context("cannot run cargo")?;
    fs::write(log, &output.stderr)?;
    if !output.status.success() {
        bail!("cargo fetch --manifest-path {}: {}", manifest.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The cargo that started this xtask, or the one in PATH, without what `cargo run` set for xtask itself.
pub fn host_cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let of_xtask = name_text.starts_with("CARGO_PKG_")
            || name_text.starts_with("CARGO_MANIFEST_")
            || name_text.starts_with("CARGO_BIN_");
        if of_xtask {
            command.env_remove(name);
        }
    }
    command
}

/// `$CARGO_HOME` or `~/.cargo`.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    home.canonicalize().with_context(|| format!("cannot find {}", home.display()))
}
