// SPDX-License-Identifier: MIT OR Apache-2.0
//! Did it boot? The guest's report, held against what the host knows.
//!
//! A boot is good only if all of this holds, each from its own source:
//! * boot.json (storage-init) names the root hash of the DDI that the host built, its version and source;
//! * libdevmapper in the guest reports that device as verity target with that root hash, the name and UUID that systemd
//!   knows, with a signature in its table if it was the kernel who had to check it, and its status as `V`: no block has
//!   failed;
//! * where a volume has to be open: boot.json says that the image was measured, the volume opened and the register latched after it, and
//!   libdevmapper that it is a crypt target whose key is of that volume;
//! * the root file system is the one that was to be reached, and so is the target.
//!
//! What storage-init itself refuses is its last console line, taken as it stands.

use std::fmt;

use anyhow::{Context, Result};
use boot_record::boot_json::{BootRecord, Measurement};
use boot_record::config::{SignaturePath, Source};

use crate::qemu::{Exit, Outcome, Report};

/// What storage-init prints when it gives up, after `storage-init: `.
const FAILED: &str = "BOOT FAILED: ";
/// What it prints of a candidate that it goes on without.
const REFUSED: &str = "refused: ";
/// How storage-init's lines begin, after the kernel's time stamp.
pub const CONSOLE_PREFIX: &str = "storage-init: ";
/// The optional argument that says the kernel checked a signature when the table was loaded.
const SIGNED: &str = "root_hash_sig_key_desc";

/// Where a boot has to arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// multi-user.target of the real root, on this device.
    RealRoot {
        /// Such as `/dev/vda3`.
        device: String,
    },
    /// The probe, init of a small DDI.
    Probe,
}

/// What the host knows of the boot before it.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Root hash of the DDI that has to be booted.
    pub root_hash: String,
    /// Its version.
    pub version: String,
    /// Where it has to be found.
    pub source: Source,
    /// Who has to have checked its signature.
    pub signature: SignaturePath,
    /// True: the root has a writable layer.
    pub overlay: bool,
    /// The volume that storage-init has to have opened, after it measured the image and before it latched the register; `None`: it is
    /// not looked at.
    pub volume: Option<&'static str>,
    /// Where the boot has to arrive.
    pub target: Target,
}

/// A boot that was checked.
#[derive(Clone, Debug)]
pub struct Booted {
    /// What storage-init recorded.
    pub record: BootRecord,
    /// The root file system reached.
    pub root: String,
    /// The target reached.
    pub target: &'static str,
}

/// A boot that failed, at whatever point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word: storage-init's own, or one of this file's.
    pub reason: String,
    /// What it is about.
    pub device: String,
    /// What was expected and what was found.
    pub detail: String,
}

impl Failure {
    fn new(reason: &str, device: &str, detail: impl fmt::Display) -> Self {
        Self { reason: reason.to_owned(), device: device.to_owned(), detail: format!("{detail:#}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FAILED}{}: {}: {}", self.reason, self.device, self.detail)
    }
}

impl fmt::Display for Booted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BootRecord { version, source, signer, .. } = &self.record;
        write!(
            f,
            "BOOT OK: ddi={version} signer=\"{}\" source={source} root={} target={}",
            signer.common_name, self.root, self.target
        )
    }
}

/// Holds a boot against what was expected of it.
///
/// # Errors
/// The first thing that is not as it should be.
pub fn check(outcome: &Outcome, expected: &Expected) -> Result<Booted, Failure> {
    if let Some(refusal) = refusal(&outcome.console) {
        return Err(refusal);
    }
    let report = outcome.report.as_ref().ok_or_else(|| no_report(outcome))?;
    let record = record(report).map_err(|error| Failure::new("boot-record", "boot.json", error))?;
    check_record(&record, expected)?;
    check_verity(report, &record)?;
    if let Some(name) = expected.volume {
        check_volume(report, &record, name)?;
    }
    let (root, target) = check_target(report, expected)?;
    if outcome.exit != Exit::PowerOff {
        return Err(Failure::new("exit", "guest", format_args!("ended by {:?}, not by powering off", outcome.exit)));
    }
    Ok(Booted { record, root, target })
}

