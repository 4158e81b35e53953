// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a boot may cost: held on every `make test`, in two minutes.
//!
//! The limits are what is kept today, so that no change makes it worse unseen; the goals that they are on the way to are
//! in docs/performance.md.

use anyhow::{Result, ensure};
use boot_record::config::Source;

use super::machine::measure;
use super::stages;
use super::trials::{CLUSTER, Init, Way, Workshop};
use crate::cache::Cache;
use crate::qemu::{BootBinary, Parts};

/// Most that a boot from a file on the ESP, with a writable layer, may take until init is executed, in terms of dm-init.
const RATIO: f64 = 1.10;
/// How much longer, or shorter, a boot from a partition may take with a large padded image than with the smallest.
const FLAT: f64 = 0.01;
/// Most bytes of each boot binary.
const BINARIES: [(BootBinary, u64); 3] =
    [(BootBinary::Least, 220_000), (BootBinary::Tpm, 400_000), (BootBinary::Everything, 500_000)];
/// Most bytes of the mini-initramfs beyond the binary: configuration, certificate, headers.
const BESIDE_BINARY: u64 = 8 * 1024;
/// Milliseconds from which on an initcall is slow.
const SLOW_MS: f64 = 1.0;
/// The slow initcalls there may be: memory management, the devicetree's devices, parameters, character devices, PCI, the
/// certificate, the disk and its partition table, the devicetree in sysfs.
const SLOW_INITCALLS: [&str; 8] = [
    "slab_late_init",
    "of_platform_default_populate_init",
    "param_sysfs_builtin_init",
    "chr_dev_init",
    "gen_pci_driver_init",
    "load_system_certificate_list",
    "virtio_blk_init",
    "of_fdt_raw_init",
];

/// Measures what the limits are for.
///
/// # Errors
/// A limit that is not kept, with both numbers; or something cannot be built or booted.
pub fn check(cache: &Cache) -> Result<()> {
    let parts = Parts::make(cache)?;
    let folder = cache.run_dir("bench")?;
    let workshop = Workshop::open(cache, &parts, folder.path())?;
    let image = workshop.image(&workshop.tree()?, "tree")?;
    let way = Way { source: Source::EspFile, overlay: true, cluster: CLUSTER, init: Init::Mark };

    let ours = measure(&parts, folder.path(), &workshop.ours(super::OURS, &image, way)?)?;
    for (binary, most) in BINARIES {
        let program = parts.boot_binary(cache, binary)?;
        let name = program.file_name().unwrap_or_default().display();
        let bytes = program.metadata()?.len();
        println!("{name} {bytes} bytes");
        ensure!(bytes <= most, "{name} has {bytes} bytes, the limit is {most}");
    }
    let most = parts.boot_binary(cache, BootBinary::Least)?.metadata()?.len() + BESIDE_BINARY;
    println!("mini-initramfs {} bytes", ours.initramfs_bytes);
    ensure!(ours.initramfs_bytes <= most, "the mini-initramfs has {} bytes, the limit is {most}", ours.initramfs_bytes);

    let peer = measure(&parts, folder.path(), &workshop.dm_init(&image)?)?;
    let ratio = ours.virtual_ms / peer.virtual_ms;
    println!("{} {:.2} ms, {} {:.2} ms: {ratio:.3}", ours.name, ours.virtual_ms, peer.name, peer.virtual_ms);
    ensure!(ratio <= RATIO, "{} takes {ratio:.3} times as long as {}, the limit is {RATIO}", ours.name, peer.name);

    // Not the largest: an image of a gigabyte takes minutes to make. `cargo xtask bench` has it.
    let [small, large, ..] = super::PADDED;
    let way = Way { source: Source::Partition, overlay: false, ..way };
    let [small, large] = [small, large].map(|size| -> Result<f64> {
        let image = workshop.image(&workshop.padded_tree(size)?, "padded")?;
        let name = format!("partition, {} MiB", size >> 20);
        Ok(measure(&parts, folder.path(), &workshop.ours(&name, &image, way)?)?.virtual_ms)
    });
    let (small, large) = (small?, large?);
    println!("partition, small and large image: {small:.2} and {large:.2} ms");
    ensure!((large / small - 1.0).abs() <= FLAT, "a large image takes {large:.2} ms, a small one {small:.2} ms");

    for initcall in stages::initcalls(&parts, folder.path(), &workshop.empty(&image)?)? {
        let known = SLOW_INITCALLS.contains(&initcall.name.as_str());
        ensure!(
            known || initcall.ms < SLOW_MS,
            "the initcall {} takes {:.1} ms: a new one",
            initcall.name,
            initcall.ms
        );
    }
    Ok(())
}
