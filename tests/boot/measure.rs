// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured before it is read, and what becomes of a boot that cannot be.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use boot_record::boot_json::Measurement;
use boot_record::config::Source;
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use libtest_mimic::Trial as Test;
use tpm_policy::{Bank, pcr};
use xtask::boot_report::Booted;
use xtask::call;
use xtask::disk::{Candidate, Ddi, Disk};
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::firmware::ByFirmware;
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::tpm::script::{Fault, Rule};
use xtask::qemu::tpm::traffic::{Exchange, code};
use xtask::qemu::tpm::{Attached, Chip};
use xtask::qemu::{BootBinary, Config, Exit, Outcome};
use xtask::tamper::Tamper;
use xtask::userspace::INITRD_RELEASE;

use crate::support::{action, assert_boot_chain, assert_measured, assert_refused, console, said, test};
use crate::vfat::Layout;

pub fn tests() -> Vec<Test> {
    vec![
        test("boot_that_requires_a_tpm_is_refused_without_one", required),
        test("tpm_is_not_built_in", not_built_in),
        test("boot_that_prefers_a_tpm_goes_on_without_one_and_says_so", preferred),
        test("image_is_measured_into_every_bank_and_into_systemds_log", measured),
        test("systemd_lists_our_event_and_its_replay_is_the_register_also_after_it_appended", listed),
        test("tpm_that_is_busy_is_asked_again", busy),
        test("tpm_that_refuses_is_not_required_by_who_prefers_one", refuses),
        test("lost_answer_of_the_tpm_leaves_no_second_candidate", lost),
        test("tpm_that_the_kernel_gives_up_ends_the_boot", given_up),
        test("tpm_that_never_answers_ends_at_the_deadline", silent),
        test("image_that_fails_after_it_was_measured_is_recorded_as_bad", condemned),
        test("image_whose_init_does_not_start_is_recorded_as_bad_while_its_file_is_in_use", condemned_at_the_end),
        test("partition_that_fails_after_it_was_measured_powers_off", nothing_to_record_it_in),
    ]
}

/// `prefer` too: the image's maker asked for a register that says what was booted.
fn not_built_in(bench: &Bench, folder: &Path) -> Result<()> {
    let config = Config { boot_binary: Some(BootBinary::Least), ..config("prefer") };
    let outcome = bench.boot(folder, &Trial { config, ..Trial::default() })?;
    assert_refused(&outcome, Reason::ConfigInvalid, "/etc/initoverlayfs.conf")
}

fn config(measure: &'static str) -> Config {
    Config { measure, ..Config::default() }
}

/// A boot of `ddis` from partitions, newest last, on a machine with a TPM.
fn boot(bench: &Bench, folder: &Path, measure: &'static str, rules: &[Rule], disk: Disk) -> Result<Outcome> {
    let chip = Chip::make(&bench.parts().tools, folder, "tpm")?;
    let config = Config { measure, kernel: KernelChoice::Measured, ..Config::default() };
    let trial = Trial { config, disk: Some(disk), tpm: Some(Attached { chip: &chip, rules }), ..Trial::default() };
    bench.boot(folder, &trial)
}

/// One fault, at the only command that storage-init sends to a TPM.
fn at_the_extend(fault: Fault) -> [Rule; 1] {
    [Rule { command: code::PCR_EXTEND, number: Some(1), fault }]
}

/// Extends since the kernel started init that the TPM took.
fn extends(outcome: &Outcome) -> Result<usize> {
    let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
    let taken = |exchange: &&Exchange| exchange.code() == code::PCR_EXTEND && exchange.answer_code() == 0;
    Ok(traffic.of_init().filter(taken).count())
}

const MASKS: [(Bank, &str); 2] =
    [(Bank::Sha1, "read /sys/class/tpm/tpm0/pcr-sha1/13"), (Bank::Sha256, "read /sys/class/tpm/tpm0/pcr-sha256/13")];
const LOG: &str = "read /run/log/systemd/tpm2-measure.log";

