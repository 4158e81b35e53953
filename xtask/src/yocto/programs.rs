// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packages of the programs, for the system and for the build host: what each holds, and nothing else; for which machine. The strings of
//! the boot binary's log are in theirs, where bootlog looks for them.
//!
//! Read out of the .deb files, of which images are made, and out of the sysroot that recipes get. For an SDK (nativesdk) they are resolved
//! alone, by `graph`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use bootlog::string_table::{self, StringTable};

use super::clones::Clones;
use super::standin::{FIRST, Standin};
use super::{Bench, outcome};
use crate::call;
use crate::suite::Tally;

/// What is built.
const TARGETS: [&str; 8] = [
    BOOT,
    "bootlog",
    "ddi",
    "initoverlayfs-tpm",
    "mini-initramfs-tool",
    "bootlog-native",
    "ddi-native",
    "mini-initramfs-tool-native",
];

/// A package of a recipe for the system.
struct Package {
    name: &'static str,
    /// As [`line`] gives them.
    files: &'static [&'static str],
    /// Of its fields Depends and Recommends, what this layer asks for.
    needs: &'static [(&'static str, &'static str)],
}

const PACKAGES: [Package; 7] = [
    Package { name: "bootlog", files: &["755 /usr/bin/bootlog"], needs: &[("Depends", "storage-init-strings")] },
    Package { name: "ddi", files: &["755 /usr/bin/ddi"], needs: &[("Recommends", "erofs-utils")] },
    Package { name: "initoverlayfs-tpm", files: &["755 /usr/bin/initoverlayfs-tpm"], needs: &[] },
    Package {
        name: "initoverlayfs-tpm-latch",
        files: &[
            "644 /usr/lib/systemd/system/initoverlayfs-latch.service",
            "link /usr/lib/systemd/system/initrd-switch-root.target.requires/initoverlayfs-latch.service -> ../initoverlayfs-latch.service",
            "link /usr/lib/systemd/system/initrd.target.wants/initoverlayfs-latch.service -> ../initoverlayfs-latch.service",
        ],
        needs: &[("Depends", "initoverlayfs-tpm")],
    },
    Package { name: "mini-initramfs-tool", files: &["755 /usr/bin/mini-initramfs"], needs: &[] },
    Package { name: BOOT, files: &["755 /init"], needs: &[] },
    // See `strings`: the file has another name in each build.
    Package { name: STRINGS, files: &[], needs: &[] },
];
/// The package of the boot binary.
const BOOT: &str = "storage-init";
/// What bootlog needs of it.
const STRINGS: &str = "storage-init-strings";
/// Recipe and program, for the build host.
const NATIVE: [(&str, &str); 3] =
    [("bootlog-native", "bootlog"), ("ddi-native", "ddi"), ("mini-initramfs-tool-native", "mini-initramfs")];

/// `e_machine` of an ELF file (elf(5), little-endian like both).
const AARCH64: u16 = 183;
/// The build host's: see [`crate::tools::unpack`].
const X86_64: u16 = 62;
/// Ends of the names of packages that openembedded-core makes of every recipe, and that hold nothing of these.
const OF_NO_FILE: [&str; 2] = ["-dbg", "-dev"];
/// What a sysroot has of BitBake's own, for a program.
const FOLDERS_OF_BITBAKE: [&str; 2] = ["fixmepath", "sysroot-providers/"];

/// Builds and lists them.
///
/// # Errors
/// The build fails.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let standin = Standin::open(bench, clones, FIRST)?;
    standin.make("programs", &TARGETS)?;
    let debs = debs(&standin.build.folder.join("tmp/deploy/deb"))?;
    let mut tally = outcome("the programs have no other packages", &others_are_empty(bench, &debs));
    for package in &PACKAGES {
        let result = if package.name == STRINGS { strings(bench, &debs) } else { installs(bench, &debs, package) };
        tally.add(outcome(&format!("package {}", package.name), &result));
    }
    for (recipe, program) in NATIVE {
        let sysroot = standin.build.folder.join("tmp/sysroots-components/x86_64").join(recipe);
        tally.add(outcome(recipe, &runs(bench, &sysroot, program)));
    }
    Ok(tally)
}

/// What a recipe makes besides the packages above holds nothing: openembedded-core makes two of each, to be asked for by name.
fn others_are_empty(bench: &Bench, debs: &Debs) -> Result<()> {
    for (name, deb) in debs {
        if PACKAGES.iter().all(|package| package.name != name) {
            ensure!(OF_NO_FILE.iter().any(|end| name.ends_with(end)), "nobody expects a package {name}");
            let found = files_of(bench, deb)?;
            ensure!(found.is_empty(), "{name} holds {:?}", found.keys());
        }
    }
    Ok(())
}

/// Files by the names of their packages.
type Debs = BTreeMap<String, PathBuf>;

/// The .deb files of the recipes above, by the names of their packages.
fn debs(deploy: &Path) -> Result<Debs> {
    let mut debs = Debs::new();
    for path in files(deploy)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, _) = file.split_once('_').unwrap_or((&file, ""));
        let ours = PACKAGES.iter().any(|package| name.strip_prefix(package.name).is_some_and(is_of_recipe));
        if ours && file.ends_with(".deb") {
            ensure!(debs.insert(name.to_owned(), path.clone()).is_none(), "there are two packages {name}");
        }
    }
    Ok(debs)
}

