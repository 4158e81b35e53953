// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's own arm64 kernel, as packaged: storage, dm-verity, erofs and vfat are modules of it, as in many a vendor's kernel.
//!
//! It does not have our certificate. Its modules are compressed, and described by depmod as on an installed system. It
//! is as new as the mirror was on the day it was fetched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, Key};
use crate::call;
use crate::debian::Mirror;
use crate::plan::Cost;
use crate::progress::{self, Step};
use crate::tools::Tools;

const KIND: &str = "debian-kernel";
/// Raise it when the code below makes another entry of the same package, or to fetch it anew.
const RECIPE: u32 = 1;
/// Not of backports: those have a later Linux than 6.12.
const SUITE: [&str; 1] = ["trixie"];
const PACKAGE: [&str; 1] = ["linux-image-arm64"];
/// What of the package is kept, as tar patterns.
const KEPT: [&str; 2] = ["./boot/vmlinuz-*", "./usr/lib/modules/*"];
/// Where its modules lie.
const MODULES: &str = "usr/lib/modules";
const COST: Cost = Cost { what: "Debian's kernel", disk_mib: 130, download_mib: 130, seconds: 20 };

/// The kernel in the cache.
#[derive(Clone, Debug)]
pub struct DebianKernel {
    /// The root of what was unpacked.
    pub root: PathBuf,
    /// The boot image.
    pub image: PathBuf,
    /// `usr/lib/modules/RELEASE`.
    pub modules: PathBuf,
    /// What `uname -r` says.
    pub release: String,
}

/// What the first boot of it costs.
pub fn cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any(KIND)).then_some(COST)
}

/// The kernel out of the cache, or fetched.
///
/// # Errors
/// The package cannot be had or unpacked, or depmod fails.
pub fn ensure(cache: &Cache, tools: &Tools) -> Result<DebianKernel> {
    let key =
        Key::new(RECIPE).bytes("suite", SUITE.join(" ").as_bytes()).bytes("package", PACKAGE.join(" ").as_bytes());
    let folder = cache.entry(KIND, &key, |folder| {
        fetch(folder, &cache.log(KIND)?)?;
        // The package's script would run depmod, which looks below /lib.
        symlink("usr/lib", folder.join("lib")).context("cannot make the link lib")?;
        let release = release(folder)?;
        let mut depmod = tools.command("depmod", &[folder])?;
        call::run("depmod", depmod.arg("--basedir").arg(folder).arg(release))
    })?;
    let release = release(&folder)?;
    Ok(DebianKernel {
        image: folder.join("boot").join(format!("vmlinuz-{release}")),
        modules: folder.join(MODULES).join(&release),
        root: folder,
        release,
    })
}

/// The name of the only folder of modules.
fn release(folder: &Path) -> Result<String> {
    let modules = folder.join(MODULES);
    let mut found = Vec::new();
    for entry in fs::read_dir(&modules).with_context(|| format!("cannot list {}", modules.display()))? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    match found.as_slice() {
        [release] => Ok(release.clone()),
        _ => bail!("{}: expected one kernel, found {found:?}", modules.display()),
    }
}

fn fetch(folder: &Path, log: &Path) -> Result<()> {
    fs::write(log, "")?;
    let step = Step::start("Debian's kernel: package", 0);
    let mut download = Mirror::of_host()?
        .tar_command(&SUITE, &["arm64"], &PACKAGE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(progress::append(log)?)
        .spawn()
        .context("cannot run mmdebstrap")?;
    let Some(stream) = download.stdout.take() else { bail!("mmdebstrap has no standard output") };
    let unpack = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--no-same-permissions", "--wildcards", "--directory"])
        .arg(folder)
        .args(KEPT)
        .stdin(stream)
        .stdout(progress::append(log)?)
        .stderr(progress::append(log)?)
        .spawn()
        .context("cannot run tar")?;
    let unpacked = progress::wait(step, log, unpack);
    let status = download.wait()?;
    if !status.success() {
        bail!("mmdebstrap: {status}; the end of {}:\n{}", log.display(), progress::tail(log));
    }
    unpacked
}
