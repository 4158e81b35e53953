// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's arm64 user space, as the trees that the DDI and the real root are built from.
//!
//! * Packages are unpacked, nothing of them is run: what maintainer scripts would have made (users, links) comes from
//!   `tests/boot/userspace/`, as do the units that mount the real root and report the boot.
//! * What apt unpacked is cached for each list of packages; the trees are put together anew each time, from the cache and
//!   the checkout alone, so that the same inputs give the same bytes.
//! * Nothing of the host gets in: no resolv.conf, no host name, no user id, no time.

mod tree;

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::cache::{Cache, Key};
use crate::debian::{Mirror, NEXT, SUITES};
use crate::plan::Cost;
use crate::{progress, repository};

pub use tree::Tree;

/// Raise when the same packages are to be unpacked anew.
const RECIPE: u32 = 1;
/// Every file's time, in seconds since 1970: 2026-01-01. systemd's clock does not start before its own build, and with /usr as
/// old as /etc/.updated no unit takes the image for a freshly updated one.
pub const FILE_TIME: u64 = 1_767_225_600;

/// The DDI's packages. It is the initrd that mounts the real root, so the tools of complex storage are in it.
const DDI_PACKAGES: [&str; 11] = [
    "systemd",
    "systemd-sysv",
    "udev",
    "dmsetup",
    "kmod",
    "coreutils",
    "e2fsprogs",
    "systemd-cryptsetup",
    "cryptsetup-bin",
    "lvm2",
    "mdadm",
];
/// The real root's packages: what it takes to reach multi-user.target with D-Bus and logind, and systemd's
/// own opinion of a DDI (systemd-dissect).
const ROOT_PACKAGES: [&str; 13] = [
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "dash",
    "coreutils",
    "util-linux",
    "mount",
    "kmod",
    "e2fsprogs",
    "dmsetup",
    "base-files",
    "systemd-container",
];
/// The small test DDI's packages: libdevmapper's own view of the verity device.
const PROBE_PACKAGES: [&str; 1] = ["dmsetup"];

/// What a small test DDI has besides where it works with encrypted volumes: systemd's and cryptsetup's own programs.
const VOLUME_PACKAGES: [&str; 4] = ["dmsetup", "coreutils", "cryptsetup-bin", "systemd-cryptsetup"];

/// What systemd speaks with a TPM by.
const TPM_PACKAGES: [&str; 4] =
    ["libtss2-esys-3.0.2-0t64", "libtss2-mu-4.0.1-0t64", "libtss2-rc0t64", "libtss2-tcti-device0t64"];

/// The unit that latches the register once that is done, as the recipe installs it; and where.
const LATCH_UNIT: &str = "recipes-core/initoverlayfs-tpm/files/initoverlayfs-latch.service";
const UNITS: &str = "usr/lib/systemd/system";

/// What no image needs, or what mmdebstrap took from the host.
const REMOVED: [&str; 17] = [
    "etc/apt",
    "etc/fstab",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/lib/aarch64-linux-gnu/gconv",
    "usr/lib/udev/hwdb.d",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
    "usr/share/zsh",
    "var/lib/apt",
    "var/lib/dpkg",
];
/// Folders that packages leave things of the build in.
const EMPTIED: [&str; 4] = ["dev", "tmp", "var/cache", "var/log"];

/// A file whose blocks nothing reads before the DDI's init runs: `--tamper data-late` flips a bit of it.
pub const LATE_FILE: &str = "usr/lib/initoverlayfs/late";
/// By this file systemd and storage-init know that the tree is an initrd: its init goes on to another root.
pub const INITRD_RELEASE: &str = "etc/initrd-release";
/// What the probe, a small DDI's init, is told to do.
pub const ACTIONS_FILE: &str = "probe/actions";
/// Size of the late file in bytes: several blocks of the verity tree and of the file system.
const LATE_SIZE: usize = 65536;

/// What the first run costs, measured with the packages above.
const COST: Cost = Cost { what: "user space", disk_mib: 280, download_mib: 85, seconds: 15 };

/// As [`COST`], for [`Release::Next`].
const COST_NEXT: Cost = Cost { what: "user space of the next Debian", disk_mib: 125, download_mib: 35, seconds: 9 };

