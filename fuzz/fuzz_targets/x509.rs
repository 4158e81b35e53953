// SPDX-License-Identifier: MIT OR Apache-2.0
//! Certificates: views lie inside the file, and where the crate x509-cert can read it too, both see the same one.
#![no_main]

use boot_formats::pkcs7::Signer;
use boot_formats::x509::{self, PublicKey};
use der::asn1::UintRef;
use der::{Decode, Encode, Reader, SliceReader};
use fuzz::position;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = x509::parse(data) else { return };
    assert_eq!(certificate.der, data);
    position(data, certificate.issuer);
    position(data, certificate.serial);
    if let Some(name) = certificate.subject_common_name {
        position(data, name.as_bytes());
    }
    assert_eq!(certificate.fingerprint(), <[u8; 32]>::from(Sha256::digest(data)));
    let named = certificate.subject_common_name.is_some_and(|name| name.contains("DEVELOPMENT"));
    assert_eq!(certificate.is_development(), named);

    let mut signer = Signer {
        issuer: certificate.issuer,
        serial: certificate.serial,
        digest_algorithm: &[],
        signature_algorithm: &[],
        signature: &[],
        embedded_certificate: None,
    };
    assert!(certificate.is_signer(&signer));
    signer.embedded_certificate = Some(&data[1..]);
    assert!(!certificate.is_signer(&signer), "signed by another certificate");
    let longer = [certificate.serial, &[0]].concat();
    signer = Signer { serial: &longer, embedded_certificate: None, ..signer };
    assert!(!certificate.is_signer(&signer), "signed by another serial number");

    let key = certificate.public_key();
    match key {
        Ok(PublicKey::Rsa { modulus, exponent }) => {
            assert!(matches!(modulus.len(), 256 | 384 | 512) && modulus[0] & 0x80 != 0);
            assert!((1..=4).contains(&exponent.len()) && exponent[exponent.len() - 1] & 1 == 1 && exponent != [1]);
            position(data, modulus);
            position(data, exponent);
        }
        Ok(PublicKey::P256(point)) => assert!(point.len() == 65 && point[0] == 4 && position(data, point) > 0),
        Ok(PublicKey::P384(point)) => assert!(point.len() == 97 && point[0] == 4 && position(data, point) > 0),
        Err(_) => {}
    }

    let Ok(theirs) = Certificate::from_der(data) else { return };
    let info = &theirs.tbs_certificate.subject_public_key_info;
    match key {
        Ok(PublicKey::P256(point) | PublicKey::P384(point)) => {
            assert_eq!(info.subject_public_key.as_bytes(), Some(point));
        }
        Ok(PublicKey::Rsa { modulus, exponent }) => {
            let key = info.subject_public_key.as_bytes().expect("whole bytes");
            let (their_modulus, their_exponent) = rsa_numbers(key).expect("der refuses a key that we accept");
            assert_eq!((their_modulus.as_slice(), their_exponent.as_slice()), (modulus, exponent));
        }
        Err(_) => {}
    }
    assert_eq!(theirs.tbs_certificate.issuer.to_der().expect("a name that was read"), certificate.issuer);
    assert_eq!(theirs.tbs_certificate.serial_number.as_bytes(), certificate.serial);
});

/// Modulus and exponent of an RSAPublicKey (RFC 8017, appendix A.1.1), without zeros in front.
fn rsa_numbers(key: &[u8]) -> der::Result<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(key)?;
    let numbers = reader.sequence(|reader| {
        let (modulus, exponent): (UintRef<'_>, UintRef<'_>) = (reader.decode()?, reader.decode()?);
        Ok((modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec()))
    })?;
    reader.finish(numbers)
}
