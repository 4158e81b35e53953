// SPDX-License-Identifier: MIT OR Apache-2.0
//! A volume that systemd enrolled to a key that signs policies, not to a kernel or an image: it opens with every pair that the key signed
//! for, and with no other.
//!
//! Each test is one machine over several boots by firmware. Its image does the same in all of them; the version alone differs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use boot_record::boot_json::BootRecord;
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use xtask::disk::{Ddi, Disk, ESP_FOLDER};
use xtask::keys::{self, Keys};
use xtask::qemu::bench::{self, Bench, expected};
use xtask::qemu::enrolled_root;
use xtask::qemu::firmware::ByFirmware;
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::machine::{ENROL_TO_KEY, ENROLLED, Machine, POLICY_KEY, Powered, WANTED};
use xtask::qemu::tpm::traffic::{Exchange, code};
use xtask::qemu::volume::Volume;
use xtask::qemu::{Config, Exit, Outcome};
use xtask::tamper::{Signer, Tamper};

use crate::support::{action, assert_boot_chain, assert_open, assert_secret_kept, assert_shut, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("updated_kernel_and_image_with_a_signed_policy_open_the_volume", updated),
        test("image_that_fails_after_it_was_measured_leaves_the_volume_to_the_other_one", other_one),
        test("policy_in_the_uki_opens_the_volume_for_an_image_in_a_partition", in_the_uki),
        test("image_without_a_policy_of_its_own_does_not_open_the_volume", unsigned),
    ]
}

/// Commands at the TPM's socket from init on, extend and latch included.
const COMMANDS: usize = 12;
/// As [`WANTED`]; the configuration is part of the kernel that firmware starts, so that it is another kernel.
const OTHER_KERNEL: &str =
    "unlock = data 6f3c2f4e-8d52-4c0e-9f43-000000000001\nunlock-failure = ignore\ntpm-deadline = 4s\n";
/// What is said of a policy that is not for this kernel and this image, of one by another key, and of none.
const OTHER_REGISTERS: &str = "token 0: the registers are not as the policy wants them";
const OTHER_KEY: &str = "token 0: no signature for this key, bank and registers";
const NO_POLICY: &str = "token 0: wants a signed policy, and there is no signature";

/// A machine whose volume was enrolled to the policy key.
struct Enrolled<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    machine: Machine<'a>,
    policy_keys: Keys,
    files: Vec<(String, Vec<u8>)>,
}

/// Who signs a policy for a boot.
#[derive(Clone, Copy)]
enum Policy<'a> {
    /// The key that the volume was enrolled to, for this boot.
    Own,
    /// Another key, for this boot.
    OfAnotherKey,
    /// The file of an earlier boot lies there.
    OfBefore(&'a Path),
    /// There is none.
    None,
}

impl<'a> Enrolled<'a> {
    fn make(bench: &'a Bench, folder: &'a Path) -> Result<Self> {
        let tools = &bench.parts().tools;
        let policy_keys = enrolled_root::policy_keys(bench.cache(), bench.parts())?;
        let public = keys::public_pem(tools, &policy_keys)?;
        let made = Self {
            bench,
            folder,
            machine: Machine::make(bench, folder, Volume::make(tools, folder)?)?,
            policy_keys,
            files: vec![(POLICY_KEY.to_owned(), public.into_bytes())],
        };
        let (first, _) = made.boot("1.0", "", Policy::None)?;
        ensure!(action(&first, 1)?.ends_with(ENROLLED), "systemd-cryptenroll: {}", action(&first, 1)?);
        made.machine.volume.forget_passphrase(tools, folder)?;
        Ok(made)
    }

    fn ddi(&self, version: &str) -> Result<Ddi> {
        self.machine.ddi(version, &[ENROL_TO_KEY], &self.files)
    }

    /// Where the policy for an image of this version is written.
    fn policy_file(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{}.pcrsig", bench::name(version)))
    }

    fn config(more: &'static str) -> Config {
        Config {
            kernel: KernelChoice::Measured,
            sources: vec![Source::EspFile],
            measure: "require",
            more,
            ..Config::default()
        }
    }

    /// A boot with these policies on the ESP: paths and contents.
    fn boot_disk(&self, config: Config, disk: Disk, policies: &[(String, Vec<u8>)]) -> Result<Outcome> {
        let files: Vec<(&str, &[u8])> =
            policies.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let firmware = Some(ByFirmware { esp_files: &files, ..ByFirmware::default() });
        self.machine.boot(Powered { config, firmware, disk, rules: &[] })
    }

    fn boot(&self, version: &str, more: &'static str, policy: Policy<'_>) -> Result<(Outcome, BootRecord)> {
        let ddi = self.ddi(version)?;
        let config = Self::config(more);
        let signed: Vec<_> = self.policy(version, &ddi, &config, policy)?.into_iter().collect();
        let outcome = self.boot_disk(config, bench::disk(Source::EspFile, &[(version, &ddi)]), &signed)?;
        let booted = assert_boot_chain(&outcome, &expected(version, &ddi, Source::EspFile, false))?;
        Ok((outcome, booted.record))
    }

    /// What lies beside the image, and where on the ESP.
    fn policy(
        &self,
        version: &str,
        ddi: &Ddi,
        config: &Config,
        policy: Policy<'_>,
    ) -> Result<Option<(String, Vec<u8>)>> {
        let parts = self.bench.parts();
        let file = match policy {
            Policy::None => return Ok(None),
            Policy::OfBefore(file) => file.to_owned(),
            Policy::Own | Policy::OfAnotherKey => self.policy_file(version),
        };
        let keys = match policy {
            Policy::Own => Some(self.policy_keys.clone()),
            Policy::OfAnotherKey => Some(keys::named(self.bench.cache(), &parts.tools, "other")?),
            Policy::OfBefore(_) | Policy::None => None,
        };
        if let Some(keys) = keys {
            let uki = self.bench.uki(self.folder, config)?;
            let signer = parts.keys(self.bench.cache(), Signer::Development)?;
            parts.ddi.sign_policy(&parts.tools, &ddi.image, &signer, &uki, &keys, &file)?;
        }
        Ok(Some((format!("{ESP_FOLDER}/{}.pcrsig", bench::name(version)), std::fs::read(file)?)))
    }
}

