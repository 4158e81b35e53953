// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that storage-init opens: enrolled by systemd in the guest, opened before init by what was measured, and by nothing else.
//!
//! The volume is a partition of the disk that the image lies on, or of one that is there before; over the boots of a test it stays, like
//! the TPM's state.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use boot_record::boot_json::Measurement;
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use xtask::boot_report::Booted;
use xtask::disk::write_root;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::machine::{ATTACH, ENROL_TO_REGISTERS, ENROLLED, Machine, NEEDED, Powered, WANTED};
use xtask::qemu::tpm::script::{Fault, Rule};
use xtask::qemu::tpm::traffic::{Exchange, Traffic, code};
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::volume::Volume;
use xtask::qemu::{Config, Outcome};
use xtask::userspace::Tree;

use crate::support::{
    action, assert_boot_chain, assert_refused, assert_secret_kept, assert_shut, console, said, test, timeline,
};

pub fn tests() -> Vec<Test> {
    vec![
        test("volume_that_systemd_enrolled_is_open_before_init_and_shut_for_another_image", enrolled),
        test("image_is_measured_as_soon_as_a_slow_tpm_has_done_one_command_for_the_volume", slow),
        test("volume_that_was_prepared_for_nothing_leaves_the_tpm_as_it_was", in_vain),
        test("secret_that_is_changed_on_the_bus_does_not_open_the_volume", changed),
        test("plain_file_system_in_place_of_the_volume_ends_the_boot", plain),
        test("volume_of_somebody_else_with_the_token_of_ours_ends_the_boot", foreign),
        test("volume_that_is_missing_ends_a_boot_that_needs_it", missing_and_needed),
        test("volume_that_is_missing_is_left_to_the_system", missing_and_left),
    ]
}

const TABLE: &str = "run /usr/sbin/dmsetup table --showkeys data";
const INFO: &str = "run /usr/sbin/dmsetup info -c --noheadings -o uuid,name data";
/// What every image does, so that one that enrols is one that opens.
pub const ACTIONS: [&str; 4] = [ENROL_TO_REGISTERS, TABLE, INFO, ATTACH];
/// Commands at the TPM's socket after the extend, until the volume is open.
const AFTER_EXTEND: [u32; 3] = [code::POLICY_PCR, code::UNSEAL, code::FLUSH_CONTEXT];

/// One boot of an image with these lines of configuration.
fn boot(machine: &Machine<'_>, version: &str, more: &'static str, rules: &[Rule]) -> Result<(Outcome, Result<Booted>)> {
    let ddi = machine.ddi(version, &ACTIONS, &[])?;
    let kernel = KernelChoice::Measured;
    let config = Config { kernel, measure: "require", more, ..Config::default() };
    let disk = bench::disk(Source::Partition, &[(version, &ddi)]);
    let outcome = machine.boot(Powered { config, firmware: None, disk, rules })?;
    let booted = assert_boot_chain(&outcome, &expected(version, &ddi, Source::Partition, false));
    Ok((outcome, booted))
}

/// A machine whose volume systemd enrolled to what the image of version 1.0 is measured as.
pub fn make<'a>(bench: &'a Bench, folder: &'a Path) -> Result<Machine<'a>> {
    let machine = Machine::make(bench, folder, Volume::make(&bench.parts().tools, folder)?)?;
    let (first, booted) = boot(&machine, "1.0", "", &[])?;
    ensure!(booted?.record.volumes.is_empty(), "a volume is open that nobody asked for");
    ensure!(action(&first, 1)?.ends_with(ENROLLED), "systemd-cryptenroll: {}", action(&first, 1)?);
    machine.volume.forget_passphrase(&bench.parts().tools, folder)?;
    Ok(machine)
}

