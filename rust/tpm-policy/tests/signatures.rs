// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of signatures: what is found in them, and what is wrong with them.
#![allow(clippy::unwrap_used)]

use boot_formats::hex::HexError;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signatures::{Error, find};
use tpm_policy::{Bank, PcrMask};

const KEY: [u8; 32] = [0xab; 32];

fn entry(pcrs: &str, policy: &str) -> String {
    format!(r#"{{"pcrs":{pcrs},"pkfp":"{}","pol":"{policy}","sig":"AAEC"}}"#, "ab".repeat(32))
}

fn policy(byte: &str) -> String {
    byte.repeat(32)
}

fn search(file: &str) -> Result<Vec<PolicyDigest>, Error> {
    let found = find(file.as_bytes(), Bank::Sha256, PcrMask::of(&[11, 13]).unwrap(), &KEY)?;
    assert!(found.iter().all(|entry| entry.signature == [0, 1, 2]));
    Ok(found.into_iter().map(|entry| entry.policy).collect())
}

#[test]
fn only_those_of_bank_registers_and_key_are_found_in_the_files_order() {
    let file = format!(
        r#"{{"sha1":[{}],"sha256":[{},{},{},{}]}}"#,
        entry("[11,13]", &policy("01")),
        entry("[13,11]", &policy("02")),
        entry("[11]", &policy("03")),
        entry("[11,13]", &policy("04")).replace("abab", "acac"),
        entry("[11,13]", &policy("05")),
    );
    let expected = [2, 5].map(|byte| PolicyDigest::of_bytes([byte; 32]));
    assert_eq!(search(&file), Ok(expected.to_vec()));
    assert_eq!(search("{}"), Ok(Vec::new()));
}

/// Found by the fuzzer: a control character in a string that nobody asked for was taken for JSON.
#[test]
fn entry_of_another_bank_is_looked_at_too() {
    let bad = entry("[11]", &policy("0c")).replacen("0c", "\u{e}c", 1);
    let found = search(&format!(r#"{{"sha512":[{}]}}"#, bad));
    assert_eq!(found, Err(Error::Digest { entry: 0, error: HexError::Digit { offset: 0, found: 0x0e } }));
}

#[test]
fn more_than_there_is_room_for() {
    let many = |count| format!(r#"{{"sha256":[{}]}}"#, vec![entry("[11,13]", &policy("01")); count].join(","));
    assert_eq!(search(&many(16)).map(|found| found.len()), Ok(16));
    assert!(matches!(search(&many(17)), Err(Error::Json(_))));
}
