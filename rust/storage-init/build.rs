// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the boot binary is linked: with a build ID, and with defmt's string table.
//!
//! A string's number is its address at run time, so that only a static program at a fixed address has a usable table; a host
//! build of the tests is none, and logs nothing that is read.

use std::env;
use std::path::Path;

const SCRIPT: &str = "string-table.x";

fn main() {
    println!("cargo::rerun-if-changed={SCRIPT}");
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static") {
        let script = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join(SCRIPT);
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--build-id=sha1");
    }
}