/// The register in both banks is what a host computes from the image, and what a replay of the log comes to.
fn measured(bench: &Bench, folder: &Path) -> Result<()> {
    let actions = [MASKS[0].1, MASKS[1].1, LOG];
    let ddi = bench.small_ddi(folder, &Small { actions: &actions, ..Small::default() })?;
    let outcome = boot(bench, folder, "require", &[], bench::disk(Source::EspFile, &[("1.0", &ddi)]))?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false))?;
    let event = &assert_measured(&booted.record, &ddi, &[Bank::Sha1, Bank::Sha256])?;
    for (number, (bank, _)) in (1..).zip(MASKS) {
        let register = action(&outcome, number)?;
        let predicted = pcr::after(bank, [event.as_bytes()]).to_string();
        ensure!(register.trim_end().eq_ignore_ascii_case(&predicted), "{bank}: {register}, predicted {predicted}");
    }
    replay(&action(&outcome, 3)?, event)?;
    ensure!(extends(&outcome)? == 1, "{} extends", extends(&outcome)?);
    let traffic = outcome.tpm.as_ref().context("there was no TPM")?;
    let others = traffic.of_init().map(Exchange::code).filter(|code| ![code::PCR_READ, SHUTDOWN].contains(code));
    let others: Vec<u32> = others.collect();
    ensure!(others == [code::PCR_EXTEND], "commands of storage-init: {others:x?}");
    Ok(())
}

/// TPM2_Shutdown: the kernel's, when the probe powers off.
const SHUTDOWN: u32 = 0x145;

/// One record, whose digests are those of its text.
fn replay(log: &str, event: &str) -> Result<()> {
    let records: Vec<&str> = log.split('\x1e').collect();
    let ["", record] = records.as_slice() else { anyhow::bail!("expected one record, found {log:?}") };
    let record: serde_json::Value = serde_json::from_str(record)?;
    let text = |pointer: &str| record.pointer(pointer).and_then(serde_json::Value::as_str);
    ensure!(record.pointer("/pcr").and_then(serde_json::Value::as_u64) == Some(13), "{record}");
    ensure!(text("/content_type") == Some("systemd") && text("/content/string") == Some(event), "{record}");
    for (number, (bank, _)) in MASKS.into_iter().enumerate() {
        let digest = bank.digest(&[event.as_bytes()]).to_string();
        ensure!(text(&format!("/digests/{number}/hashAlg")) == Some(bank.name()), "{record}");
        ensure!(text(&format!("/digests/{number}/digest")) == Some(&digest), "{record}");
    }
    ensure!(record.pointer("/digests/2").is_none(), "{record}");
    Ok(())
}

/// Where the kernel has the firmware's log, without which systemd-pcrlock lists nothing.
const SECURITYFS: &str = "mount securityfs /sys/kernel/security";
const PCRLOCK: &str = "run /usr/lib/systemd/systemd-pcrlock log --json=short --no-pager";
/// systemd appends to the log and extends the register; it does so by itself only where its stub measured the kernel.
const APPEND: &str = "run /usr/bin/env SYSTEMD_FORCE_MEASURE=1 /usr/lib/systemd/systemd-pcrextend --pcr=13 appended";

/// systemd-pcrlock replays the log and compares what it comes to with the register.
fn listed(bench: &Bench, folder: &Path) -> Result<()> {
    let actions = [SECURITYFS, PCRLOCK, APPEND, PCRLOCK];
    let small = Small { actions: &actions, volumes: true, ..Small::default() };
    let ddi = bench.small_ddi(folder, &small)?;
    let chip = Chip::make(&bench.parts().tools, folder, "tpm")?;
    let config = Config { kernel: KernelChoice::Measured, ..config("require") };
    let trial = Trial {
        config,
        firmware: Some(ByFirmware::default()),
        tpm: Some(Attached { chip: &chip, rules: &[] }),
        disk: Some(bench::disk(Source::EspFile, &[("1.0", &ddi)])),
        ..Trial::default()
    };
    let outcome = bench.boot(folder, &trial)?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::EspFile, false))?;
    let measured = booted.record.measured.as_ref().context("nothing was measured")?;
    ensure!(action(&outcome, 3)?.ends_with("exit status 0"), "systemd-pcrextend: {}", action(&outcome, 3)?);
    let both = [measured.event.as_str(), "appended"];
    in_register(&action(&outcome, 2)?, &both[..1])?;
    in_register(&action(&outcome, 4)?, &both)
}

