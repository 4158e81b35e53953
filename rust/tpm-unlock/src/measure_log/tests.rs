// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol of lock and mark, on a file of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use tpm_policy::{Bank, digests};

const BOOT: [u8; 16] = [0xab; 16];

fn open(path: &Path) -> Result<Open, Error> {
    Open::at(path.to_str().unwrap(), BOOT)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn records_are_appended_under_lock_and_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = open(&path).unwrap();
    assert_eq!(mode(&path), 0o1600, "marked");
    assert_eq!(open(&path).unwrap_err(), Error::Call(Errno::WOULDBLOCK), "locked");
    log.append(13, &digests(&[Bank::Sha256], b"first"), "first").unwrap();
    assert_eq!(mode(&path), 0o600, "whole");
    open(&path).unwrap().append(13, &digests(&[Bank::Sha256], b"second"), "second").unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    let records: Vec<&str> = text.split('\x1e').collect();
    assert_eq!((records.len(), records[0]), (3, ""));
    assert!(records[1].contains(r#""string":"first""#) && records[1].ends_with("}}\n"), "{text:?}");
    assert!(records[2].contains(r#""string":"second""#), "{text:?}");
}

#[test]
fn log_of_a_writer_that_died_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    drop(open(&path).unwrap());
    assert_eq!(open(&path).unwrap_err(), Error::Aborted);
    assert_eq!((mode(&path), std::fs::read(&path).unwrap()), (0o1600, Vec::new()));
}

#[test]
fn measurement_that_did_not_take_place_leaves_no_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    open(&path).unwrap().unmark().unwrap();
    assert_eq!(mode(&path), 0o600);
    open(&path).unwrap();
}

#[test]
fn link_in_place_of_the_log_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(open(&path).unwrap_err(), Error::Call(Errno::LOOP));
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn ids_of_boots() {
    let id = parse_boot_id("1b4e28ba-2fa1-11d2-883f-0016d3cca427").unwrap();
    assert_eq!(id[..4], [0x1b, 0x4e, 0x28, 0xba]);
    assert_eq!(id[12..], [0xd3, 0xcc, 0xa4, 0x27]);
    for bad in ["", "1b4e28ba-2fa1-11d2-883f-0016d3cca42", "1b4e28ba-2fa1-11d2-883f-0016d3cca4277", "xb4e28ba"] {
        assert_eq!(parse_boot_id(bad), None, "{bad}");
    }
    assert!(boot_id().is_ok(), "this machine's own");
}
