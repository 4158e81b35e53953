// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds whose every task runs: Debian's cross toolchain, kernel and user space in place of openembedded-core's (tests/yocto).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::build::{Build, Ran};
use super::clones::Clones;
use super::{Bench, copy, downloads};
use crate::debian_kernel;
use crate::userspace::{self, FILE_TIME, INITRD_RELEASE, Identity};

/// The folder of most checks.
pub const FIRST: &str = "standin";
/// What is built.
const TARGETS: [&str; 3] = ["mini-initramfs", "initoverlayfs-image", "virtual/kernel"];
/// What files of the image begin with where they are deployed.
pub const IMAGE: &str = "initoverlayfs-image-qemuarm64.rootfs";
/// `IMAGE_VERSION` of the image.
pub const VERSION: &str = "3.1";
/// What of the tree belongs to openembedded-core's own recipe os-release.
const OF_OS_RELEASE: [&str; 3] = ["usr/lib/os-release", "etc/os-release", INITRD_RELEASE];
/// What a boot on Debian's kernel needs besides: the report's port, the ESP's character set, the real root.
const MODULES: &str = "virtio_console nls_ascii ext4";

/// A build folder with a copy of the layer.
pub struct Standin<'a> {
    /// BitBake in it.
    pub build: Build<'a>,
    /// The copy: a test may edit it.
    pub layer: PathBuf,
}

/// What a build deployed.
#[derive(Debug)]
pub struct Images {
    /// The mini-initramfs.
    pub initramfs: PathBuf,
    /// The signed DDI.
    pub ddi: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
}

impl<'a> Standin<'a> {
    /// The build in the folder `name`, configured for Debian's kernel.
    ///
    /// # Errors
    /// A part of it cannot be made.
    pub fn open(bench: &'a Bench, clones: &'a Clones, name: &str) -> Result<Self> {
        let kernel = debian_kernel::ensure(&bench.cache, &bench.tools)?;
        let settings =
            format!("INITOVERLAYFS_SIGNATURE_CHECK = \"user-space\"\nINITOVERLAYFS_MODULES = \"{MODULES}\"\n");
        Self::with_kernel(bench, clones, name, &kernel.root, &kernel.release, &settings)
    }

    /// As [`Standin::open`], for a kernel below `root` (`boot/vmlinuz-RELEASE`, `usr/lib/modules/RELEASE`).
    ///
    /// # Errors
    /// As [`Standin::open`].
    pub fn with_kernel(
        bench: &'a Bench,
        clones: &'a Clones,
        name: &str,
        root: &Path,
        release: &str,
        settings: &str,
    ) -> Result<Self> {
        let folder = bench.work.join(name);
        let layer = folder.join("layer");
        fs::create_dir_all(&layer).with_context(|| format!("cannot make {}", layer.display()))?;
        copy::layer(&layer)?;
        let userspace = folder.join("userspace.tar");
        write_userspace(bench, &userspace)?;
        let downloads = downloads::fill(&bench.cache, &bench.work.join("downloads"))?;
        let settings = format!(
            "DISTRO = \"standin\"\nDL_DIR = \"{}\"\nSTANDIN_KERNEL_ROOT = \"{}\"\nSTANDIN_KERNEL_RELEASE = \"{release}\"\n\
             STANDIN_USERSPACE = \"{}\"\nINITOVERLAYFS_SIGNING_KEY = \"{}\"\nINITOVERLAYFS_CERTIFICATE = \"{}\"\n\
             INITOVERLAYFS_IMAGE_VERSION = \"{VERSION}\"\nINITRAMFS_FSTYPES = \"cpio\"\n{settings}",
            downloads.display(),
            root.display(),
            userspace.display(),
            bench.keys.key_pem.display(),
            bench.keys.certificate_pem.display(),
        );
        let paths = vec![root.to_owned(), downloads, bench.keys.key_pem.clone(), bench.keys.certificate_pem.clone()];
        let layers = vec![layer.clone(), layer.join("tests/yocto")];
        let build = Build { host: &bench.host, clones, folder, layers, settings, paths };
        build.configure()?;
        Ok(Self { build, layer })
    }