/// storage-init's last words, if it gave up.
pub fn refusal(console: &[String]) -> Option<Failure> {
    said(console, FAILED).next()
}

/// All that storage-init refused: candidates, and what ended the boot unless it is the last word on one of those.
pub fn refusals(console: &[String]) -> Vec<Failure> {
    let mut refusals: Vec<Failure> = said(console, REFUSED).collect();
    refusals.extend(said(console, FAILED).filter(|failure| !said(console, REFUSED).any(|refused| refused == *failure)));
    refusals
}

/// storage-init's lines that begin so, as `REASON: DEVICE: DETAIL`.
fn said<'a>(console: &'a [String], beginning: &'a str) -> impl Iterator<Item = Failure> + 'a {
    console.iter().filter_map(move |line| {
        let mut fields = line.split_once(CONSOLE_PREFIX)?.1.strip_prefix(beginning)?.splitn(3, ": ");
        let mut field = || fields.next().unwrap_or_default();
        Some(Failure::new(field(), field(), field()))
    })
}

/// The record of the guest that was checked by nobody yet.
///
/// # Errors
/// There is none, or it is not of our format.
pub fn record(report: &Report) -> Result<BootRecord> {
    let json = report.bytes("boot.json")?;
    // Sections that could not be read hold the error instead.
    BootRecord::from_json(json).with_context(|| format!("found {:?}", String::from_utf8_lossy(json)))
}

fn no_report(outcome: &Outcome) -> Failure {
    let seconds = outcome.elapsed.as_secs();
    match &outcome.exit {
        Exit::Deadline => Failure::new("deadline", "guest", format_args!("no report within {seconds} s")),
        exit => Failure::new("no-report", "guest", format_args!("ended by {exit:?} after {seconds} s")),
    }
}

fn check_record(record: &BootRecord, expected: &Expected) -> Result<(), Failure> {
    let pairs = [
        ("root-hash", record.root_hash.as_str(), expected.root_hash.as_str()),
        ("version", record.version.as_str(), expected.version.as_str()),
        ("source", &record.source.to_string(), &expected.source.to_string()),
        ("signature", &record.signature.to_string(), &expected.signature.to_string()),
        ("overlay", &record.overlay.to_string(), &expected.overlay.to_string()),
    ];
    for (what, found, wanted) in pairs {
        if found != wanted {
            return Err(Failure::new(what, &record.device, format_args!("boot.json says {found}, expected {wanted}")));
        }
    }
    Ok(())
}

/// What `dmsetup table` and `dmsetup status` say of the device that boot.json names.
fn check_verity(report: &Report, record: &BootRecord) -> Result<(), Failure> {
    let name = record.verity_device.as_str();
    let failure = |reason: &str, detail: &dyn fmt::Display| Failure::new(reason, name, detail);
    let wanted_name = format!("{}-verity", record.root_hash);
    if name != wanted_name {
        return Err(failure("verity-name", &format_args!("expected {wanted_name}")));
    }
    let line = |section| device_line(report, section, name).map_err(|error| failure("verity-device", &error));

    let table = line("verity-table")?;
    let arguments: Vec<&str> = table.split_ascii_whitespace().collect();
    // START SIZE verity VERSION DATA HASH BLOCK BLOCK BLOCKS HASH_START ALGORITHM DIGEST SALT [COUNT OPTION...]
    if arguments.get(2) != Some(&"verity") || arguments.get(11) != Some(&record.root_hash.as_str()) {
        return Err(failure("verity-table", &format_args!("expected a verity target with the root hash: {table}")));
    }
    match (record.signature, arguments.contains(&SIGNED)) {
        (SignaturePath::Kernel, true) | (SignaturePath::UserSpace, false) => {}
        (SignaturePath::Kernel, false) => {
            return Err(failure("verity-table", &format_args!("the kernel was given no signature: {table}")));
        }
        (SignaturePath::UserSpace, true) => {
            return Err(failure("verity-table", &format_args!("the kernel was given a signature: {table}")));
        }
    }
    // The UUID by which systemd takes the device for one of libcryptsetup's: CRYPT-VERITY-, 32 digits, the name.
    let info = report.text("verity-info").map_err(|error| failure("verity-info", &error))?;
    let digits =
        info.lines().find_map(|line| line.strip_prefix("UUID: CRYPT-VERITY-")?.strip_suffix(&format!("-{name}")));
    if digits.is_none_or(|digits| digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(failure("verity-uuid", &format_args!("expected CRYPT-VERITY-(32 digits)-{name}: {}", info.trim())));
    }
    let status = line("verity-status")?;
    // START SIZE verity V, and behind it what a kernel with error correction counts, or "-".
    if status.split_ascii_whitespace().skip(2).take(2).ne(["verity", "V"]) {
        return Err(failure("corrupt", &format_args!("the kernel's status is \"{status}\", expected V")));
    }
    Ok(())
}

