// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the tests are linked: as the boot binary is (storage-init/build.rs), so that what they log can be decoded.
//!
//! rustc asks for a position-independent program and for lld. The strings need fixed addresses, and lld does not know the
//! script's INSERT behind an INCLUDE: what comes last on the linker's command line holds.

use std::env;
use std::path::Path;

const SCRIPT: &str = "../storage-init/string-table.x";

fn main() {
    println!("cargo::rerun-if-changed={SCRIPT}");
    let script = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join(SCRIPT);
    for argument in ["-no-pie", "-fuse-ld=bfd", "-Wl,--build-id=sha1"] {
        println!("cargo::rustc-link-arg-tests={argument}");
    }
    println!("cargo::rustc-link-arg-tests=-T{}", script.display());
}