/// What is behind a recipe's name in its packages' names: nothing, or a dash and more.
fn is_of_recipe(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('-')
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn installs(bench: &Bench, debs: &Debs, package: &Package) -> Result<()> {
    let deb = debs.get(package.name).context("it was not made")?;
    let found: Vec<String> = files_of(bench, deb)?.into_keys().collect();
    ensure!(found == package.files, "it holds {found:?}, expected {:?}", package.files);
    for (field, name) in package.needs {
        let mut dpkg = bench.host.command("dpkg-deb", &[deb])?;
        let value = call::output("dpkg-deb", dpkg.arg("--field").arg(deb).arg(field))?;
        let value = String::from_utf8(value).context("a field is not UTF-8")?;
        ensure!(value.split(',').any(|need| need.split_whitespace().next() == Some(name)), "{field} is {value:?}");
    }
    Ok(())
}

/// What bootlog reads a log of this build by is there, where it looks for it, and nothing else.
fn strings(bench: &Bench, debs: &Debs) -> Result<()> {
    let package = |name| files_of(bench, debs.get(name).with_context(|| format!("there is no package {name}"))?);
    let (boot, strings) = (package(BOOT)?, package(STRINGS)?);
    let init = boot.values().next().context("there is no boot binary")?;
    let build_id = string_table::build_id(init).context("the boot binary")?;
    let path = Path::new(string_table::DEFAULT_FOLDER).join(string_table::path_below(&build_id));
    let found: Vec<&String> = strings.keys().collect();
    ensure!(found == [&format!("644 {}", path.display())], "it holds {found:?}, expected {}", path.display());
    for elf in strings.values() {
        let table = StringTable::from_elf(elf).with_context(|| path.display().to_string())?;
        ensure!(*table.build_id() == build_id, "the strings are those of build {}", table.build_id());
    }
    Ok(())
}

/// The files of a package as [`line`] gives them, and what they hold. Programs are for the target.
fn files_of(bench: &Bench, deb: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let tar = call::output("dpkg-deb", bench.host.command("dpkg-deb", &[deb])?.arg("--fsys-tarfile").arg(deb))?;
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().context("no tar in it")? {
        let mut entry = entry?;
        let Some(line) = line(&entry)? else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(|| format!("cannot read {line}"))?;
        let program = entry.header().entry_type().is_file() && entry.header().mode()? & 0o111 != 0;
        ensure!(!program || machine(&bytes) == Some(AARCH64), "{line} is for the machine {:?}", machine(&bytes));
        found.insert(line, bytes);
    }
    Ok(found)
}

/// A file as the table of packages has it: mode or `link`, path, and what a link is to; nothing of a folder.
fn line<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Option<String>> {
    let header = entry.header();
    let path = entry.path()?;
    let path = Path::new("/").join(path.strip_prefix(".").unwrap_or(&path));
    let line = match header.entry_type() {
        tar::EntryType::Directory => return Ok(None),
        tar::EntryType::Regular => format!("{:o} {}", header.mode()?, path.display()),
        tar::EntryType::Symlink => {
            let to = entry.link_name()?.with_context(|| format!("{} is a link to nothing", path.display()))?;
            format!("link {} -> {}", path.display(), to.display())
        }
        other => bail!("{} is a {other:?}", path.display()),
    };
    Ok(Some(line))
}

/// For which machine an ELF file is; `None` of any other.
fn machine(file: &[u8]) -> Option<u16> {
    let field = file.get(18..20)?.try_into().ok()?;
    file.starts_with(b"\x7fELF").then(|| u16::from_le_bytes(field))
}

/// A program of the build host is there alone, and says its name and version.
fn runs(bench: &Bench, sysroot: &Path, program: &str) -> Result<()> {
    let path = sysroot.join("usr/bin").join(program);
    let found: Vec<PathBuf> = files(sysroot)?
        .into_iter()
        .filter(|file| {
            let name = file.strip_prefix(sysroot).unwrap_or(file).to_string_lossy();
            !FOLDERS_OF_BITBAKE.iter().any(|of_bitbake| name.starts_with(of_bitbake))
        })
        .collect();
    ensure!(found == [path.clone()], "the sysroot holds {found:?}, expected {}", path.display());
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(machine(&bytes) == Some(X86_64), "it is for the machine {:?}", machine(&bytes));
    let name = path.display().to_string();
    let said = call::output(program, bench.host.command(&name, &[sysroot])?.arg("--version"))?;
    let said = String::from_utf8_lossy(&said);
    ensure!(said.split_whitespace().next() == Some(program), "it answers --version with {said:?}");
    println!("  {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_machine_is_told_of_elf_files_alone() {
        let mut elf = [0; 64];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18] = 183;
        assert_eq!(machine(&elf), Some(AARCH64));
        assert_eq!(machine(&elf[..19]), None);
        assert_eq!(machine(b"#!/bin/sh\nexec bootlog"), None);
    }
}