/// systemd-pcrlock has these events for the register of the image, in this order, and they are what the register holds.
fn in_register(listing: &str, events: &[&str]) -> Result<()> {
    let json = listing.lines().find(|line| line.starts_with('{')).with_context(|| format!("no JSON: {listing}"))?;
    let listing: serde_json::Value = serde_json::from_str(json)?;
    let of_image = |row: &&serde_json::Value| row.get("pcr").and_then(serde_json::Value::as_u64) == Some(13);
    let rows = |table: &str| -> Vec<&serde_json::Value> {
        listing.get(table).and_then(serde_json::Value::as_array).into_iter().flatten().filter(of_image).collect()
    };
    let log = rows("log");
    ensure!(log.len() == events.len(), "expected {events:?}, found {log:?}");
    for (row, event) in log.iter().zip(events) {
        let description = row.get("description").and_then(serde_json::Value::as_str).unwrap_or_default();
        ensure!(description.contains(event), "expected {event}, found {row}");
    }
    let [register] = rows("pcrs")[..] else { anyhow::bail!("expected one register 13: {listing}") };
    let matches = register.get("hashMatchesEventLog").and_then(serde_json::Value::as_bool);
    ensure!(matches == Some(true), "a replay of the log does not equal the register: {register}");
    Ok(())
}

fn one_boots(bench: &Bench, folder: &Path, measure: &'static str, rules: &[Rule]) -> Result<(Outcome, Booted)> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let outcome = boot(bench, folder, measure, rules, bench::disk(Source::Partition, &[("1.0", &ddi)]))?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?;
    Ok((outcome, booted))
}

fn busy(bench: &Bench, folder: &Path) -> Result<()> {
    const TESTING: u32 = 0x90a;
    let (outcome, booted) = one_boots(bench, folder, "require", &at_the_extend(Fault::Code(TESTING)))?;
    ensure!(booted.record.measurement == Measurement::Measured, "{:?}", booted.record.measurement);
    ensure!(extends(&outcome)? == 1, "{} extends", extends(&outcome)?);
    Ok(())
}

fn refuses(bench: &Bench, folder: &Path) -> Result<()> {
    const FAILURE: u32 = 0x101;
    let rules = [Rule { command: code::PCR_EXTEND, number: None, fault: Fault::Code(FAILURE) }];
    let (outcome, booted) = one_boots(bench, folder, "prefer", &rules)?;
    ensure!(booted.record.measurement == Measurement::TpmFailed, "{:?}", booted.record.measurement);
    let line = "not measured: tpm-failed: TPM2_PCR_Extend: TPM_RC_FAILURE";
    ensure!(outcome.console.iter().any(|said| said.ends_with(line)), "nobody said so\n{}", console(&outcome));

    let folder = folder.join("required");
    std::fs::create_dir(&folder)?;
    let ddi = bench.small_ddi(&folder, &Small::default())?;
    let outcome = boot(bench, &folder, "require", &rules, bench::disk(Source::Partition, &[("1.0", &ddi)]))?;
    assert_refused(&outcome, Reason::TpmFailed, "vda1")
}

/// Two images, and nobody knows whether the register already names the first.
fn lost(bench: &Bench, folder: &Path) -> Result<()> {
    let (old, new) = two(bench, folder, None)?;
    let disk = bench::disk(Source::Partition, &[(OLD, &old), (NEW, &new)]);
    let rules = at_the_extend(Fault::Garbage(vec![0xff; 7]));
    let outcome = boot(bench, folder, "require", &rules, disk)?;
    assert_refused(&outcome, Reason::TpmFailed, "vda2")?;
    no_second(&outcome)
}

