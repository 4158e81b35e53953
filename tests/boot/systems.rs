// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole way, for both sources: systemd in the DDI, the real root, multi-user.target.
//!
//! The DDI's systemd is Debian stable's; the real root's is that in one test, and the next release's in the other.

use anyhow::{Context, Result, bail, ensure};
use boot_record::boot_json::BootRecord;
use boot_record::config::Source;
use boot_record::event::Event;
use libtest_mimic::Trial as Test;
use std::path::Path;
use tpm_policy::event::LATCH;
use tpm_policy::{Bank, pcr};
use xtask::boot_report;
use xtask::disk::ROOT_UUID;
use xtask::qemu::bench::Bench;
use xtask::qemu::system::{self, System};
use xtask::qemu::{Answer, Meter, Outcome};
use xtask::userspace::Release;

use crate::support::{assert_boot_chain, console, test, timeline};

pub fn tests() -> Vec<Test> {
    vec![
        test("file_on_the_esp_reaches_multi_user_target", |bench, folder| {
            boot(bench, folder, System::of(Source::EspFile)).map(drop)
        }),
        test("partition_with_a_layer_reaches_multi_user_target_and_systemd_accepts_the_ddi", |bench, folder| {
            let system = System { overlay: true, root: Release::Next, ..System::of(Source::Partition) };
            accepted_by_systemd(&boot(bench, folder, system)?)
        }),
        test("uki_reaches_multi_user_target_on_the_volume_that_the_tpm_opened", |bench, folder| {
            links_are_those_of_the_volume(&boot(bench, folder, System::by_firmware())?)
        }),
        test("volume_that_systemd_of_the_image_opened_is_closed_to_the_root_by_a_unit", |bench, folder| {
            latched_by_a_unit(&boot(bench, folder, System { opened_by_systemd: true, ..System::by_firmware() })?)
        }),
        test("uki_reaches_multi_user_target_of_a_current_systemd_on_the_volume", |bench, folder| {
            let system = System { root: Release::Next, ..System::by_firmware() };
            links_are_those_of_the_volume(&boot(bench, folder, system)?)
        }),
    ]
}

/// The systemd of oe-core: one at least as new has to accept our DDI.
const CURRENT_SYSTEMD: u32 = 261;

/// Milliseconds that systemd may take from its exec to its first clock reading, on a slow emulated machine.
const INIT_STARTS: u64 = 3000;
/// Milliseconds by which rounded parts may miss the rounded total.
const ROUNDING: u64 = 4;

fn boot(bench: &Bench, folder: &Path, system: System) -> Result<Outcome> {
    let prepared = system.prepare(bench.cache(), bench.parts(), folder)?;
    let outcome = system::boot(bench.parts(), &prepared, folder, None, Answer::PowerOff, Meter::Off, &|_| {})?;
    let booted = assert_boot_chain(&outcome, &prepared.expected)?;
    let failed = text(&outcome, "failed-units")?;
    ensure!(failed.is_empty(), "failed units:\n{failed}\n{}", console(&outcome));
    // The journal reaches back to storage-init, has one line of it, and holds no error of anybody.
    let storage_init = text(&outcome, "storage-init")?;
    let wanted = outcome_line(&booted.record);
    ensure!(
        storage_init == wanted,
        "expected one line of storage-init in the journal, {wanted}; found:\n{storage_init}"
    );
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
    ensure!(time.contains("\nmulti-user.target reached after "), "systemd-analyze: {time}");
    let totals = Totals::read(time).with_context(|| format!("systemd-analyze: {time}"))?;
    totals.are_sensible(bench, &outcome).with_context(|| format!("systemd-analyze: {time}"))?;
    Ok(outcome)
}

/// What storage-init says of a boot that it has handed over.
fn outcome_line(record: &BootRecord) -> String {
    let event = Event::HandOver {
        init: "/sbin/init",
        device: &record.device,
        version: &record.version,
        signer: &record.signer.common_name,
        development: record.signer.development,
    };
    event.to_string()
}

/// What `systemd-analyze time` makes of a boot, in milliseconds.
struct Totals {
    kernel: u64,
    initrd: u64,
    userspace: u64,
    total: u64,
}

