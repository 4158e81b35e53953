// SPDX-License-Identifier: MIT OR Apache-2.0
//! The signature partition: what we accept is JSON to serde_json too, with the same three strings.
#![no_main]

use boot_formats::signature_json::{self, Signature};
use fuzz::hex;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|data: &[u8]| {
    let Ok(signature) = signature_json::parse(data) else { return };
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    assert!(data[end..].iter().all(|byte| *byte == 0), "something behind the padding");
    let members: Map<String, Value> = serde_json::from_slice(&data[..end]).expect("serde_json refuses what we accept");
    let text = |name: &str| members.get(name).map(|value| value.as_str().expect("a string").to_owned());
    assert_eq!(text("rootHash"), Some(signature.root_hash.to_string()));
    assert_eq!(text("certificateFingerprint"), signature.certificate_fingerprint.map(|bytes| hex(&bytes)));
    assert_eq!(text("signature"), Some(base64(&signature.pkcs7)));
    assert_eq!(members.len(), 2 + usize::from(signature.certificate_fingerprint.is_some()));
    assert_eq!(signature_json::parse(written(&signature).as_bytes()), Ok(signature));
});

fn written(of: &Signature) -> String {
    let fingerprint = of.certificate_fingerprint.map(|bytes| format!(r#""certificateFingerprint":"{}","#, hex(&bytes)));
    format!(
        r#"{{{}"signature":"{}","rootHash":"{}"}}"#,
        fingerprint.unwrap_or_default(),
        base64(&of.pkcs7),
        of.root_hash
    )
}

/// RFC 4648, section 4, by the book.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        for digit in 0..4 {
            let value = number >> (18 - 6 * digit) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}
