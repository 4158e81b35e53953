// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole way, for both sources: systemd in the DDI, the real root, multi-user.target.
//!
//! The DDI's systemd is Debian stable's; the real root's is that in one test, and the next release's in the other.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::qemu::bench::Bench;
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::storage::Storage;
use xtask::qemu::system::{self, System};
use xtask::qemu::{Answer, Outcome};
use xtask::userspace::Release;

use crate::support::{assert_boot_chain, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("file_on_the_esp_reaches_multi_user_target", |bench, folder| {
            let system = System {
                source: Source::EspFile,
                storage: Storage::Virtio,
                kernel: KernelChoice::BuiltIn,
                overlay: false,
                root: Release::Stable,
                tamper: None,
            };
            boot(bench, folder, system).map(|_| ())
        }),
        test("partition_with_a_layer_reaches_multi_user_target_and_systemd_accepts_the_ddi", |bench, folder| {
            let system = System {
                source: Source::Partition,
                storage: Storage::Virtio,
                kernel: KernelChoice::BuiltIn,
                overlay: true,
                root: Release::Next,
                tamper: None,
            };
            accepted_by_systemd(&boot(bench, folder, system)?)
        }),
    ]
}

/// The systemd of oe-core: one at least as new has to accept our DDI.
const CURRENT_SYSTEMD: u32 = 261;

fn boot(bench: &Bench, folder: &Path, system: System) -> Result<Outcome> {
    let prepared = system.prepare(bench.cache(), bench.parts(), folder)?;
    let outcome = system::boot(bench.parts(), &prepared, folder, Answer::PowerOff, &|_| {})?;
    assert_boot_chain(&outcome, &prepared.expected)?;
    let failed = text(&outcome, "failed-units")?;
    ensure!(failed.is_empty(), "failed units:\n{failed}\n{}", console(&outcome));
    // The journal reaches back to storage-init, and holds no error of anybody.
    let storage_init = text(&outcome, "storage-init")?;
    ensure!(storage_init.ends_with("executing /sbin/init"), "the journal has of storage-init:\n{storage_init}");
    let errors = text(&outcome, "errors")?;
    ensure!(errors.is_empty(), "errors in the journal:\n{errors}");
    let systemd = text(&outcome, "systemd")?;
    let version = systemd.split(' ').nth(1).and_then(|version| version.parse::<u32>().ok());
    let wanted = match system.root {
        Release::Stable => 257..=257,
        Release::Next => CURRENT_SYSTEMD..=u32::MAX,
    };
    ensure!(version.is_some_and(|found| wanted.contains(&found)), "expected {wanted:?}, the real root has {systemd}");
    let time = text(&outcome, "time")?;
    for part in [" (kernel) + ", " (initrd) + ", " (userspace) = ", "\nmulti-user.target reached after "] {
        ensure!(time.contains(part), "systemd-analyze time has no \"{}\":\n{time}", part.trim());
    }
    Ok(outcome)
}

/// `systemd-dissect --validate` of the partition that holds the DDI, in the guest.
fn accepted_by_systemd(outcome: &Outcome) -> Result<()> {
    let verdict = text(outcome, "dissect")?;
    ensure!(verdict.ends_with("\nexit status 0"), "systemd-dissect --validate: {verdict}");
    Ok(())
}

fn text<'a>(outcome: &'a Outcome, section: &str) -> Result<&'a str> {
    Ok(outcome.report.as_ref().context("no report")?.text(section)?.trim_end())
}
