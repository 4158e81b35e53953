// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signature partitions of systemd-repart and jq.

use crate::golden;
use boot_formats::json;
use boot_formats::signature_json::{self, Error, MAX_PKCS7, MAX_SIGNATURE_PARTITION, parse};

const ROOT_HASH: &str = "4392712ba01368efdf14b05c76f9e4df0d53664630b5d48632ed17a137f39076";

#[test]
fn both_forms_of_one_object_say_the_same() {
    let compact = parse(&golden::bytes("compact.json")).unwrap();
    let indented = parse(&golden::bytes("indented.json")).unwrap();
    assert_eq!(compact.root_hash.to_string(), ROOT_HASH);
    assert_eq!(*compact.pkcs7, *golden::bytes("bare.p7"));
    assert!(compact.certificate_fingerprint.is_some());
    let without_fingerprint = signature_json::Signature { certificate_fingerprint: None, ..compact };
    assert_eq!(indented, without_fingerprint);
}

#[test]
fn padding_may_be_missing_or_fill_the_most_that_is_read() {
    let mut bytes = golden::bytes("compact.json");
    let good = parse(&bytes).unwrap();
    bytes.resize(MAX_SIGNATURE_PARTITION, 0);
    assert_eq!(parse(&bytes).as_ref(), Ok(&good));
    bytes.push(0);
    assert_eq!(parse(&bytes), Err(Error::TooLarge { found: 65537 }));
    assert_eq!(Error::TooLarge { found: 65537 }.to_string(), "signature: 65537 bytes, at most 65536 are read");
    let end = bytes.iter().position(|byte| *byte == 0).unwrap();
    assert_eq!(parse(&bytes[..end]), Ok(good));
}

fn with_signature(base64: &str) -> Result<usize, Error> {
    parse(format!(r#"{{"rootHash":"{ROOT_HASH}","signature":"{base64}"}}"#).as_bytes()).map(|s| s.pkcs7.len())
}

#[test]
fn base64_is_strict() {
    assert_eq!(with_signature(""), Ok(0));
    assert_eq!(with_signature("AA=="), Ok(1));
    assert_eq!(with_signature("AAA="), Ok(2));
    for (text, why) in [
        ("AA", "no padding"),
        ("AA=", "half the padding"),
        ("A===", "too much padding"),
        ("AB==", "bits behind the end"),
        ("AA==AA==", "padding inside"),
        ("AAAA AAAA", "a space"),
        ("AA-_", "the alphabet of URLs"),
    ] {
        assert_eq!(with_signature(text), Err(Error::Base64 { offset: 91, len: text.len() }), "{why}");
    }
}

#[test]
fn only_an_object_of_plain_strings_is_taken() {
    let kind = |offset, expected| Err(Error::Json(json::Error::Kind { offset, expected }));
    assert_eq!(parse(b"7"), kind(0, "an object"));
    assert_eq!(parse(b"[]"), kind(0, "an object"));
    assert_eq!(parse(br#"{"rootHash":7,"signature":""}"#), kind(12, "a string"));
    let with =
        |hash: &str, signature: &str| parse(format!(r#"{{"rootHash":"{hash}","signature":{signature}}}"#).as_bytes());
    assert_eq!(with(ROOT_HASH, "null"), kind(91, "a string"));
    assert_eq!(with(ROOT_HASH, r#"{"a":""}"#), kind(91, "a string"));
    assert_eq!(with(ROOT_HASH, r#""\u0041AAA""#), Err(Error::Json(json::Error::Escape { offset: 91 })));
    assert_eq!(parse(b"{} \n\0\0"), Err(Error::MissingMember(signature_json::Member::RootHash)));
}

#[test]
fn the_longest_signature() {
    let base64 = |groups: usize, end: &str| "AAAA".repeat(groups) + end;
    assert_eq!(with_signature(&base64(1365, "AA==")), Ok(MAX_PKCS7));
    for (end, found) in [("AAA=", 4097), ("AAAA", 4098), ("AAAAAA==", 4099)] {
        let error = with_signature(&base64(1365, end)).unwrap_err();
        assert_eq!(error, Error::SignatureTooLong { found });
        assert_eq!(error.to_string(), format!("signature: PKCS#7 of {found} bytes, at most 4096"));
    }
}
