// SPDX-License-Identifier: MIT OR Apache-2.0
//! Object identifiers of what signs and hashes, and names of those that are refused.

use boot_formats::pkcs7::{Algorithm, Digest, Scheme};
use der::asn1::ObjectIdentifier;

/// rsaEncryption (RFC 8017): the key type, and how the kernel expects a PKCS#1 v1.5 signature to be called.
pub const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480): the key type.
pub const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1 (RFC 5480).
pub const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// secp384r1 (RFC 5480).
pub const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// id-data (RFC 5652).
pub const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// id-signedData (RFC 5652).
pub const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// What a PKCS#7 calls a digest (RFC 5754).
#[must_use]
pub const fn of_digest(digest: Digest) -> ObjectIdentifier {
    match digest {
        Digest::Sha256 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        Digest::Sha384 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"),
        Digest::Sha512 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"),
    }
}

/// What a PKCS#7 calls a signature (RFC 3370, RFC 5753): ECDSA's name says the digest again.
#[must_use]
pub const fn of_signature(algorithm: Algorithm) -> ObjectIdentifier {
    match (algorithm.scheme, algorithm.digest) {
        (Scheme::Rsa, _) => RSA,
        (Scheme::Ecdsa, Digest::Sha256) => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
        (Scheme::Ecdsa, Digest::Sha384) => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
        (Scheme::Ecdsa, Digest::Sha512) => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
    }
}

/// What an error calls a key type: its name if people meet it, else the number.
#[must_use]
pub fn name(oid: &ObjectIdentifier) -> String {
    let text = oid.to_string();
    match text.as_str() {
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        "1.2.840.113549.1.1.10" => "RSA-PSS".to_owned(),
        "1.2.840.10045.2.1" => "EC".to_owned(),
        "1.2.840.10040.4.1" => "DSA".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        _ => format!("algorithm {text}"),
    }
}
