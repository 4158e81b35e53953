// SPDX-License-Identifier: MIT OR Apache-2.0
//! The task graph of every image and program resolves: each name that a recipe depends on is a recipe's of this series.

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::plain::{Variant, build};
use super::{Bench, outcome};
use crate::suite::Tally;

/// All images of the layer, the kernel, and the programs that no image holds: for the system, the build host, and an SDK.
const TARGETS: [&str; 12] = [
    "mini-initramfs",
    "initoverlayfs-image",
    "initoverlayfs-disk",
    "virtual/kernel",
    "bootlog",
    "ddi",
    "initoverlayfs-tpm",
    "mini-initramfs-tool",
    "bootlog-native",
    "nativesdk-bootlog",
    "nativesdk-ddi",
    "nativesdk-mini-initramfs-tool",
];

/// A variant of the build, and what its graph has to have for the variant to be what it says.
struct Graph {
    variant: Variant,
    name: &'static str,
    /// Edges.
    wanted: &'static [&'static str],
    /// What `initoverlayfs-disk` puts on its ESP for the kernel to start with.
    on_the_esp: &'static [&'static str],
}

const BUNDLED: &[&str] = &["Image-initramfs-qemuarm64.bin;Image"];
const GRAPHS: [Graph; 4] = [
    Graph {
        variant: Variant::Plain,
        name: "graph",
        wanted: &["\"initoverlayfs-image.do_image_signed_ddi\" -> \"ddi-native.do_populate_sysroot\""],
        on_the_esp: &["Image", "mini-initramfs-qemuarm64.cpio.gz;mini-initramfs.cpio"],
    },
    Graph {
        variant: Variant::Bundle,
        name: "graph with INITRAMFS_IMAGE_BUNDLE",
        wanted: &["\"linux-yocto.do_bundle_initramfs\" -> \"mini-initramfs.do_image_complete\""],
        on_the_esp: BUNDLED,
    },
    Graph {
        variant: Variant::Uki,
        name: "graph of a UKI, the key in a PKCS#11 token",
        wanted: &[
            "\"initoverlayfs-disk.do_uki\" -> \"mini-initramfs.do_image_complete\"",
            "\"initoverlayfs-image.do_image_signed_ddi\" -> \"pkcs11-provider-native.do_populate_sysroot\"",
        ],
        on_the_esp: &["uki.efi;EFI/BOOT/bootaa64.efi"],
    },
    Graph {
        variant: Variant::Musl,
        name: "graph with INITRAMFS_MULTICONFIG",
        wanted: &["mc:initoverlayfs-musl:storage-init.do_compile"],
        on_the_esp: BUNDLED,
    },
];

/// Resolves all graphs on all series.
///
/// # Errors
/// BitBake cannot be run.
pub fn check(bench: &Bench) -> Result<Tally> {
    let mut tally = Tally::default();
    for clones in &bench.clones {
        for graph in GRAPHS {
            let result = resolve(bench, clones, &graph);
            tally.add(outcome(&format!("{} on {}", graph.name, clones.series.name), &result));
        }
    }
    Ok(tally)
}

fn resolve(bench: &Bench, clones: &Clones, Graph { variant, name, wanted, on_the_esp }: &Graph) -> Result<()> {
    let build = build(bench, clones, *variant)?;
    let arguments: Vec<&str> = ["-g"].into_iter().chain(TARGETS).collect();
    build.run(name, "bitbake", &arguments)?.expect_success()?;
    let path = build.folder.join("task-depends.dot");
    let graph = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for edge in *wanted {
        ensure!(graph.contains(edge), "{} lacks {edge}", path.display());
    }

    let arguments = ["--recipe", "initoverlayfs-disk", "--value", "IMAGE_BOOT_FILES"];
    let ran = build.run("IMAGE_BOOT_FILES", "bitbake-getvar", &arguments)?.expect_success()?;
    let value = ran.text.lines().last().unwrap_or_default();
    let files: Vec<&str> = value.split_whitespace().map(without_folder).collect();
    let found = files.get(..on_the_esp.len());
    ensure!(
        found == Some(on_the_esp),
        "IMAGE_BOOT_FILES of initoverlayfs-disk begins otherwise than {on_the_esp:?}: {value}"
    );
    ensure!(files.len() == on_the_esp.len() + 1, "IMAGE_BOOT_FILES has other files than kernel and image: {value}");
    Ok(())
}

/// `FOLDER/FILE;NAME` without the folder: another build's is before the name of a mini-initramfs beside the kernel.
fn without_folder(file: &str) -> &str {
    let end = file.find(';').unwrap_or(file.len());
    let start = file.get(..end).and_then(|path| path.rfind('/')).map_or(0, |slash| slash + 1);
    file.get(start..).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compared_by_their_names_there_and_on_the_esp() {
        assert_eq!(without_folder("Image"), "Image");
        assert_eq!(without_folder("/w/deploy/mini.cpio;mini.cpio"), "mini.cpio;mini.cpio");
        assert_eq!(without_folder("uki.efi;EFI/BOOT/bootaa64.efi"), "uki.efi;EFI/BOOT/bootaa64.efi");
    }
}
