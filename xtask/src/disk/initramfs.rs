// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running `mini-initramfs`, as anybody would.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::call;
use crate::host_program;
use crate::tools::Tools;

/// The program, built for the host.
pub struct InitramfsProgram(PathBuf);

/// What an archive is made of.
pub struct Initramfs<'a> {
    /// The static binary that becomes `/init`.
    pub init: &'a Path,
    /// Text of `/etc/initoverlayfs.conf`.
    pub config: &'a str,
    /// DER certificates: the configuration's name for each, and its file.
    pub certificates: &'a [(&'a str, &'a Path)],
    /// `lib/modules/RELEASE` of a kernel that has modules.
    pub modules: Option<&'a Path>,
}

impl InitramfsProgram {
    /// Builds it from this checkout.
    ///
    /// # Errors
    /// cargo fails; the error holds what it said.
    pub fn build() -> Result<Self> {
        host_program::build("mini-initramfs").map(Self)
    }

    /// Writes the archive to `output`; what it is made of and has no file of that name gets one beside it.
    ///
    /// # Errors
    /// A file cannot be written, or the program fails; the error holds what it said.
    pub fn write(&self, initramfs: &Initramfs<'_>, output: &Path) -> Result<()> {
        let Some(folder) = output.parent() else { bail!("{} is no file", output.display()) };
        let config = folder.join("initoverlayfs.conf");
        fs::write(&config, initramfs.config).with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(&self.0);
        command.arg("--init").arg(initramfs.init).arg("--config").arg(&config);
        for (name, certificate) in initramfs.certificates {
            let named = folder.join(name);
            fs::copy(certificate, &named).with_context(|| format!("cannot copy {}", certificate.display()))?;
            command.arg("--certificate").arg(named);
        }
        if let Some(modules) = initramfs.modules {
            command.arg("--modules").arg(modules);
        }
        call::run("mini-initramfs", command.arg("--output").arg(output))
    }
}

/// Puts files over those of an archive: another archive behind it, as the kernel unpacks them in order. Of cpio(1), not of
/// the program that is tested. `files` are names below `/` and contents; `archive` lies in the cache.
///
/// # Errors
/// cpio fails, or a file cannot be written.
pub fn put_over(tools: &Tools, archive: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let folder = archive.with_extension("over");
    for (name, contents) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        // One of them may be an init.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
    }
    let names: String = files.iter().map(|(name, _)| format!("{name}\n")).collect();
    let over = folder.join("over.cpio");
    let mut cpio = tools.command_in(&folder, "cpio", &[&folder])?;
    call::feed("cpio", cpio.args(["--create", "--format=newc", "--quiet", "--file"]).arg(&over), &names)?;
    let over = fs::read(&over).with_context(|| format!("cannot read {}", over.display()))?;
    let mut file = fs::File::options().append(true).open(archive)?;
    file.write_all(&over).with_context(|| format!("cannot write {}", archive.display()))
}

/// A text in an archive that is not compressed, by its name there.
///
/// # Errors
/// cpio fails, or it is not UTF-8. Of a name that is not there cpio says nothing: then it is empty.
pub fn extract(tools: &Tools, archive: &Path, name: &str) -> Result<String> {
    let mut cpio = tools.command("cpio", &[archive])?;
    cpio.args(["--extract", "--to-stdout", "--quiet", "--file"]).arg(archive).arg(name);
    String::from_utf8(call::output("cpio", &mut cpio)?).with_context(|| format!("{name} is not UTF-8"))
}