/// What boot.json says of the volume, and what `dmsetup table` does: its key is the one that libcryptsetup would name so.
fn check_volume(report: &Report, record: &BootRecord, name: &str) -> Result<(), Failure> {
    let failure = |reason: &str, detail: &dyn fmt::Display| Failure::new(reason, name, detail);
    if record.measurement != Measurement::Measured {
        return Err(failure("measurement", &format_args!("boot.json says {}", record.measurement)));
    }
    let [volume] = record.volumes.as_slice() else {
        return Err(failure("volumes", &format_args!("boot.json says {:?}", record.volumes)));
    };
    if volume.name != name || !record.latched {
        let latched = record.latched;
        return Err(failure("volumes", &format_args!("boot.json says {}, latched: {latched}", volume.name)));
    }
    let table = device_line(report, "crypt-table", name).map_err(|error| failure("crypt-table", &error))?;
    let wanted = format!(" crypt aes-xts-plain64 :64:logon:cryptsetup:{}-d0 ", volume.uuid);
    if table.contains(&wanted) {
        Ok(())
    } else {
        Err(failure("crypt-table", &format_args!("expected {}, found {table}", wanted.trim())))
    }
}

/// The rest of the line `NAME: ...`.
fn device_line<'a>(report: &'a Report, section: &str, name: &str) -> Result<&'a str> {
    let text = report.text(section)?;
    let of_device = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    text.lines().find_map(of_device).with_context(|| format!("not in the kernel's {section}: {}", text.trim()))
}

fn check_target(report: &Report, expected: &Expected) -> Result<(String, &'static str), Failure> {
    let section = |name: &str| report.text(name).map(str::trim).map_err(|error| Failure::new("report", name, error));
    match &expected.target {
        Target::RealRoot { device } => {
            let root = section("root")?;
            let mut fields = root.split(' ');
            if (fields.next(), fields.next()) != (Some(device), Some("ext4")) {
                return Err(Failure::new("root", device, format_args!("expected ext4 on it, / is {root}")));
            }
            let state = section("multi-user")?;
            if state != "active" {
                return Err(Failure::new(
                    "target",
                    "multi-user.target",
                    format_args!("expected active, it is {state}"),
                ));
            }
            Ok((device.clone(), "multi-user.target"))
        }
        Target::Probe => {
            let mounts = section("mounts")?;
            let wanted = if expected.overlay { "overlay" } else { "erofs" };
            let root = mounts.lines().rev().find(|line| line.split(' ').nth(1) == Some("/")).unwrap_or_default();
            if root.split(' ').nth(2) != Some(wanted) {
                return Err(Failure::new("root", "/", format_args!("expected {wanted}, found {root}")));
            }
            Ok((root.split(' ').next().unwrap_or_default().to_owned(), "probe"))
        }
    }
}

#[cfg(test)]
mod tests;
