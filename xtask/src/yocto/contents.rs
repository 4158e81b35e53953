// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the cpio holds: one static program, configuration, certificates, kernel modules with their list, and nothing else.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use super::Bench;
use super::clones::Clones;
use super::standin::{FIRST, Standin};

/// Folders that the kernel or storage-init mount something on, or that hold the files below.
const FOLDERS: [&str; 10] =
    [".", "dev", "etc", "etc/initoverlayfs", "lib", "lib/modules", "proc", "run", "sys", "sysroot"];
/// The files that are not modules or certificates.
const FILES: [&str; 3] = ["init", "etc/initoverlayfs.conf", "etc/initoverlayfs/modules.list"];

/// Lists the mini-initramfs.
///
/// # Errors
/// Something else is in it, or something is missing.
pub fn check(bench: &Bench, clones: &Clones) -> Result<()> {
    let images = Standin::open(bench, clones, FIRST)?.images()?;
    let mut cpio = bench.tools.command("sh", &[&images.initramfs])?;
    cpio.args(["-c", "exec cpio --list --verbose --quiet < \"$0\""]).arg(&images.initramfs).stdin(Stdio::null());
    let output = cpio.output().context("cannot run cpio")?;
    ensure!(output.status.success(), "cpio: {}", String::from_utf8_lossy(&output.stderr).trim());
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    judge(&list)?;

    let mut readelf = bench.tools.command("sh", &[&images.initramfs])?;
    let extract = "cpio --extract --quiet --to-stdout init < \"$0\" > /tmp/init && \
                   aarch64-linux-gnu-readelf --program-headers --wide /tmp/init && wc -c < /tmp/init";
    let output = readelf.args(["-c", extract]).arg(&images.initramfs).output().context("cannot run readelf")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
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
