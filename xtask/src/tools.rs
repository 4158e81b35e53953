// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools root: programs newer than the host's, from Debian packages, unpacked into the cache.
//!
//! Nothing of it is installed on the host and no package's scripts are run; the few links that they would have made are
//! made here. It is the same on Debian 12 and 13. It is as new as the mirror was on the day it was built: `make
//! uninstall` and another run bring it up to date.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache::{Cache, Key};
use crate::call;
use crate::debian::{self, Mirror};
use crate::plan::Cost;
use crate::sandbox::{NETWORK_FILES, Request, Sandbox};

const KIND: &str = "tools";
/// Raise it when the code below makes another root of the same packages.
const RECIPE: u32 = 1;
/// Measured with the packages below.
const COST: Cost = Cost { what: "tools", disk_mib: 2210, download_mib: 530, seconds: 70 };

/// The ground of any root: programs that scripts and makefiles take for granted, and the links bin, lib, sbin, lib64.
pub(crate) const GROUND: &[&str] = &[
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "mawk",
    "sed",
    "tar",
];

/// The other packages, by what needs them.
const PACKAGES: &[&str] = &[
    // Running: the machine and its TPM.
    "qemu-system-arm",
    "swtpm",
    "swtpm-tools",
    "tpm2-tools",
    // UEFI: the firmware and its variables, the stub of a unified kernel image, what signs it.
    "qemu-efi-aarch64",
    "python3-virt-firmware",
    "systemd-boot-efi:arm64",
    "systemd-ukify",
    "sbsigntool",
    // The kernel.
    "linux-source-6.12",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "gcc",
    "libc6-dev",
    "make",
    "flex",
    "bison",
    "bc",
    "libssl-dev",
    "libelf-dev",
    "perl",
    "python3",
    "kmod",
    "rsync",
    "patch",
    // The fuzz targets: libFuzzer is C++; the address sanitizer's runtime comes with gcc.
    "g++",
    // The boot binary: one version of compiler and library source, and musl for the target.
    "rustc",
    "rust-src",
    "cargo",
    "musl-dev:arm64",
    // Images: the initramfs, the DDI, the ESP, the real root (mke2fs loads libarchive to read a tar).
    "cpio",
    "erofs-utils",
    "fdisk",
    "mtools",
    "dosfstools",
    "e2fsprogs",
    "libarchive13t64",
    "systemd-repart",
    "xz-utils",
    "zstd",
    "lz4",
    // Keys, and independent readers of what we build.
    "openssl",
    "cryptsetup-bin",
    // A stand-in for a hardware security module, and openssl's way to it.
    "softhsm2",
    "pkcs11-provider",
    // The machine's devicetree with a node of our own.
    "device-tree-compiler",
    // The layer's parser.
    "python3-pip",
];

/// Links that package scripts (update-alternatives) would have made.
const ALTERNATIVES: [(&str, &str); 2] = [("awk", "mawk"), ("cc", "gcc")];

/// The linker of static musl programs: Debian's cross gcc with musl's start files and C library in place of glibc's.
/// libgcc's unwinder is left out: it wants glibc, and a program that aborts on panic has no use for one.
const MUSL_LINKER: &str = "\
#!/bin/sh
musl=/usr/lib/aarch64-linux-musl
exec aarch64-linux-gnu-gcc -nostdlib -static $musl/crt1.o $musl/crti.o \"$@\" \\
    -L$musl -Wl,--start-group -lc -lgcc -Wl,--end-group $musl/crtn.o
";
/// An archive without members: Rust's std asks for libunwind by name, whether or not anything is taken from it.
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

/// The tools root, ready to run programs of.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
    sandbox: Sandbox,
}

impl Tools {
    /// What a first run costs; nothing once the root is in the cache.
    pub fn cost(cache: &Cache) -> Option<Cost> {
        cache.find(KIND, &key()).is_none().then_some(COST)
    }

    /// The tools root out of the cache, built first if it is not there.
    ///
    /// # Errors
    /// The host is no amd64 Debian, packages cannot be had, or the host allows no way to run programs of the root.
    pub fn ensure(cache: &Cache) -> Result<Self> {
        Self::in_root(cache, cache.entry(KIND, &key(), |root| build(cache, root))?)
    }

    /// Another root of the cache, made by [`unpack`].
    ///
    /// # Errors
    /// The host allows no way to run programs of it.
    pub(crate) fn in_root(cache: &Cache, root: PathBuf) -> Result<Self> {
        let sandbox = Sandbox::open(root.clone(), cache.root().to_owned())?;
        Ok(Self { root, sandbox })
    }

    /// A command that runs `program` in the tools root, without network. It sees `paths` (files or folders) under the
    /// names they have on the host: those in the cache can be written, others only read. It works in `/`: name files by
    /// absolute paths, or use [`Tools::command_in`]. It is killed when the thread that started it ends.
    ///
    /// # Errors
    /// One of the paths does not exist.
    pub fn command(&self, program: &str, paths: &[&Path]) -> Result<Command> {
        self.sandbox.command(&Request { program, folder: None, paths, network: false, write_outside: false })
    }

