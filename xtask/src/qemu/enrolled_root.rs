// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real root on an encrypted volume, and the TPM that opens it: what leaves a factory.
//!
//! * systemd-cryptenroll enrols the volume, in a guest with that TPM: to whatever the policy key signs for registers 11 and 13, so that
//!   another kernel and another DDI need no other enrolment. The passphrase is taken away afterwards.
//! * Both are in the cache, under what they were made of: the root's files and the policy key.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;

use super::bench::{self, Bench};
use super::kernel_choice::KernelChoice;
use super::machine::{ENROL_TO_KEY, ENROLLED, Machine, POLICY_KEY, Powered};
use super::tpm::Chip;
use super::volume::Volume;
use super::{Config, Parts};
use crate::cache::{Cache, Key};
use crate::disk::write_root;
use crate::keys::{self, Keys};
use crate::plan::Cost;
use crate::progress::Step;
use crate::userspace::{self, Release};

/// One for each Debian: an entry of the cache takes the place of the one before it of the same kind.
const fn kind(release: Release) -> &'static str {
    match release {
        Release::Stable => "enrolled-root",
        Release::Next => "enrolled-root-next",
    }
}

/// Raise it when the code below makes another volume of the same inputs.
const RECIPE: u32 = 1;
const COST: Cost = Cost { what: "an encrypted root", disk_mib: 425, download_mib: 40, seconds: 40 };
/// Size of the root: room for what a person may want to try in it.
pub const ROOT_SIZE: u64 = 256 << 20;
/// Version of the image that enrols; nobody compares it.
const VERSION: &str = "1";
/// The name of the key that signs policies.
const POLICY: &str = "policy";

/// The volume and its TPM, in the cache: to be copied, as a boot writes to both.
#[derive(Clone, Debug)]
pub struct EnrolledRoot {
    /// The volume's image.
    pub volume: PathBuf,
    /// The TPM that it was enrolled with.
    pub chip: Chip,
}

/// What it costs the first time.
pub fn cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any(kind(Release::Stable))).then_some(COST)
}

/// The key whose signatures the TPM takes for a policy.
///
/// # Errors
/// openssl fails.
pub fn policy_keys(cache: &Cache, parts: &Parts) -> Result<Keys> {
    keys::named(cache, &parts.tools, POLICY)
}

/// The volume with the root of this Debian in it, out of the cache or made.
///
/// # Errors
/// A tool fails, or the guest does not enrol the volume.
pub fn ensure(cache: &Cache, parts: &Parts, release: Release) -> Result<EnrolledRoot> {
    let root = userspace::root(cache, release)?;
    let public_key = keys::public_pem(&parts.tools, &policy_keys(cache, parts)?)?;
    let key = Key::new(RECIPE)
        .bytes("root", &root.digest())
        .bytes("size", &ROOT_SIZE.to_le_bytes())
        .bytes("policy key", public_key.as_bytes());
    let folder = cache.entry(kind(release), &key, |folder| {
        let step = Step::start("encrypted root: systemd enrols it in a guest", 0);
        let bench = Bench::open()?;
        let workshop = bench.folder(kind(release))?;
        let tools = &bench.parts().tools;
        let image = workshop.path().join("root.img");
        write_root(tools, &root, &image, ROOT_SIZE)?;
        let machine = Machine::make(&bench, workshop.path(), Volume::encrypt(tools, image)?)?;
        enrol(&machine, &public_key)?;
        machine.volume.forget_passphrase(tools, workshop.path())?;
        machine.chip.copy_to(folder, TPM)?;
        std::fs::rename(machine.volume.image(), folder.join(IMAGE)).context("cannot keep the volume")?;
        step.done();
        Ok(())
    })?;
    Ok(EnrolledRoot { volume: folder.join(IMAGE), chip: Chip::in_folder(folder.join(TPM)) })
}

const IMAGE: &str = "volume.img";
const TPM: &str = "tpm";

fn enrol(machine: &Machine<'_>, public_key: &str) -> Result<()> {
    let files = [(POLICY_KEY.to_owned(), public_key.as_bytes().to_vec())];
    let ddi = machine.ddi(VERSION, &[ENROL_TO_KEY], &files)?;
    let config = Config { kernel: KernelChoice::Measured, ..Config::default() };
    let disk = bench::disk(Source::Partition, &[(VERSION, &ddi)]);
    let outcome = machine.boot(Powered { config, firmware: None, disk, rules: &[] })?;
    let log = outcome.log.display();
    let report = outcome.report.as_ref().with_context(|| format!("the guest that enrols sent no report: {log}"))?;
    let said = report.text("action-1")?;
    ensure!(said.ends_with(ENROLLED), "systemd-cryptenroll: {said}");
    Ok(())
}
