// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host that BitBake sees: a root of Debian packages of its own, which `make qemu` and `make test` do not need.
//!
//! It has what openembedded-core wants of a build host, and what stands in for the cross toolchain (tests/yocto).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cache::{Cache, Key};
use crate::debian;
use crate::plan::Cost;
use crate::tools::{self, GROUND, Tools};

const KIND: &str = "yocto-host";
/// Raise it when the code below makes another root of the same packages.
const RECIPE: u32 = 2;
const COST: Cost = Cost { what: "a build host for BitBake", disk_mib: 1500, download_mib: 350, seconds: 60 };

const PACKAGES: &[&str] = &[
    // What of the ground Debian's own packages take for granted.
    "base-passwd",
    "libc-bin",
    "login",
    "util-linux",
    // HOSTTOOLS of openembedded-core's bitbake.conf.
    "binutils",
    "bzip2",
    "chrpath",
    "cpio",
    "diffstat",
    "file",
    "g++",
    "gawk",
    "gcc",
    "git",
    "libc6-dev",
    "lz4",
    "make",
    "patch",
    "perl",
    "python3",
    "rpcsvc-proto",
    "wget",
    "xz-utils",
    "zstd",
    // In place of the toolchain and of native recipes: HOSTTOOLS in tests/yocto/conf/distro/standin.conf.
    "apt",
    "apt-utils",
    "bmap-tools",
    "cargo",
    "dpkg",
    "dpkg-dev",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "fdisk",
    "gcc-aarch64-linux-gnu",
    "gpg",
    "kmod",
    "libc6-dev-arm64-cross",
    "mtools",
    "openssl",
    "parted",
    "rust-src",
    "rustc",
    // A stand-in for a hardware security module, and openssl's way to it.
    "pkcs11-provider",
    "softhsm2",
];

/// What the first run costs.
pub fn cost(cache: &Cache) -> Option<Cost> {
    cache.find(KIND, &key()).is_none().then_some(COST)
}

/// The root out of the cache, built first if it is not there.
///
/// # Errors
/// Packages cannot be had, or the host allows no way to run programs of the root.
pub fn ensure(cache: &Cache) -> Result<Tools> {
    let root = cache.entry(KIND, &key(), |root| {
        tools::unpack(cache, KIND, &[GROUND, PACKAGES].concat(), root)?;
        finish(root).with_context(|| format!("cannot finish {}", root.display()))
    })?;
    Tools::in_root(cache, root)
}

fn key() -> Key {
    Key::new(RECIPE)
        .bytes("packages", [GROUND, PACKAGES].concat().join(" ").as_bytes())
        .bytes("suites", debian::SUITES.join(" ").as_bytes())
}

/// A locale of the name that BitBake insists on (it wants UTF-8 of it and nothing else), and what packages' scripts make.
fn finish(root: &Path) -> Result<()> {
    let locales = root.join("usr/lib/locale");
    fs::metadata(locales.join("C.utf8"))?;
    symlink("C.utf8", locales.join("en_US.utf8"))?;
    for name in ["passwd", "group"] {
        let master = root.join("usr/share/base-passwd").join(format!("{name}.master"));
        fs::copy(&master, root.join("etc").join(name)).with_context(|| format!("cannot copy {}", master.display()))?;
    }
    Ok(symlink("which.debianutils", root.join("usr/bin/which"))?)
}
