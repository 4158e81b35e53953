// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has the kernel judge signatures: for each a dm-verity table with `root_hash_sig_key_desc`, loaded by libdevmapper.
//!
//! * `/probe/signatures/NAME` is a PKCS#7. The answer is a line `NAME: accepted`, or `NAME: ` and what the kernel says, in
//!   the C library's words for the errno.
//! * `/probe/own-signature` is one that the kernel accepts, for [`time`].
//! * A table that loads is taken away again; nothing is read through it.
//! * storage-init's own way to the kernel (kernel-edge) has no part in this.

use std::fs;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use linux_keyutils::{KeyRing, KeyRingIdentifier};

const SIGNATURES: &str = "/probe/signatures";
const OWN_SIGNATURE: &str = "/probe/own-signature";
/// Name of the key, and of the device.
const NAME: &str = "judged";

/// One line for each signature, in the order of their names.
pub fn judge(device: &str, root_hash: &str) -> io::Result<Vec<u8>> {
    // dmsetup finds the key there: it is a process of its own, with the keyrings of the same user.
    let keyring = KeyRing::from_special_id(KeyRingIdentifier::UserSession, true).map_err(key_error)?;
    let mut names: Vec<_> = fs::read_dir(SIGNATURES)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    names.sort();
    let mut lines = String::new();
    for path in names {
        keyring.add_key(NAME, &fs::read(&path)?).map_err(key_error)?;
        let verdict = load(device, root_hash)?;
        lines += &format!("{}: {verdict}\n", path.file_name().unwrap_or_default().display());
    }
    Ok(lines.into_bytes())
}

/// What the check of a signature takes the kernel: `WITH WITHOUT`, nanoseconds of making a mapped device with it and without.
pub fn time(device: &str, root_hash: &str) -> io::Result<Vec<u8>> {
    let keyring = KeyRing::from_special_id(KeyRingIdentifier::UserSession, true).map_err(key_error)?;
    keyring.add_key(NAME, &fs::read(OWN_SIGNATURE)?).map_err(key_error)?;
    let mut fastest = [Duration::MAX; 2];
    // The first time dmsetup is read from the disk.
    for _ in 0..3 {
        for (signature, fastest) in [true, false].into_iter().zip(&mut fastest) {
            let table = table(device, root_hash, signature);
            let started = Instant::now();
            let made = dmsetup(&["create", NAME, "--readonly", "--table", &table])?;
            *fastest = started.elapsed().min(*fastest);
            made.and(dmsetup(&["remove", NAME])?).map_err(io::Error::other)?;
        }
    }
    Ok(fastest.map(|time| time.as_nanos().to_string()).join(" ").into_bytes())
}

/// One data block and no tree: the kernel checks the signature before it would look at either.
fn table(device: &str, root_hash: &str, signature: bool) -> String {
    let options = if signature { format!(" 2 root_hash_sig_key_desc {NAME}") } else { String::new() };
    format!("0 8 verity 1 {device} {device} 4096 4096 1 1 sha256 {root_hash} -{options}")
}

fn load(device: &str, root_hash: &str) -> io::Result<String> {
    let table = table(device, root_hash, true);
    if let Err(said) = dmsetup(&["create", NAME, "--readonly", "--table", &table])? {
        // "device-mapper: reload ioctl on judged (252:2) failed: Required key not available", and further lines.
        let reload = said.lines().find(|line| line.contains("reload ioctl"));
        return Ok(reload
            .and_then(|line| line.split_once("failed: "))
            .map_or(said.clone(), |(_, error)| error.to_owned()));
    }
    Ok(dmsetup(&["remove", NAME])?.map_or_else(|said| format!("cannot be removed: {said}"), |()| "accepted".to_owned()))
}

/// Runs it; what it said on standard error if it failed.
fn dmsetup(arguments: &[&str]) -> io::Result<Result<(), String>> {
    let output = Command::new("/usr/sbin/dmsetup").arg("--noudevsync").args(arguments).output()?;
    let said = || format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Ok(if output.status.success() { Ok(()) } else { Err(said()) })
}

fn key_error(error: linux_keyutils::KeyError) -> io::Error {
    io::Error::other(format!("keyring: {error:?}"))
}