/// The Debian of the real root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The one of everything else.
    Stable,
    /// The one after it, with its newer systemd.
    Next,
}

impl Release {
    const fn suites(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Stable => ("debian-root", &SUITES),
            Self::Next => ("debian-root-next", &NEXT),
        }
    }
}

/// What the os-release inside a DDI says it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `IMAGE_ID`.
    pub image_id: String,
    /// `IMAGE_VERSION`.
    pub version: String,
    /// `INITOVERLAYFS_EPOCH`.
    pub epoch: u64,
}

impl Identity {
    fn os_release(&self) -> String {
        let Self { image_id, version, epoch } = self;
        format!(
            "ID=initoverlayfs\nNAME=initoverlayfs\nPRETTY_NAME=\"initoverlayfs {version}\"\nIMAGE_ID={image_id}\n\
             IMAGE_VERSION={version}\nINITOVERLAYFS_EPOCH={epoch}\n"
        )
    }

    /// Puts this identity into a tree.
    pub fn put_into(&self, tree: &mut Tree) {
        tree.file("usr/lib/os-release", 0o644, self.os_release().into_bytes());
        tree.link("etc/os-release", "../usr/lib/os-release");
    }
}

/// What a first run costs; nothing once the packages are in the cache.
pub fn cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any("debian-ddi") || !cache.has_any("debian-root")).then_some(COST)
}

/// What the first run of the boot tests costs on top.
pub fn test_cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any(Release::Next.suites().0)).then_some(COST_NEXT)
}

/// The DDI's tree: systemd as an initrd, which goes on to the real root.
///
/// # Errors
/// The packages cannot be had, or the checkout's files cannot be read.
pub fn ddi(cache: &Cache, identity: &Identity) -> Result<Tree> {
    ddi_of(debian_tree(cache, "debian-ddi", &SUITES, &DDI_PACKAGES)?, identity)
}

/// Makes a tree an initrd, by [`INITRD_RELEASE`].
pub fn make_initrd(tree: &mut Tree) {
    tree.link(INITRD_RELEASE, "../usr/lib/os-release");
}

fn ddi_of(mut tree: Tree, identity: &Identity) -> Result<Tree> {
    overlay(&mut tree, &["base", "ddi"])?;
    identity.put_into(&mut tree);
    make_initrd(&mut tree);
    tree.folder("sysroot", 0o755);
    tree.file(LATE_FILE, 0o644, late_contents());
    Ok(tree)
}

/// As [`ddi`], for a real root that lies on a volume which is open already.
///
/// # Errors
/// As [`ddi`].
pub fn ddi_for_volume(cache: &Cache, identity: &Identity) -> Result<Tree> {
    let mut tree = ddi(cache, identity)?;
    overlay(&mut tree, &["ddi-volume"])?;
    Ok(tree)
}

/// As [`ddi_for_volume`], for a volume that the DDI's own systemd is to open by the TPM, and to latch the register after it: by
/// `initoverlayfs-tpm`, which is `program`.
///
/// # Errors
/// As [`ddi`], or `program` cannot be read.
pub fn ddi_that_opens_volume(cache: &Cache, identity: &Identity, program: &Path) -> Result<Tree> {
    let packages = [&DDI_PACKAGES[..], &TPM_PACKAGES].concat();
    let mut tree = ddi_of(debian_tree(cache, "debian-ddi-tpm", &SUITES, &packages)?, identity)?;
    overlay(&mut tree, &["ddi-volume", "ddi-crypttab"])?;
    // It wants a user that a maintainer's script would have made.
    tree.remove("usr/lib/udev/rules.d/60-tpm-udev.rules");
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    tree.file("usr/bin/initoverlayfs-tpm", 0o755, read(program)?);
    let unit = Path::new(LATCH_UNIT);
    let name = unit.file_name().unwrap_or_default().to_string_lossy();
    tree.file(&format!("{UNITS}/{name}"), 0o644, read(&repository::root().join(unit))?);
    for dependent in ["initrd.target.wants", "initrd-switch-root.target.requires"] {
        tree.link(&format!("{UNITS}/{dependent}/{name}"), &format!("../{name}"));
    }
    Ok(tree)
}