/// Nothing is said of the older image.
fn no_second(outcome: &Outcome) -> Result<()> {
    let tried = outcome.console.iter().any(|line| line.starts_with("storage-init: ") && line.contains(": vda1"));
    ensure!(!tried, "a second one was tried\n{}", console(outcome));
    Ok(())
}

/// The kernel waits 750 ms for the answer to an extend (TPM2_DURATION_MEDIUM, include/linux/tpm.h), and gives the command up then. Who is
/// given more patience hears of that; who is given less has ended by then.
const OF_KERNEL: Duration = Duration::from_millis(750);
/// PID 1 waits twice the deadline and 250 ms more for a measurement.
const LONGER: &str = "require\ntpm-deadline = 5s";
const SHORTER: &str = "require\ntpm-deadline = 100ms";

/// A TPM that takes the extend and does not answer it.
fn mute(bench: &Bench, folder: &Path, measure: &'static str) -> Result<Outcome> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let rules = at_the_extend(Fault::Delay(OF_KERNEL * 6));
    let outcome = boot(bench, folder, measure, &rules, bench::disk(Source::Partition, &[("1.0", &ddi)]))?;
    assert_refused(&outcome, Reason::TpmFailed, "vda1")?;
    Ok(outcome)
}

fn given_up(bench: &Bench, folder: &Path) -> Result<()> {
    let outcome = mute(bench, folder, LONGER)?;
    said(&outcome, "TPM2_PCR_Extend: response not received (os error 62)")
}

fn silent(bench: &Bench, folder: &Path) -> Result<()> {
    let outcome = mute(bench, folder, SHORTER)?;
    said(&outcome, "tpm-unlock: no answer in time")
}

const OLD: &str = "1.9";
const NEW: &str = "1.10";

/// An older image and a newer one; the newer may be spoilt.
fn two(bench: &Bench, folder: &Path, tamper: Option<Tamper>) -> Result<(Ddi, Ddi)> {
    let old = bench.small_ddi(folder, &Small { version: OLD, ..Small::default() })?;
    let new = bench.small_ddi(folder, &Small { version: NEW, tamper, ..Small::default() })?;
    Ok((old, new))
}

/// The newer image has a bad block and three tries. The boot that finds it measures it, records it, and resets; the next boot has the
/// disk as this one left it, and takes the older.
fn condemned(bench: &Bench, folder: &Path) -> Result<()> {
    let (old, new) = two(bench, folder, Some(Tamper::Tree))?;
    let disk = |new_name: &str| {
        let candidates = [(bench::name(OLD), &old), (bench::name(new_name), &new)];
        let candidates =
            candidates.into_iter().map(|(name, ddi)| Candidate { name, image: ddi.image.clone() }).collect();
        Disk { esp: Some(candidates), ..Disk::default() }
    };
    let outcome = boot(bench, folder, "require", &[], disk(&format!("{NEW}+3")))?;
    let said = |text: &str| outcome.console.iter().any(|line| line.contains(text));
    let name = format!("vda1:/initoverlayfs/initoverlayfs_{NEW}+3.raw");
    ensure!(said(&format!("{name}: recorded as bad")), "nobody said so\n{}", console(&outcome));
    ensure!(said(&format!("BOOT FAILED: corrupt: {name}: ")), "another reason\n{}", console(&outcome));
    ensure!(outcome.exit == Exit::Reset, "expected a reset, found {:?}\n{}", outcome.exit, console(&outcome));
    ensure!(extends(&outcome)? == 1, "{} extends", extends(&outcome)?);

    let bad = format!("{NEW}+0-1");
    let listed = names(bench, &folder.join("disk0.img"))?;
    let expected_names = [bench::name(&bad) + ".raw", bench::name(OLD) + ".raw"];
    ensure!(expected_names.iter().all(|name| listed.contains(name)), "the folder has\n{listed}");
    ensure!(!listed.contains("+3"), "the folder has\n{listed}");

    let folder = folder.join("next");
    std::fs::create_dir(&folder)?;
    let outcome = boot(bench, &folder, "require", &[], disk(&bad))?;
    let booted = assert_boot_chain(&outcome, &expected(OLD, &old, Source::EspFile, false))?;
    ensure!(booted.record.refused.is_empty() && booted.record.measured.is_some(), "{:?}", booted.record);
    Ok(())
}