    /// As [`Tools::command`], with a working folder, which is visible too.
    ///
    /// # Errors
    /// As [`Tools::command`].
    pub fn command_in(&self, folder: &Path, program: &str, paths: &[&Path]) -> Result<Command> {
        self.sandbox.command(&Request { program, folder: Some(folder), paths, network: false, write_outside: false })
    }

    /// As [`Tools::command_in`], with the host's network and its settings (resolver, proxies, certificates, pip).
    ///
    /// # Errors
    /// As [`Tools::command`].
    pub fn command_online(&self, folder: &Path, program: &str, paths: &[&Path]) -> Result<Command> {
        self.sandbox.command(&Request { program, folder: Some(folder), paths, network: true, write_outside: false })
    }

    /// As [`Tools::command_in`], for a person or a test program: what it is given can be written, in the cache or not.
    ///
    /// # Errors
    /// As [`Tools::command`].
    pub fn command_by_hand(&self, folder: &Path, program: &str, paths: &[&Path]) -> Result<Command> {
        self.sandbox.command(&Request { program, folder: Some(folder), paths, network: false, write_outside: true })
    }

    /// Copies parts of a target's program; all of them lie in `folder`, in the cache.
    ///
    /// # Errors
    /// objcopy fails; the error holds what it said.
    pub fn objcopy(&self, folder: &Path, options: &[&str], from: &Path, to: &Path) -> Result<()> {
        let mut objcopy = self.command_in(folder, "aarch64-linux-gnu-objcopy", &[])?;
        call::run("objcopy", objcopy.args(options).arg(from).arg(to))
    }

    /// Where `path`, a path inside, lies on the host.
    pub fn on_host(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The SHA-256 of the kernel source, in hex: taken once, when the root was built.
    ///
    /// # Errors
    /// The root is damaged.
    pub fn kernel_source_hash(&self) -> Result<String> {
        let path = self.on_host(KERNEL_SOURCE_HASH);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// The kernel source, as a path inside.
pub const KERNEL_SOURCE: &str = "/usr/src/linux-source-6.12.tar.xz";
const KERNEL_SOURCE_HASH: &str = "/usr/src/linux-source-6.12.tar.xz.sha256";

fn key() -> Key {
    Key::new(RECIPE)
        .bytes("packages", [GROUND, PACKAGES].concat().join(" ").as_bytes())
        .bytes("suites", debian::SUITES.join(" ").as_bytes())
}

fn build(cache: &Cache, root: &Path) -> Result<()> {
    unpack(cache, KIND, &[GROUND, PACKAGES].concat(), root)?;
    finish(root).with_context(|| format!("cannot finish {}", root.display()))
}

/// Fills the empty folder `root` with packages, so that programs of them run in it.
///
/// # Errors
/// The host is no amd64 Debian, or packages cannot be had.
pub(crate) fn unpack(cache: &Cache, kind: &str, packages: &[&str], root: &Path) -> Result<()> {
    let architecture = Command::new("dpkg").arg("--print-architecture").output().context("cannot run dpkg")?;
    if architecture.stdout.trim_ascii() != b"amd64" {
        bail!(
            "the tools are built for amd64 hosts; this one is {}",
            String::from_utf8_lossy(&architecture.stdout).trim()
        );
    }
    let log = cache.log(kind)?;
    fs::write(&log, "")?;
    Mirror::of_host()?.unpack(&format!("{kind}: Debian packages"), &["amd64", "arm64"], packages, root, &log)?;
    link_and_mount_points(root).with_context(|| format!("cannot finish {}", root.display()))
}

/// What the packages' own scripts would have done, and places for what the sandbox binds.
fn link_and_mount_points(root: &Path) -> Result<()> {
    for (link, target) in ALTERNATIVES {
        let link = root.join("usr/bin").join(link);
        if !link.exists() {
            symlink(target, link)?;
        }
    }
    fs::create_dir_all(root.join("usr/local/bin"))?;
    // Files of the host are bound over these: they have to exist.
    for path in NETWORK_FILES {
        let path = root.join(path.trim_start_matches('/'));
        if path.exists() {
            continue;
        }
        if path.extension().is_some() {
            fs::write(&path, "")?;
        } else if path.ends_with("hosts") {
            fs::write(&path, "127.0.0.1 localhost\n")?;
        } else {
            fs::create_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Our few additions: the linker for musl, and the hash of the kernel's source.
fn finish(root: &Path) -> Result<()> {
    let linker = root.join("usr/local/bin/aarch64-linux-musl-gcc");
    fs::write(&linker, MUSL_LINKER)?;
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755))?;
    fs::write(root.join("usr/lib/aarch64-linux-musl/libunwind.a"), EMPTY_ARCHIVE)?;
    let source = fs::read(root.join(KERNEL_SOURCE.trim_start_matches('/')))?;
    let hash = Sha256::digest(&source).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    fs::write(root.join(KERNEL_SOURCE_HASH.trim_start_matches('/')), hash)?;
    Ok(())
}
