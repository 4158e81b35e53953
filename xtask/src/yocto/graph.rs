// SPDX-License-Identifier: MIT OR Apache-2.0
//! The task graph of every image resolves: each name that a recipe depends on is a recipe's of this series.

use anyhow::{Context, Result, ensure};

use super::build::Build;
use super::clones::Clones;
use super::plain::{Variant, build};
use super::{Bench, outcome};
use crate::suite::Tally;

/// All images of the layer, and the kernel.
const TARGETS: [&str; 4] = ["mini-initramfs", "initoverlayfs-image", "initoverlayfs-disk", "virtual/kernel"];

/// A graph, and a task that has to be in it for the variant to be what it says.
const GRAPHS: [(Variant, &str, &str); 4] = [
    (Variant::Plain, "graph", "\"initoverlayfs-image.do_image_signed_ddi\" -> \"ddi-native.do_populate_sysroot\""),
    (
        Variant::Bundle,
        "graph with INITRAMFS_IMAGE_BUNDLE",
        "\"linux-yocto.do_bundle_initramfs\" -> \"mini-initramfs.do_image_complete\"",
    ),
    (Variant::Uki, "graph of a UKI", "\"mini-initramfs.do_image_complete\""),
    (Variant::Musl, "graph with INITRAMFS_MULTICONFIG", "mc:initoverlayfs-musl:storage-init.do_compile"),
];

/// Resolves all graphs on all series.
///
/// # Errors
/// BitBake cannot be run.
pub fn check(bench: &Bench) -> Result<Tally> {
    let mut tally = Tally::default();
    for clones in &bench.clones {
        for (variant, name, wanted) in GRAPHS {
            let result = resolve(bench, clones, variant, name, wanted);
            tally.add(outcome(&format!("{name} on {}", clones.series.name), &result));
        }
    }
    Ok(tally)
}

fn resolve(bench: &Bench, clones: &Clones, variant: Variant, name: &str, wanted: &str) -> Result<()> {
    let build: Build<'_> = build(bench, clones, variant)?;
    let arguments: Vec<&str> = ["-g"].into_iter().chain(TARGETS).collect();
    build.run(name, "bitbake", &arguments)?.expect_success()?;
    let path = build.folder.join("task-depends.dot");
    let graph = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(graph.contains(wanted), "{} lacks {wanted}", path.display());
    Ok(())
}