/// Exec fails: there is no way back, the root hangs on the file, which is in pieces, so that the ESP is held read-only; a transition does not
/// let it be written.
fn condemned_at_the_end(bench: &Bench, folder: &Path) -> Result<()> {
    let files = [
        ("usr/bin/broken".to_owned(), b"neither ELF nor #!".to_vec()),
        (INITRD_RELEASE.to_owned(), b"ID=test\n".to_vec()),
    ];
    let ddi = bench.small_ddi(folder, &Small { version: NEW, files: &files, ..Small::default() })?;
    let disk = Disk {
        first: vec![Layout::in_pieces().write(bench, folder, 1, &ddi, &format!("{NEW}+3"))?],
        ..Disk::default()
    };
    let outcome = boot(bench, folder, "require\ninit = /usr/bin/broken", &[], disk)?;
    let name = format!("vda1:/initoverlayfs/initoverlayfs_{NEW}+3.raw");
    for line in [
        format!("{name}: recorded as bad"),
        format!("BOOT FAILED: init-missing: {name}: exec /usr/bin/broken: Exec format error"),
    ] {
        ensure!(outcome.console.iter().any(|said| said.contains(&line)), "not said: {line}\n{}", console(&outcome));
    }
    ensure!(outcome.exit == Exit::Reset, "expected a reset, found {:?}\n{}", outcome.exit, console(&outcome));
    let listed = names(bench, &folder.join("disk0.img"))?;
    ensure!(listed.contains(&format!("{}.raw", bench::name(&format!("{NEW}+0-1")))), "the folder has\n{listed}");
    Ok(())
}

/// What the folder of images on the ESP of a disk holds, by mtools.
fn names(bench: &Bench, image: &Path) -> Result<String> {
    /// The first partition begins there.
    const ESP: &str = "@@1M";
    let mut mdir = bench.parts().tools.command("mdir", &[image])?;
    mdir.env("MTOOLS_SKIP_CHECK", "1")
        .args(["-b", "-i"])
        .arg(format!("{}{ESP}", image.display()))
        .arg("::/initoverlayfs");
    Ok(String::from_utf8_lossy(&call::output("mdir", &mut mdir)?).into_owned())
}

/// A reset would come to the same image again, and again.
fn nothing_to_record_it_in(bench: &Bench, folder: &Path) -> Result<()> {
    let (old, new) = two(bench, folder, Some(Tamper::Tree))?;
    let disk = bench::disk(Source::Partition, &[(OLD, &old), (NEW, &new)]);
    let outcome = boot(bench, folder, "require", &[], disk)?;
    assert_refused(&outcome, Reason::Corrupt, "vda2")?;
    no_second(&outcome)
}

fn required(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    // A kernel that has drivers, so that one might come.
    let config = Config { kernel: KernelChoice::Measured, ..config("require\ntpm-deadline = 300ms") };
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    assert_refused(&outcome, Reason::TpmMissing, "vda1")
}

fn preferred(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small::default())?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    // Nobody waits: the machine would look dead for a minute.
    let config = config("prefer\ntpm-deadline = 60s");
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), ..Trial::default() })?;
    let booted = assert_boot_chain(&outcome, &expected("1.0", &ddi, Source::Partition, false))?;
    let record = &booted.record;
    ensure!(record.measurement == Measurement::TpmMissing && record.measured.is_none(), "{record:?}");
    let stage = record.stages.iter().find(|stage| stage.stage == Stage::Measure);
    ensure!(stage.is_some_and(|stage| stage.detail == "tpm-missing" && stage.took_us < 1_000_000), "{stage:?}");
    let line = "not measured: tpm-missing: the kernel has no TPM driver";
    ensure!(outcome.console.iter().any(|said| said.ends_with(line)), "nobody said so\n{}", console(&outcome));
    Ok(())
}