/// An update of both, one after the other; nothing was enrolled anew.
fn updated(bench: &Bench, folder: &Path) -> Result<()> {
    let enrolled = Enrolled::make(bench, folder)?;
    let (outcome, record) = enrolled.boot("1.0", WANTED, Policy::Own)?;
    assert_open(&record)?;
    let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
    let commands: Vec<u32> = traffic.of_init().map(Exchange::code).collect();
    let latch = commands.iter().enumerate().filter(|(_, command)| **command == code::PCR_EXTEND).nth(1);
    let (last, _) = latch.context("no latch")?;
    println!("commands on the bus with a signed policy: {} ({:x?})", last + 1, commands.get(..=last));
    ensure!(last < COMMANDS, "{} commands: {commands:x?}", last + 1);
    assert_secret_kept(&outcome, &enrolled.machine.volume, &bench.parts().tools, folder)?;

    let (_, record) = enrolled.boot("1.1", WANTED, Policy::Own)?;
    assert_open(&record).context("an updated image")?;
    let (_, record) = enrolled.boot("1.1", OTHER_KERNEL, Policy::Own)?;
    assert_open(&record).context("an updated kernel")?;
    Ok(())
}

/// A changed image, rightly signed as an image: with the policy of the one before, with that of another key, and with none.
fn unsigned(bench: &Bench, folder: &Path) -> Result<()> {
    let enrolled = Enrolled::make(bench, folder)?;
    let (_, record) = enrolled.boot("1.0", WANTED, Policy::Own)?;
    assert_open(&record)?;
    let before = enrolled.policy_file("1.0");
    let (_, record) = enrolled.boot("1.1", WANTED, Policy::OfBefore(&before))?;
    assert_shut(&record, OTHER_REGISTERS)?;
    let (_, record) = enrolled.boot("1.1", WANTED, Policy::OfAnotherKey)?;
    assert_shut(&record, OTHER_KEY)?;
    let (_, record) = enrolled.boot("1.1", WANTED, Policy::None)?;
    assert_shut(&record, NO_POLICY)
}

/// An image in a partition has nothing beside it. What is signed for it and its kernel lies in the UKI, from where systemd's stub takes it; it
/// is no part of what is measured, so that it can be put there afterwards.
fn in_the_uki(bench: &Bench, folder: &Path) -> Result<()> {
    let enrolled = Enrolled::make(bench, folder)?;
    let config = Config { sources: vec![Source::Partition], ..Enrolled::config(WANTED) };
    let ddi = enrolled.ddi("1.0")?;
    let (parts, file) = (bench.parts(), enrolled.policy_file("1.0"));
    let uki = bench.uki(folder, &config)?;
    let signer = parts.keys(bench.cache(), Signer::Development)?;
    parts.ddi.sign_policy(&parts.tools, &ddi.image, &signer, &uki, &enrolled.policy_keys, &file)?;
    let boot = |policies: Option<&Path>| -> Result<BootRecord> {
        let firmware = Some(ByFirmware { policies, ..ByFirmware::default() });
        let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
        let outcome = enrolled.machine.boot(Powered { config: config.clone(), firmware, disk, rules: &[] })?;
        Ok(assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?.record)
    };
    let record = boot(Some(&file))?;
    assert_open(&record)?;
    assert_shut(&boot(None)?, NO_POLICY)
}

/// The newer image has a bad block and three tries. It is measured, recorded and left by a reset; the next boot takes the older, whose policy
/// opens the volume: what the first one left in the register went with the reset.
fn other_one(bench: &Bench, folder: &Path) -> Result<()> {
    const OLD: &str = "1.9";
    const NEW: &str = "1.10";
    let enrolled = Enrolled::make(bench, folder)?;
    let config = Enrolled::config(WANTED);
    let mut policies = Vec::new();
    let mut images = Vec::new();
    for version in [OLD, NEW] {
        let ddi = enrolled.ddi(version)?;
        policies.extend(enrolled.policy(version, &ddi, &config, Policy::Own)?);
        images.push(ddi);
    }
    let [old, new] = images.as_slice() else { anyhow::bail!("two images") };
    let tools = &bench.parts().tools;
    let trusted = bench.parts().keys(bench.cache(), Signer::Development)?;
    Tamper::Tree.apply_to_image(tools, &new.image, &trusted)?;
    let disk = |counter: &str| bench::disk(Source::EspFile, &[(OLD, old), (&format!("{NEW}{counter}"), new)]);

    let outcome = enrolled.boot_disk(config.clone(), disk("+3"), &policies)?;
    let recorded = format!("initoverlayfs_{NEW}+3.raw: recorded as bad");
    ensure!(outcome.console.iter().any(|line| line.ends_with(&recorded)), "nobody said so\n{}", console(&outcome));
    ensure!(outcome.exit == Exit::Reset, "expected a reset, found {:?}\n{}", outcome.exit, console(&outcome));

    let outcome = enrolled.boot_disk(config, disk("+0-1"), &policies)?;
    let booted = assert_boot_chain(&outcome, &expected(OLD, old, Source::EspFile, false))?;
    assert_open(&booted.record)?;
    Ok(())
}
