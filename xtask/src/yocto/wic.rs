// SPDX-License-Identifier: MIT OR Apache-2.0
//! `initoverlayfs-disk`: wic writes it, bmaptool copies it as to a card, and the copy boots from its own ESP to its own root.
//!
//! wic has a repository of its own since April 2026, which is not among the clones. Here runs the last one that was in
//! openembedded-core, out of the clone's history.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use boot_record::config::SignaturePath;

use super::boot::start;
use super::clones::Clones;
use super::standin::{FIRST, Standin, deployed};
use super::{Bench, outcome};
use crate::call;
use crate::disk::ROOT_LABEL;
use crate::qemu::storage::Storage;
use crate::suite::Tally;
use crate::userspace::{self, FILE_TIME, Release};

/// openembedded-core before the commit "wic: remove to standalone repository".
const WITH_WIC: &str = "b9e2a2f584376076c4552bef7309c81b9fe986c0^";
/// The program there, and what it is made of.
const PROGRAM: [&str; 3] = ["scripts/wic", "scripts/lib/wic", "scripts/lib/scriptpath.py"];
const TARGET: &str = "initoverlayfs-disk";
const FILE: &str = "initoverlayfs-disk-qemuarm64.rootfs.wic";
/// The root partition's number in files/wic/initoverlayfs-disk.wks.in.
const ROOT: usize = 3;

/// Builds and boots it.
///
/// # Errors
/// A file of the build cannot be made.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let wic = bench.work.join("wic.tar");
    if !in_history(&clones.core, &wic)? {
        println!("not run: wic: {} has no history before {WITH_WIC}", clones.core.display());
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    Ok(outcome("disk of wic boots", &boots(bench, clones, wic)))
}

/// Writes the program into `tar`, if the clone has it.
fn in_history(core: &Path, tar: &Path) -> Result<bool> {
    let git = || {
        let mut git = Command::new("git");
        git.arg("-C").arg(core);
        git
    };
    let known = git().args(["cat-file", "-e", WITH_WIC]).output().context("cannot run git")?;
    if !known.status.success() {
        return Ok(false);
    }
    let mut archive = git();
    archive.args(["archive", "--format=tar", "--output"]).arg(tar).arg(WITH_WIC).args(PROGRAM);
    call::run("git archive", &mut archive)?;
    Ok(true)
}

fn boots(bench: &Bench, clones: &Clones, wic: PathBuf) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    let images = standin.images()?;
    let root = bench.work.join("root.tar");
    userspace::root(&bench.cache, Release::Stable)?.write_tar(&root, FILE_TIME)?;
    let settings = format!("STANDIN_ROOT = \"{}\"\nSTANDIN_WIC = \"{}\"\n", root.display(), wic.display());
    standin.build.settings.push_str(&settings);
    standin.build.paths.extend([root, wic]);
    standin.build.configure()?;
    standin.make(TARGET, &[TARGET])?;

    let folder = bench.cache.run_dir("yocto-wic")?;
    let disk = folder.path().join("disk.img");
    copy(bench, &deployed(&standin.build, FILE)?, &deployed(&standin.build, &format!("{FILE}.bmap"))?, &disk)?;
    relabel(bench, &disk)?;
    let device = format!("/dev/{}", Storage::Virtio.partition(ROOT));
    start(bench, &images, &disk, device, SignaturePath::UserSpace, None, folder.path()).map(drop)
}

/// As people write a card: what bmaptool copies it has compared with the map's checksums.
fn copy(bench: &Bench, image: &Path, map: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a disk without a folder")?;
    let mut bmaptool = bench.host.command_in(folder, "bmaptool", &[image, map])?;
    bmaptool.args(["copy", "--bmap"]).arg(map).arg(image).arg(to);
    call::run("bmaptool", &mut bmaptool)?;
    let (size, copied) = (fs::metadata(image)?.len(), fs::metadata(to)?.len());
    ensure!(size == copied, "{} has {size} bytes, its copy {copied}", image.display());
    println!("  {}: {size} bytes", image.display());
    Ok(())
}

/// The image of the stand-in is that of the boot tests, which knows the real root by another name than `root`.
fn relabel(bench: &Bench, disk: &Path) -> Result<()> {
    let mut sfdisk = bench.tools.command("sfdisk", &[disk])?;
    sfdisk.args(["--quiet", "--part-label"]).arg(disk).args([&ROOT.to_string(), ROOT_LABEL]);
    call::run("sfdisk", &mut sfdisk)
}