    /// Builds all of it.
    ///
    /// # Errors
    /// A task fails.
    pub fn images(&self) -> Result<Images> {
        self.execute("execute")?;
        Ok(Images {
            initramfs: deployed(&self.build, "mini-initramfs-qemuarm64.cpio")?,
            ddi: deployed(&self.build, &format!("{IMAGE}.signed-ddi"))?,
            kernel: deployed(&self.build, "Image")?,
        })
    }

    /// Runs BitBake for the images; what it said is what its tasks were.
    ///
    /// # Errors
    /// A task fails, or BitBake warns.
    pub fn execute(&self, title: &str) -> Result<Ran> {
        self.make(title, &TARGETS)
    }

    /// As [`Standin::execute`], for other targets.
    ///
    /// # Errors
    /// As [`Standin::execute`].
    pub fn make(&self, title: &str, targets: &[&str]) -> Result<Ran> {
        let ran = self.build.run(title, "bitbake", targets)?.expect_success()?;
        let warnings = ran.lines_of("WARNING");
        ensure!(warnings.is_empty(), "warnings, see {}:\n{}", ran.log.display(), warnings.join("\n"));
        Ok(ran)
    }
}

/// The file that is deployed under a name, by the path behind its links.
///
/// # Errors
/// There is none.
pub fn deployed(build: &Build<'_>, name: &str) -> Result<PathBuf> {
    let path = build.folder.join("tmp/deploy/images").join(super::build::MACHINE).join(name);
    path.canonicalize().with_context(|| format!("the build deployed no {}", path.display()))
}

/// Debian's systemd and what it needs, without a word of which image it is for.
fn write_userspace(bench: &Bench, path: &Path) -> Result<()> {
    let nobody = Identity { image_id: String::new(), version: String::new(), epoch: 0 };
    let mut tree = userspace::ddi(&bench.cache, &nobody)?;
    OF_OS_RELEASE.iter().for_each(|path| tree.remove(path));
    tree.write_tar(path, FILE_TIME)
}

/// The recipes of the tasks that BitBake ran, and the tasks, as `recipe:do_task`.
///
/// # Errors
/// A line of BitBake's is not as it was when this was written.
pub fn tasks(ran: &Ran) -> Result<Vec<String>> {
    let mut tasks = Vec::new();
    for line in ran.text.lines().filter(|line| line.starts_with("NOTE: Running ") && line.contains("task ")) {
        tasks.push(task(line).with_context(|| format!("not understood: {line}"))?);
    }
    let Some(summary) = ran.text.lines().find(|line| line.starts_with("NOTE: Tasks Summary: Attempted ")) else {
        bail!("BitBake gave no summary, see {}", ran.log.display());
    };
    ensure!(summary.contains("all succeeded"), "{summary}");
    Ok(tasks)
}

/// `NOTE: Running task 3 of 46 (virtual:native:/layer/recipes-devtools/ddi/ddi_0.1.0.bb:do_fetch)`, or `setscene task`.
fn task(line: &str) -> Option<String> {
    let (recipe, task) = line.rsplit_once('(')?.1.strip_suffix(')')?.rsplit_once(".bb:")?;
    let name = recipe.rsplit('/').next()?.split('_').next()?;
    let native = if recipe.starts_with("virtual:native:") { "-native" } else { "" };
    Some(format!("{name}{native}:{task}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_known_by_recipe_and_variant() {
        let ran = |task| format!("NOTE: Running task 3 of 46 ({task})");
        for (line, expected) in [
            ("virtual:native:/l/recipes-devtools/ddi/ddi_0.1.0.bb:do_fetch", "ddi-native:do_fetch"),
            ("/l/recipes-core/storage-init/storage-init_0.1.0.bb:do_package", "storage-init:do_package"),
            ("/l/recipes-core/images/mini-initramfs.bb:do_rootfs", "mini-initramfs:do_rootfs"),
        ] {
            assert_eq!(task(&ran(line)).as_deref(), Some(expected));
        }
    }
}
