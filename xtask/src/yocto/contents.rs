// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the cpio holds: one static program, configuration, certificates, kernel modules with their list, and nothing else.
//!
//! Once without volumes and once with one (INITOVERLAYFS_UNLOCK), which takes modules and lines of configuration more.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::clones::Clones;
use super::standin::{FIRST, Standin};
use super::{Bench, outcome};
use crate::call;
use crate::disk::extract;
use crate::suite::Tally;

/// Folders that the kernel or storage-init mount something on, or that hold the files below.
const FOLDERS: [&str; 10] =
    [".", "dev", "etc", "etc/initoverlayfs", "lib", "lib/modules", "proc", "run", "sys", "sysroot"];
/// The files that are not modules or certificates.
const FILES: [&str; 3] = ["init", CONFIGURATION, MODULES];

/// Local.conf of a device with a volume.
const WITH_VOLUME: &str = "INITOVERLAYFS_MEASURE = \"require\"\n\
                           INITOVERLAYFS_UNLOCK = \"data=c97f2d04-6f44-4a0e-9d7f-0a6d2c0f1b11\"\n\
                           INITOVERLAYFS_UNLOCK_FAILURE = \"refuse\"\n";
/// What the configuration has more for it, or otherwise.
const LINES_OF_VOLUME: [&str; 8] = [
    "measure = require",
    "modules = crypto-aes",
    "modules = crypto-xts",
    "modules = dm_crypt",
    "unlock = data c97f2d04-6f44-4a0e-9d7f-0a6d2c0f1b11",
    "unlock-discard = off",
    "unlock-failure = refuse",
    "unlock-latch = on",
];
/// Modules of Debian's kernel that open it, by the names that the list has for them.
const MODULES_OF_VOLUME: [&str; 2] = ["dm_crypt", "xts"];
/// Where the configuration is in the cpio.
const CONFIGURATION: &str = "etc/initoverlayfs.conf";
/// Where the list of modules is.
const MODULES: &str = "etc/initoverlayfs/modules.list";

/// Lists the mini-initramfs of both.
///
/// # Errors
/// A file cannot be written: something else in it, or something missing, is a failed test.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let mut plain = BTreeSet::new();
    let result = (|| {
        let images = Standin::open(bench, clones, FIRST)?.images()?;
        plain = lines(bench, &images.initramfs, CONFIGURATION)?;
        one_program_and_its_files(bench, &images.initramfs)
    })();
    let mut tally = outcome("contents", &result);
    let result = with_volume(bench, clones, &plain);
    tally.add(outcome("contents with INITOVERLAYFS_UNLOCK", &result));
    Ok(tally)
}

fn with_volume(bench: &Bench, clones: &Clones, plain: &BTreeSet<String>) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    standin.build.settings.push_str(WITH_VOLUME);
    standin.build.configure()?;
    let initramfs = standin.images()?.initramfs;
    one_program_and_its_files(bench, &initramfs)?;
    let configuration = lines(bench, &initramfs, CONFIGURATION)?;
    let more: Vec<&str> = configuration.difference(plain).map(String::as_str).collect();
    ensure!(more == LINES_OF_VOLUME, "the configuration has more: {more:?}");
    let less: Vec<&str> = plain.difference(&configuration).map(String::as_str).collect();
    ensure!(less == ["measure = none"], "the configuration lacks {less:?}");
    let list = lines(bench, &initramfs, MODULES)?;
    for module in MODULES_OF_VOLUME {
        ensure!(list.contains(module), "{MODULES} lacks {module}: {list:?}");
    }
    Ok(())
}

/// The lines of a file in the cpio.
fn lines(bench: &Bench, initramfs: &Path, file: &str) -> Result<BTreeSet<String>> {
    let text = extract(&bench.tools, initramfs, file)?;
    ensure!(!text.is_empty(), "{file} is empty");
    Ok(text.lines().map(str::to_owned).collect())
}

