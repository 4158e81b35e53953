// SPDX-License-Identifier: MIT OR Apache-2.0
//! Certificates of openssl.

use crate::golden;
use boot_formats::pkcs7::Scheme;
use boot_formats::x509::{self, KeyError, PublicKey};

#[test]
fn a_certificate_says_what_openssl_printed() {
    for name in ["development", "product", "nameless", "ecdsa"] {
        let der = golden::bytes(&format!("{name}.crt"));
        let certificate = x509::parse(&der).unwrap();
        let facts = golden::facts(&format!("{name}.txt"));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        assert_eq!(hex(&certificate.fingerprint()), facts["sha256 Fingerprint"].replace(':', ""), "{name}");
        // DER puts a zero byte before a number whose highest bit is set.
        assert_eq!(
            hex(certificate.serial).trim_start_matches("00"),
            facts["serial"].trim_start_matches("00"),
            "{name}"
        );
        assert_eq!(certificate.subject_common_name, facts.get("CN").map(String::as_str), "{name}");
        assert_eq!(certificate.is_development(), name == "development");
        assert_eq!(certificate.der, der);
    }
}

#[test]
fn only_the_last_common_name_counts() {
    // Two more of the same kind cannot hide a development key from the eye: the last is the one that is shown.
    let mut der = golden::bytes("product.crt");
    let name = "Golden Schlüssel 7".as_bytes();
    let places: Vec<usize> =
        der.windows(name.len()).enumerate().filter(|(_, window)| *window == name).map(|(at, _)| at).collect();
    let [issuer, subject] = places[..] else { panic!("issuer and subject") };
    assert!(issuer < subject);
    der[subject..subject + name.len()].copy_from_slice(b"a DEVELOPMENT key!!");
    let certificate = x509::parse(&der).unwrap();
    assert_eq!(certificate.subject_common_name, Some("a DEVELOPMENT key!!"));
    assert!(certificate.is_development());
}

#[test]
fn keys_of_openssl_are_within_the_policy() {
    for (name, kind, scheme) in [("development", "RSA-2048", Scheme::Rsa), ("ecdsa", "P-256", Scheme::Ecdsa)] {
        let der = golden::bytes(&format!("{name}.crt"));
        let key = x509::parse(&der).unwrap().public_key().unwrap();
        assert_eq!((key.to_string().as_str(), key.scheme()), (kind, scheme));
    }
    let der = golden::bytes("development.crt");
    let PublicKey::Rsa { modulus, exponent } = x509::parse(&der).unwrap().public_key().unwrap() else { panic!("RSA") };
    assert_eq!((modulus.len(), exponent), (256, &[1, 0, 1][..]));
}

/// The certificate with the first `from` replaced by `to`, which is as long.
fn with(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut der = golden::bytes(name);
    let at = der.windows(from.len()).position(|window| window == from).unwrap();
    der[at..at + to.len()].copy_from_slice(to);
    der
}

#[test]
fn keys_outside_the_policy_are_named() {
    // Of the key: its algorithm, and tag, length and unused bits of what holds it.
    let rsa = [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00][..], &[0x03, 0x82, 0x01, 0x0f, 0]]
        .concat();
    let edited = |at: usize, byte: u8| {
        let mut to = rsa.clone();
        to[at] = byte;
        with("development.crt", &rsa, &to)
    };
    let exponent = &[0x02, 0x03, 0x01, 0x00, 0x01];
    let p256 = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let point = &[0x03, 0x42, 0x00, 0x04];
    for (der, line) in [
        (edited(8, 0x0a), "x509: public key: algorithm 1.2.840.113549.1.1.10, expected RSA or an elliptic curve"),
        (edited(9, 0x04), "x509: public key: der: at byte 225: 2 bytes too many"),
        (edited(15, 0x04), "x509: public key: at byte 227: bits that are no whole bytes"),
        (
            with("development.crt", exponent, &[0x02, 0x03, 0x01, 0x00, 0x02]),
            "x509: public key: at byte 497: exponent is not an odd number from 3 to 32 bits",
        ),
        (
            with("development.crt", exponent, &[0x02, 0x03, 0x00, 0x00, 0x01]),
            "x509: public key: at byte 497: not a positive number in its shortest form",
        ),
        (
            with("ecdsa.crt", p256, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01]),
            "x509: public key: curve 1.2.840.10045.3.1.1, expected P-256 or P-384",
        ),
        (
            with("ecdsa.crt", point, &[0x03, 0x42, 0x00, 0x02]),
            "x509: public key: at byte 185: expected an uncompressed point of 65 bytes, found 65 bytes",
        ),
    ] {
        let error = x509::parse(&der).unwrap().public_key().unwrap_err();
        assert_eq!(error.to_string(), line);
    }
}

#[test]
fn an_rsa_key_has_one_of_three_sizes() {
    // The highest bit of the modulus: 2047 bits are left, as the padding zero shows.
    let der = golden::bytes("development.crt");
    let head = [0x02, 0x82, 0x01, 0x01, 0x00];
    let at = der.windows(head.len()).position(|window| window == head).unwrap() + head.len();
    let mut smaller = der.clone();
    smaller[at] &= 0x7f;
    let error = x509::parse(&smaller).unwrap().public_key().unwrap_err();
    assert!(matches!(error, KeyError::Number { .. }), "{error}");
    smaller[at - 1] = 0x01;
    assert_eq!(x509::parse(&smaller).unwrap().public_key(), Err(KeyError::ModulusSize { found: 2049 }));
}