fn enrolled(bench: &Bench, folder: &Path) -> Result<()> {
    let mut machine = make(bench, folder)?;
    machine.late = Some(code::START_AUTH_SESSION);
    let (again, booted) = boot(&machine, "1.0", NEEDED, &[])?;
    let record = booted?.record;
    let names: Vec<&str> = record.volumes.iter().map(|volume| volume.name.as_str()).collect();
    ensure!(names == ["data"] && record.latched, "boot.json: {record:?}");
    let uuid = record.volumes.first().context("no volume")?.uuid.as_str();
    let (table, info) = (action(&again, 2)?, action(&again, 3)?);
    let target = format!(" crypt aes-xts-plain64 :64:logon:cryptsetup:{uuid}-d0 0 ");
    ensure!(table.contains(&target), "dmsetup table: {table}");
    let device = format!("CRYPT-LUKS2-{}-data:data", uuid.replace('-', ""));
    ensure!(info.contains(&device), "dmsetup info: {info}, expected {device}");
    ensure!(action(&again, 4)?.contains("already active"), "systemd-cryptsetup: {}", action(&again, 4)?);
    let traffic = again.tpm.as_ref().context("there was no TPM")?;
    let (before, after) = around_the_extend(traffic)?;
    println!("commands on the bus: {before:x?}, extend, {after:x?}, latch");
    ensure!(before == [code::LOAD, code::START_AUTH_SESSION] && after == AFTER_EXTEND, "{before:x?}, {after:x?}");
    let timeline = timeline(bench, &again)?;
    let lane: Vec<&str> = timeline.tpm.iter().map(|command| command.command.as_str()).collect();
    ensure!(lane.starts_with(&["TPM2_Load", "TPM2_StartAuthSession", "TPM2_PCR_Extend"]), "the lane has {lane:?}");
    assert_secret_kept(&again, &machine.volume, &bench.parts().tools, folder)?;

    machine.late = None;
    let (other, booted) = boot(&machine, "1.1", WANTED, &[])?;
    let record = booted?.record;
    assert_shut(&record, "token 0: the registers are not as the policy wants them")
        .with_context(|| format!("another image\n{}", console(&other)))?;
    ensure!(!action(&other, 2)?.contains(" crypt "), "another image has the volume: {}", action(&other, 2)?);
    Ok(())
}

/// Commands of init before the first extend, and between it and the second one, the latch. What comes after that is the system's.
fn around_the_extend(traffic: &Traffic) -> Result<(Vec<u32>, Vec<u32>)> {
    let commands: Vec<u32> = traffic.of_init().map(Exchange::code).collect();
    let mut parts = commands.split(|command| *command == code::PCR_EXTEND);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(after), Some(_)) => Ok((before.to_vec(), after.to_vec())),
        _ => bail!("expected two extends: {commands:x?}"),
    }
}

/// The first command for the volume takes longer than the image needs to be verified.
fn slow(bench: &Bench, folder: &Path) -> Result<()> {
    let mut machine = make(bench, folder)?;
    machine.late = Some(code::LOAD);
    let rules = [Rule { command: code::LOAD, number: Some(1), fault: Fault::Delay(SLOW) }];
    let (outcome, booted) = boot(&machine, "1.0", NEEDED, &rules)?;
    ensure!(booted?.record.latched, "the volume is shut");
    let (before, after) = around_the_extend(outcome.tpm.as_ref().context("there was no TPM")?)?;
    ensure!(before == [code::LOAD], "before the extend: {before:x?}");
    ensure!(after == [&[code::START_AUTH_SESSION][..], &AFTER_EXTEND].concat(), "after it: {after:x?}");
    Ok(())
}

const SLOW: Duration = Duration::from_secs(3);

/// The TPM does not measure, and the boot goes on without: what was loaded and begun for the volume is flushed before init runs.
fn in_vain(bench: &Bench, folder: &Path) -> Result<()> {
    const FAILURE: u32 = 0x101;
    let mut machine = make(bench, folder)?;
    machine.late = Some(code::START_AUTH_SESSION);
    let rules = [Rule { command: code::PCR_EXTEND, number: None, fault: Fault::Code(FAILURE) }];
    let ddi = machine.ddi("1.0", &ACTIONS, &[])?;
    let kernel = KernelChoice::Measured;
    let config = Config { kernel, measure: "prefer", more: WANTED, ..Config::default() };
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let outcome = machine.boot(Powered { config, firmware: None, disk, rules: &rules })?;
    let record = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?.record;
    ensure!(record.measurement == Measurement::TpmFailed && record.volumes.is_empty(), "{record:?}");
    let refused: Vec<(Reason, &str)> = record.refused.iter().map(|it| (it.reason, it.detail.as_str())).collect();
    let disk = (Reason::NoSource, "none of its 1 partitions is a partition of a configured source");
    ensure!(refused == [disk, (Reason::UnlockFailed, "nobody was asked to open it")], "{refused:?}");
    let timeline = timeline(bench, &outcome)?;
    let lane: Vec<&str> = timeline.tpm.iter().map(|command| command.command.as_str()).collect();
    let expected = ["TPM2_Load", "TPM2_StartAuthSession", "TPM2_PCR_Extend", "TPM2_FlushContext", "TPM2_FlushContext"];
    ensure!(lane == expected, "the lane has {lane:?}");
    Ok(())
}

