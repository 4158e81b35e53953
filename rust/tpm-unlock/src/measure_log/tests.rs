// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol of lock and mark, on a file of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::pcr::measure;
use crate::tpm::{self, Tpm};
use crate::transport::{Transport, TransportError};
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

/// A TPM that answers every command by this.
struct Answering(Vec<u8>, usize);

impl Transport for Answering {
    fn exchange(&mut self, _: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        self.1 += 1;
        response[..self.0.len()].copy_from_slice(&self.0);
        Ok(self.0.len())
    }
}

/// Measures; gives how many commands the TPM saw.
fn measured(answer: &[u8], log: Result<Open, Error>) -> (Result<bool, tpm::Error>, usize) {
    let mut transport = Answering(answer.to_vec(), 0);
    let mut tpm = Tpm::new(&mut transport, |_| Ok(()), core::time::Duration::ZERO);
    let result = measure(&mut tpm, 13, &[Bank::Sha256], "event", log);
    drop(tpm);
    (result, transport.1)
}

const DONE: [u8; 19] = [0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const REFUSED: [u8; 10] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1];

/// A latch that is not done because nobody could write it down would leave the disk's key to be had.
#[test]
fn what_cannot_be_written_down_is_measured_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    assert_eq!(measured(&DONE, open(&path)), (Ok(true), 1));
    let whole = std::fs::read(&path).unwrap();
    drop(open(&path).unwrap());
    assert_eq!(measured(&DONE, open(&path)), (Ok(false), 1), "a writer died");
    assert_eq!((mode(&path), std::fs::read(&path).unwrap()), (0o1600, whole), "the mark stays, and no record came");
    assert_eq!(measured(&DONE, open(&folder.path().join("missing/log"))), (Ok(false), 1));
}

#[test]
fn mark_stays_where_nobody_knows_whether_the_register_was_extended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (refused, _) = measured(&REFUSED, open(&path));
    assert!(refused.is_err_and(|error| error.was_not_carried_out()));
    assert_eq!(mode(&path), 0o600);
    let (lost, _) = measured(&DONE[..12], open(&path));
    assert!(lost.is_err_and(|error| !error.was_not_carried_out()));
    assert_eq!(mode(&path), 0o1600);
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