fn one_program_and_its_files(bench: &Bench, initramfs: &Path) -> Result<()> {
    let mut cpio = bench.tools.command("sh", &[initramfs])?;
    cpio.args(["-c", "exec cpio --list --verbose --quiet < \"$0\""]).arg(initramfs);
    let list = String::from_utf8(call::output("cpio", &mut cpio)?).context("a name in the cpio is not UTF-8")?;
    judge(&list)?;

    let mut readelf = bench.tools.command("sh", &[initramfs])?;
    let script = "cpio --extract --quiet --to-stdout init < \"$0\" > /tmp/init && \
                   aarch64-linux-gnu-readelf --program-headers --wide /tmp/init && wc -c < /tmp/init";
    let text = call::output("readelf", readelf.args(["-c", script]).arg(initramfs))?;
    let text = String::from_utf8_lossy(&text);
    ensure!(
        text.contains("LOAD") && !text.contains("INTERP") && !text.contains("DYNAMIC"),
        "init is not static:\n{text}"
    );
    println!("  {} files; init {} bytes", list.lines().count(), text.lines().last().unwrap_or_default().trim());
    Ok(())
}

/// Holds the lines of `cpio --list --verbose` against what may be there and what has to.
fn judge(list: &str) -> Result<()> {
    let (mut programs, mut certificates, mut modules, mut found) = (0, 0, 0, Vec::new());
    for line in list.lines() {
        let name = line.split_whitespace().nth(8).with_context(|| format!("not understood: {line}"))?;
        let kind = line.chars().next().unwrap_or('?');
        let certificate = name.strip_prefix("etc/initoverlayfs/").is_some_and(|file| file.ends_with(".der"));
        let module = name.strip_prefix("lib/modules/").is_some_and(|file| file.ends_with(".ko"));
        match kind {
            'd' if FOLDERS.contains(&name) => {}
            'c' if name == "dev/console" => {}
            '-' if certificate => certificates += 1,
            '-' if module => modules += 1,
            '-' if FILES.contains(&name) => found.push(name),
            _ => bail!("nothing of this kind and name should be there: {line}"),
        }
        programs += u32::from(kind == '-' && line.get(..10).is_some_and(|mode| mode.contains('x')));
    }
    for file in FILES {
        ensure!(found.contains(&file), "{file} is missing");
    }
    ensure!(programs == 1, "{programs} programs");
    ensure!(certificates == 1 && modules > 0, "{certificates} certificates, {modules} modules");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = "drwxr-xr-x   2 root     root            0 Jan  1  1970 etc
-rwxr-xr-x   1 root     root      1059128 Jan  1  1970 init
-rw-r--r--   1 root     root          300 Jan  1  1970 etc/initoverlayfs.conf
-rw-r--r--   1 root     root          300 Jan  1  1970 etc/initoverlayfs/modules.list
-rw-r--r--   1 root     root          300 Jan  1  1970 etc/initoverlayfs/certificate-0.der
-rw-r--r--   1 root     root          300 Jan  1  1970 lib/modules/erofs.ko
";

    #[test]
    fn what_belongs_there_is_accepted() {
        judge(GOOD).unwrap();
    }

    #[test]
    fn a_shell_a_second_program_and_a_missing_file_are_named() {
        let more = |line: &str| judge(&format!("{GOOD}{line}\n")).map_err(|error| error.to_string());
        let shell = "lrwxrwxrwx   1 root     root            7 Jan  1  1970 bin/sh";
        assert_eq!(more(shell), Err(format!("nothing of this kind and name should be there: {shell}")));
        let program = "-rwxr-xr-x   1 root     root          300 Jan  1  1970 lib/modules/vfat.ko";
        assert_eq!(more(program), Err("2 programs".to_owned()));
        let without =
            GOOD.replace("-rw-r--r--   1 root     root          300 Jan  1  1970 etc/initoverlayfs.conf\n", "");
        assert_eq!(
            judge(&without).map_err(|error| error.to_string()),
            Err("etc/initoverlayfs.conf is missing".to_owned())
        );
    }
}
