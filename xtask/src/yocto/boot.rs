// SPDX-License-Identifier: MIT OR Apache-2.0
//! What BitBake built is booted in QEMU: from the ESP, to the DDI's systemd and on to the real root.
//!
//! Once with Debian's kernel, whose modules are in the mini-initramfs and whose signatures user space checks; once with the
//! kernel of `make qemu`, which has the layer's fragments and the certificate, and checks signatures itself. That boot has a TPM, which
//! the image is measured into, and a volume in its configuration that no disk has: it is left to the system.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use boot_record::config::{SignaturePath, Source};
use boot_record::reason::Reason;
use serde_json::Value;

use super::clones::Clones;
use super::standin::{FIRST, Images, Standin, VERSION};
use super::{Bench, outcome};
use crate::boot_report::{self, Booted, Expected, Target};
use crate::disk::{Candidate, DdiProgram, Disk, write_root};
use crate::kernel;
use crate::qemu::storage::Storage;
use crate::qemu::tpm::{Attached, Chip};
use crate::qemu::{Answer, Boot, IMAGE_ID, Meter, SERIAL, Start};
use crate::suite::Tally;
use crate::userspace::{self, Release};

/// A boot to multi-user.target takes 10 s on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// Size of the real root.
const ROOT_SIZE: u64 = 256 << 20;
/// A volume that is nowhere.
const VOLUME: &str = "data";
/// The build folder for the kernel that checks signatures.
const KERNEL_CHECK: &str = "standin-kernel-check";

/// Boots both.
///
/// # Errors
/// A build fails: what does not boot is a failed test.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let result = (|| {
        let images = Standin::open(bench, clones, FIRST)?.images()?;
        let folder = bench.cache.run_dir("yocto-user-space")?;
        let record = boot(bench, &images, SignaturePath::UserSpace, None, folder.path())?.record;
        ensure!(record.measured.is_none() && record.refused.is_empty(), "boot.json: {record:?}");
        Ok(())
    })();
    let mut tally = outcome("boot by modules, signature checked in user space", &result);
    let result = (|| {
        let images = with_kernel_check(bench, clones)?;
        let folder = bench.cache.run_dir("yocto-kernel")?;
        let chip = Chip::make(&bench.tools, folder.path(), "tpm")?;
        let tpm = Attached { chip: &chip, rules: &[] };
        let record = boot(bench, &images, SignaturePath::Kernel, Some(tpm), folder.path())?.record;
        ensure!(record.measured.is_some(), "nothing was measured: {record:?}");
        let refused: Vec<_> = record.refused.iter().map(|refusal| (refusal.reason, refusal.device.as_str())).collect();
        ensure!(refused == [(Reason::UnlockFailed, VOLUME)], "boot.json: {record:?}");
        Ok(())
    })();
    tally.add(outcome("boot by the layer's kernel fragments, signature checked by the kernel, measured", &result));
    Ok(tally)
}

/// A build whose kernel has everything built in: no modules, so a configuration of our own.
fn with_kernel_check(bench: &Bench, clones: &Clones) -> Result<Images> {
    let kernel = kernel::ensure_measured(&bench.cache, &bench.tools, &bench.keys.certificate_pem)?;
    let root = bench.work.join("kernel");
    let modules = root.join("usr/lib/modules").join(&kernel.release);
    fs::create_dir_all(&modules).with_context(|| format!("cannot make {}", modules.display()))?;
    fs::create_dir_all(root.join("boot"))?;
    fs::copy(&kernel.image, root.join("boot").join(format!("vmlinuz-{}", kernel.release)))?;
    for name in ["modules.order", "modules.dep", "modules.builtin", "modules.builtin.modinfo"] {
        fs::write(modules.join(name), "")?;
    }
    let config = root.join("initoverlayfs.conf");
    fs::write(&config, configuration())?;
    // What does not depend on the kernel is not built twice.
    let shared = bench.work.join(FIRST).join("sstate-cache");
    fs::create_dir_all(&shared).with_context(|| format!("cannot make {}", shared.display()))?;
    let settings = format!("INITOVERLAYFS_CONFIG = \"{}\"\nSSTATE_DIR = \"{}\"\n", config.display(), shared.display());
    let mut standin = Standin::with_kernel(bench, clones, KERNEL_CHECK, &root, &kernel.release, &settings)?;
    standin.build.paths.push(shared);
    standin.images()
}

