// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checkout that this xtask was built from.

use std::path::Path;

/// The root of the repository, which is the layer.
pub fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