/// The real root's tree.
///
/// # Errors
/// As [`ddi`].
pub fn root(cache: &Cache, release: Release) -> Result<Tree> {
    let (kind, suites) = release.suites();
    let mut tree = debian_tree(cache, kind, suites, &ROOT_PACKAGES)?;
    overlay(&mut tree, &["base", "root"])?;
    Ok(tree)
}

/// A small test DDI's tree, still without an identity: `probe` is its init.
///
/// # Errors
/// As [`ddi`], or `probe` cannot be read.
pub fn small_ddi(cache: &Cache, probe: &Path) -> Result<Tree> {
    probe_tree(debian_tree(cache, "debian-probe", &SUITES, &PROBE_PACKAGES)?, probe)
}

/// As [`small_ddi`], with what enrols and opens LUKS2 volumes.
///
/// # Errors
/// As [`small_ddi`].
pub fn small_ddi_with_volumes(cache: &Cache, probe: &Path) -> Result<Tree> {
    let packages = [&VOLUME_PACKAGES[..], &TPM_PACKAGES].concat();
    probe_tree(debian_tree(cache, "debian-volumes", &SUITES, &packages)?, probe)
}

fn probe_tree(mut tree: Tree, probe: &Path) -> Result<Tree> {
    tree.remove("usr/share");
    let init = std::fs::read(probe).with_context(|| format!("cannot read {}", probe.display()))?;
    tree.file("usr/sbin/init", 0o755, init);
    tree.file(LATE_FILE, 0o644, late_contents());
    Ok(tree)
}

/// The contents of [`LATE_FILE`]: noise that no compressor shrinks, so that they are found in the image byte by byte.
pub fn late_contents() -> Vec<u8> {
    (0u64..)
        .flat_map(|count| {
            Sha256::new().chain_update(b"initoverlayfs late").chain_update(count.to_le_bytes()).finalize()
        })
        .take(LATE_SIZE)
        .collect()
}

fn overlay(tree: &mut Tree, folders: &[&str]) -> Result<()> {
    folders.iter().try_for_each(|folder| tree.overlay(&repository::root().join("tests/boot/userspace").join(folder)))
}

/// The packages' files with the links and mount points that every tree needs, and without what none does.
fn debian_tree(cache: &Cache, kind: &str, suites: &[&str], packages: &[&str]) -> Result<Tree> {
    let key =
        Key::new(RECIPE).bytes("suites", suites.join(" ").as_bytes()).bytes("packages", packages.join(" ").as_bytes());
    let entry = cache.entry(kind, &key, |folder| download(cache, kind, suites, packages, &folder.join("tree.tar")))?;
    let mut tree = Tree::read_tar(&entry.join("tree.tar"))?;
    for path in REMOVED {
        tree.remove(path);
    }
    for path in EMPTIED {
        tree.empty(path);
    }
    for folder in ["bin", "sbin", "lib"] {
        tree.link(folder, &format!("usr/{folder}"));
    }
    for folder in ["dev", "mnt", "proc", "run", "sys", "var/log"] {
        tree.folder(folder, 0o755);
    }
    tree.folder("root", 0o700);
    tree.folder("tmp", 0o1777);
    Ok(tree)
}

fn download(cache: &Cache, kind: &str, suites: &[&str], packages: &[&str], output: &Path) -> Result<()> {
    let log = cache.log(kind)?;
    let file = std::fs::File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let child = Mirror::of_host()?
        .tar_command(suites, &["arm64"], packages)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(progress::append(&log)?)
        .spawn()
        .context("cannot run mmdebstrap")?;
    progress::wait(progress::Step::start(&format!("{kind}: arm64 packages of Debian"), 0), &log, child)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn late_contents_are_noise_of_whole_blocks() {
        let contents = late_contents();
        assert_eq!(contents.len() % 4096, 0);
        let mut counts = [0usize; 256];
        for byte in &contents {
            counts[usize::from(*byte)] += 1;
        }
        assert!(counts.iter().all(|&count| (150..400).contains(&count)), "{counts:?}");
    }

    #[test]
    fn os_release_carries_the_identity() {
        let identity = Identity { image_id: "demo".into(), version: "1.2".into(), epoch: 3 };
        let text = identity.os_release();
        for line in ["IMAGE_ID=demo", "IMAGE_VERSION=1.2", "INITOVERLAYFS_EPOCH=3"] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}