fn configuration() -> String {
    format!(
        "image-id = {IMAGE_ID}\nsources = esp-file\ndevice = {}\ndevice-deadline = 2s\nsignature = kernel\n\
         certificate = certificate-0.der\ncmdline-allow = console panic\nmeasure = require\n\
         unlock = {VOLUME} c97f2d04-6f44-4a0e-9d7f-0a6d2c0f1b11\nunlock-failure = ignore\n",
        Storage::Virtio.pattern()
    )
}

/// Puts the DDI on an ESP beside a real root, and boots it.
fn boot(
    bench: &Bench,
    images: &Images,
    signature: SignaturePath,
    tpm: Option<Attached<'_>>,
    folder: &Path,
) -> Result<Booted> {
    let root = folder.join("root.ext4");
    write_root(&bench.tools, &userspace::root(&bench.cache, Release::Stable)?, &root, ROOT_SIZE)?;
    let candidate = Candidate { name: format!("{IMAGE_ID}_{VERSION}"), image: images.ddi.clone() };
    let disk = Disk { esp: Some(vec![candidate]), root: Some(root), ..Disk::default() };
    let storage = Storage::Virtio;
    let image = folder.join("disk.img");
    disk.write(&bench.tools, &image, storage.medium())?;
    let device = format!("/dev/{}", storage.partition(disk.root_number()));
    start(bench, images, &image, device, signature, tpm, folder)
}

/// Boots a disk that has the DDI on its ESP, and holds the report against what was built.
///
/// # Errors
/// The boot ends elsewhere than on the real root `device`, or otherwise than by the image that was built.
pub fn start(
    bench: &Bench,
    images: &Images,
    disk: &Path,
    device: String,
    signature: SignaturePath,
    tpm: Option<Attached<'_>>,
    folder: &Path,
) -> Result<Booted> {
    let expected = Expected {
        root_hash: root_hash(bench, &images.ddi)?,
        version: VERSION.to_owned(),
        source: Source::EspFile,
        signature,
        overlay: false,
        volume: None,
        target: Target::RealRoot { device },
    };
    let boot = Boot {
        start: Start::Kernel {
            image: &images.kernel,
            initramfs: Some(&images.initramfs),
            console: SERIAL,
            command_line: "",
        },
        tpm,
        devices: &[],
        storage: Storage::Virtio,
        disks: &[disk],
        late_disk: None,
        memory: None,
        answer: Answer::PowerOff,
        meter: Meter::Off,
        deadline: DEADLINE,
        until: None,
        on_line: &|_| {},
    };
    let outcome = boot.run(&bench.tools, folder)?;
    match boot_report::check(&outcome, &expected) {
        Ok(booted) => {
            println!("  {booted}");
            Ok(booted)
        }
        Err(failure) => bail!("{failure}\n{}", outcome.console.join("\n")),
    }
}

/// What `ddi inspect` of this checkout reads in the image.
fn root_hash(bench: &Bench, image: &Path) -> Result<String> {
    let facts = DdiProgram::build()?.inspect(&bench.tools, image)?;
    let hash = facts.get("root_hash").and_then(Value::as_str).context("ddi inspect --json named no root_hash")?;
    Ok(hash.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_configuration_is_one_that_storage_init_takes() {
        let parsed = boot_record::config::parse(configuration().as_bytes()).map(|parsed| parsed.image_id.to_string());
        assert_eq!(parsed.unwrap(), IMAGE_ID);
    }
}
