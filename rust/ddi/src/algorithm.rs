// SPDX-License-Identifier: MIT OR Apache-2.0
//! Object identifiers of what signs and hashes, and names of those that are refused.

use der::asn1::ObjectIdentifier;

/// rsaEncryption (RFC 8017): the key type, and how the kernel expects a PKCS#1 v1.5 signature to be called.
pub const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-sha256 (RFC 5754).
pub const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// id-data (RFC 5652).
pub const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// id-signedData (RFC 5652).
pub const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

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
