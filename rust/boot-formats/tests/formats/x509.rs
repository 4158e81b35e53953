// SPDX-License-Identifier: MIT OR Apache-2.0
//! Certificates of openssl.

use crate::golden;
use boot_formats::x509;

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