impl Totals {
    /// Reads `Startup finished in 1.234s (kernel) + 2.345s (initrd) + 3.456s (userspace) = 7.035s`.
    fn read(time: &str) -> Result<Self> {
        let line = time.lines().next().and_then(|line| line.strip_prefix("Startup finished in "));
        let line = line.context("it does not begin with the totals")?;
        let (kernel, rest) = line.split_once(" (kernel) + ").context("no kernel")?;
        let (initrd, rest) = rest.split_once(" (initrd) + ").context("no initrd")?;
        let (userspace, total) = rest.split_once(" (userspace) = ").context("no userspace")?;
        let [kernel, initrd, userspace, total] = [kernel, initrd, userspace, total].map(milliseconds);
        Ok(Self { kernel: kernel?, initrd: initrd?, userspace: userspace?, total: total? })
    }

    /// storage-init's time is the kernel's to systemd: that part ends when the DDI's init starts, right after the log says that
    /// it was executed, and the parts are all there is.
    fn are_sensible(&self, bench: &Bench, outcome: &Outcome) -> Result<()> {
        let timeline = timeline(bench, outcome)?;
        let handed_over = timeline.end_us / 1000;
        ensure!(
            (handed_over..handed_over + INIT_STARTS).contains(&self.kernel),
            "kernel {} ms, but storage-init executed init at {handed_over} ms",
            self.kernel
        );
        let sum = self.kernel + self.initrd + self.userspace;
        ensure!(sum.abs_diff(self.total) <= ROUNDING, "the parts are {sum} ms, the total is {} ms", self.total);
        Ok(())
    }
}

/// `1min 2.345s` or `345ms`, in milliseconds.
fn milliseconds(span: &str) -> Result<u64> {
    let mut sum = 0.0;
    for part in span.split_ascii_whitespace() {
        let digits = part.trim_end_matches(|character: char| character.is_ascii_alphabetic());
        let unit = match part.strip_prefix(digits) {
            Some("min") => 60_000.0,
            Some("s") => 1000.0,
            Some("ms") => 1.0,
            _ => bail!("not a time: {span}"),
        };
        sum += digits.parse::<f64>().with_context(|| format!("not a time: {span}"))? * unit;
    }
    Ok(sum.round() as u64)
}

/// `systemd-dissect --validate` of the partition that holds the DDI, in the guest.
fn accepted_by_systemd(outcome: &Outcome) -> Result<()> {
    let verdict = text(outcome, "dissect")?;
    ensure!(verdict.ends_with("\nexit status 0"), "systemd-dissect --validate: {verdict}");
    Ok(())
}

/// udev takes the volume for ready: its name and the link to its file system lead to the same device.
fn links_are_those_of_the_volume(outcome: &Outcome) -> Result<()> {
    let links = text(outcome, "links")?;
    let target = |link: &str| links.lines().find_map(|line| line.strip_prefix(link)?.strip_prefix(' '));
    let volume = target("/dev/mapper/root").with_context(|| format!("no /dev/mapper/root: {links}"))?;
    let file_system = target(&format!("/dev/disk/by-uuid/{ROOT_UUID}"));
    ensure!(volume.starts_with("/dev/dm-") && file_system == Some(volume), "links: {links}");
    Ok(())
}

/// storage-init measured the image and latched nothing; the image's systemd opened the volume, by the policy that is signed for its own phase;
/// then the unit latched the register, which is as the real root finds it, and as the log says.
fn latched_by_a_unit(outcome: &Outcome) -> Result<()> {
    let record = boot_report::record(outcome.report.as_ref().context("no report")?)?;
    let measured = record.measured.as_ref().context("nothing was measured")?;
    ensure!(record.volumes.is_empty() && !record.latched, "{record:?}");
    let table = text(outcome, "crypt-table")?;
    ensure!(table.contains(" crypt aes-xts-plain64 "), "dmsetup: {table}");
    let latch = text(outcome, "latch")?;
    ensure!(latch.contains("register 13: latched, banks sha1 sha256\n"), "initoverlayfs-latch.service: {latch}");
    let register = text(outcome, "register-13")?;
    let wanted = pcr::after(Bank::Sha256, [measured.event.as_bytes(), LATCH.as_bytes()]).to_string();
    ensure!(register.eq_ignore_ascii_case(&wanted), "register 13 is {register}, expected {wanted}");
    let log = text(outcome, "measurements")?;
    let place = |event: &str| log.find(&format!("\"{event}\"")).with_context(|| format!("no {event} in {log}"));
    ensure!(place(&measured.event)? < place("enter-initrd")? && place("enter-initrd")? < place(LATCH)?, "{log}");
    Ok(())
}

fn text<'a>(outcome: &'a Outcome, section: &str) -> Result<&'a str> {
    Ok(outcome.report.as_ref().context("no report")?.text(section)?.trim_end())
}
