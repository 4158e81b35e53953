// SPDX-License-Identifier: MIT OR Apache-2.0
//! `force.cfg`, for boards whose boot loader authenticates the kernel alone: another initramfs and other words of the command
//! line have no effect. The same attacks on a kernel without it show that they would have one.

use std::path::Path;

use anyhow::{Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use xtask::bench::boots::mark::{self, Mark};
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::{FORCED_COMMAND_LINE, KernelChoice};
use xtask::qemu::{Config, Outcome};

use crate::support::{action, assert_boot_chain, assert_refused, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("init_of_a_foreign_initramfs_runs_only_where_none_is_forced", foreign_init),
        test("configuration_of_a_foreign_initramfs_counts_only_where_none_is_forced", foreign_config),
        test("words_of_the_boot_loader_count_only_where_no_command_line_is_forced", command_line),
    ]
}

/// A boot whose boot loader is not to be trusted: the files lie in an archive behind ours, the words in its command line.
struct Attack {
    files: Vec<(&'static str, Vec<u8>)>,
    words: &'static str,
}

impl Attack {
    fn on(&self, bench: &Bench, folder: &Path, kernel: KernelChoice) -> Result<Outcome> {
        let ddi = self.ddi(bench, folder)?;
        let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
        let trial = Trial {
            config: Config { kernel, ..Config::default() },
            files: self.files.clone(),
            command_line: self.words,
            disk: Some(disk),
            ..Trial::default()
        };
        let outcome = bench.boot(folder, &trial)?;
        if kernel == KernelChoice::Forced {
            assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?;
            let words = action(&outcome, 1)?;
            ensure!(words.trim_end() == FORCED_COMMAND_LINE, "the kernel's command line is {words}");
        }
        Ok(outcome)
    }

    fn ddi(&self, bench: &Bench, folder: &Path) -> Result<xtask::disk::Ddi> {
        bench.small_ddi(folder, &Small { actions: &["read /proc/cmdline"], ..Small::default() })
    }
}

fn foreign_init(bench: &Bench, folder: &Path) -> Result<()> {
    let init = folder.join("foreign-init");
    mark::build(&bench.parts().tools, &init)?;
    let init = std::fs::read(&init)?;
    let attack = Attack { files: vec![("init", init)], words: "" };
    let outcome = attack.on(bench, folder, KernelChoice::BuiltIn)?;
    ensure!(Mark::find(&outcome.console).is_some(), "the foreign init did not run\n{}", console(&outcome));
    let outcome = attack.on(bench, folder, KernelChoice::Forced)?;
    ensure!(Mark::find(&outcome.console).is_none(), "the foreign init ran\n{}", console(&outcome));
    Ok(())
}

fn foreign_config(bench: &Bench, folder: &Path) -> Result<()> {
    let attack = Attack { files: vec![("etc/initoverlayfs.conf", b"no-such-key = on\n".to_vec())], words: "" };
    let outcome = attack.on(bench, folder, KernelChoice::BuiltIn)?;
    assert_refused(&outcome, Reason::ConfigInvalid, "/etc/initoverlayfs.conf")?;
    attack.on(bench, folder, KernelChoice::Forced).map(drop)
}

fn command_line(bench: &Bench, folder: &Path) -> Result<()> {
    let attack = Attack { files: Vec::new(), words: "systemd.run=/bin/sh rdinit=/bin/sh" };
    let outcome = attack.on(bench, folder, KernelChoice::Forced)?;
    ensure!(
        !outcome.console.iter().any(|line| line.contains("systemd.run=")),
        "the kernel speaks of the boot loader's words\n{}",
        console(&outcome)
    );
    let attack = Attack { words: "systemd.run=/bin/sh", ..attack };
    assert_refused(&attack.on(bench, folder, KernelChoice::BuiltIn)?, Reason::CommandLine, "/proc/cmdline")
}