/// Somebody on the bus changes one bit of what the TPM unsealed.
fn changed(bench: &Bench, folder: &Path) -> Result<()> {
    let machine = make(bench, folder)?;
    let rules = [Rule { command: code::UNSEAL, number: Some(1), fault: Fault::Flip(FROM_END) }];
    let (outcome, booted) = boot(&machine, "1.0", WANTED, &rules)?;
    let record = booted?.record;
    assert_shut(&record, "token 0: TPM2_Unseal: the response was changed on its way")
        .with_context(|| console(&outcome))?;
    ensure!(!action(&outcome, 2)?.contains(" crypt "), "the volume is open: {}", action(&outcome, 2)?);
    Ok(())
}

/// Who has the disk in hand puts a file system of his own where the volume was, with programs of his own and the label that a real root has:
/// nothing of it may run in a boot that measured what the key was enrolled to.
fn plain(bench: &Bench, folder: &Path) -> Result<()> {
    let mut machine = make(bench, folder)?;
    let image = folder.join("plain.img");
    let size = machine.volume.image().metadata()?.len();
    write_root(&bench.parts().tools, &Tree::default(), &image, size)?;
    machine.volume = Volume::at(image);
    let (outcome, _) = boot(&machine, "1.0", NEEDED, &[])?;
    assert_refused(&outcome, Reason::UnlockFailed, "data")?;
    said(&outcome, r#", expected "LUKS\xba\xbe""#)
}

/// As a volume whose passphrase he knows, with our token in its header: the TPM unseals our secret, which opens none of his keyslots.
fn foreign(bench: &Bench, folder: &Path) -> Result<()> {
    let mut machine = make(bench, folder)?;
    let tools = &bench.parts().tools;
    let token = machine.volume.token(tools, folder)?;
    // Over the file of ours, which is lost by it; its passphrase is the one that everybody knows.
    machine.volume = Volume::make(tools, folder)?;
    // The token names keyslot 1, that of systemd; there has to be one.
    machine.volume.add_token(&String::from_utf8(token)?.replace("[\"1\"]", "[\"0\"]").into_bytes(), tools, folder)?;
    let (outcome, _) = boot(&machine, "1.0", NEEDED, &[])?;
    assert_refused(&outcome, Reason::UnlockFailed, "data")?;
    said(&outcome, "token 0: the keyslot does not open by this secret")
}

/// Behind the encrypted secret of TPM2_Unseal's answer comes its session: nonce (34), attributes (1), HMAC (34).
const FROM_END: usize = 34 + 1 + 34;

/// Of a disk that has none.
fn boot_without(bench: &Bench, folder: &Path, more: &'static str) -> Result<(Outcome, Result<Booted>)> {
    let chip = Chip::make(&bench.parts().tools, folder, "tpm")?;
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let config = Config { kernel: KernelChoice::Measured, measure: "require", more, ..Config::default() };
    let disk = Some(bench::disk(Source::Partition, &[("1.0", &ddi)]));
    let tpm = Some(Attached { chip: &chip, rules: &[] });
    let outcome = bench.boot(folder, &Trial { config, tpm, disk, ..Trial::default() })?;
    let booted = boot_report(&outcome, &ddi);
    Ok((outcome, booted))
}

fn boot_report(outcome: &Outcome, ddi: &xtask::disk::Ddi) -> Result<Booted> {
    assert_boot_chain(outcome, &expected("1.0", ddi, Source::Partition, false))
}

const ELSEWHERE: &str = "no such partition on the disks that were searched";

fn missing_and_needed(bench: &Bench, folder: &Path) -> Result<()> {
    let more = "unlock = data 6f3c2f4e-8d52-4c0e-9f43-0000000000ff\nunlock-failure = refuse\n";
    let (outcome, _) = boot_without(bench, folder, more)?;
    assert_refused(&outcome, Reason::UnlockFailed, "data")
}

fn missing_and_left(bench: &Bench, folder: &Path) -> Result<()> {
    let (_, booted) = boot_without(bench, folder, "unlock = data 6f3c2f4e-8d52-4c0e-9f43-0000000000ff\n")?;
    let record = booted?.record;
    let refusal = record.refused.first().context("no refusal")?;
    ensure!((refusal.device.as_str(), refusal.detail.as_str()) == ("data", ELSEWHERE), "{refusal:?}");
    ensure!(refusal.reason == Reason::UnlockFailed && record.volumes.is_empty() && !record.latched, "{record:?}");
    Ok(())
}
