// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is needed of a configured certificate (RFC 5280): whose it is and whether it is a signature's.
//!
//! A certificate here is a pin. Not looked at: validity (there is no clock), extensions, the issuer's signature.

mod public_key;

pub use public_key::{KeyError, PublicKey, parse_public_key};

use crate::der::{self, Reader, Value, tag};
use crate::pkcs7::Signer;
use core::fmt;
use sha2::{Digest, Sha256};

/// Contents of the object identifier of the common name, 2.5.4.3.
const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// What the subject of a key that must not be in a product has in its common name.
const DEVELOPMENT: &str = "DEVELOPMENT";

/// A certificate. Holding one says nothing about trust: that comes from where its bytes were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Name of its issuer: the DER value with its tag.
    pub issuer: &'a [u8],
    /// Its serial number: the contents of the DER integer.
    pub serial: &'a [u8],
    /// The subject's common name, the last if it has several; `None` if it has none or not as UTF-8, printable or
    /// IA5 string.
    pub subject_common_name: Option<&'a str>,
    /// Its key, not looked at yet: [`public_key`](Self::public_key) does.
    pub public_key_info: Value<'a>,
    /// The whole certificate.
    pub der: &'a [u8],
}

/// Why bytes are not a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub der::Error);

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x509: {}", self.0)
    }
}

impl core::error::Error for Error {}

/// Parses one certificate in DER, nothing behind it.
///
/// # Errors
/// [`Error`].
pub fn parse(der: &[u8]) -> Result<Certificate<'_>, Error> {
    let mut file = Reader::new(der);
    let certificate = file.expect(tag::SEQUENCE)?;
    file.end()?;
    let mut certificate = certificate.reader();
    let mut tbs = certificate.expect(tag::SEQUENCE)?.reader();
    tbs.optional(tag::CONTEXT_0)?; // version
    let serial = tbs.expect(tag::INTEGER)?.contents;
    tbs.expect(tag::SEQUENCE)?; // signature algorithm
    let issuer = tbs.expect(tag::SEQUENCE)?.whole;
    tbs.expect(tag::SEQUENCE)?; // validity
    let subject_common_name = common_name(tbs.expect(tag::SEQUENCE)?)?;
    let public_key_info = tbs.expect(tag::SEQUENCE)?;
    certificate.expect(tag::SEQUENCE)?; // signature algorithm
    certificate.any()?; // signature
    certificate.end()?;
    Ok(Certificate { issuer, serial, subject_common_name, public_key_info, der })
}

fn common_name(name: Value<'_>) -> Result<Option<&str>, der::Error> {
    let mut found = None;
    let mut names = name.reader();
    while !names.is_empty() {
        let mut attributes = names.expect(tag::SET)?.reader();
        while !attributes.is_empty() {
            let mut attribute = attributes.expect(tag::SEQUENCE)?.reader();
            if attribute.expect(tag::OID)?.contents != OID_COMMON_NAME {
                continue;
            }
            let value = attribute.any()?;
            found = match value.tag {
                tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => core::str::from_utf8(value.contents).ok(),
                _ => None,
            };
        }
    }
    Ok(found)
}

impl Certificate<'_> {
    /// SHA-256 of the whole certificate, as `certificateFingerprint` and `openssl x509 -fingerprint -sha256` give it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.der).into()
    }

    /// Whether the signature names this certificate: same issuer and serial number, and if it embeds a certificate,
    /// this very one.
    #[must_use]
    pub fn is_signer(&self, signer: &Signer<'_>) -> bool {
        self.issuer == signer.issuer
            && self.serial == signer.serial
            && signer.embedded_certificate.is_none_or(|embedded| embedded == self.der)
    }

    /// Whether a signature by one of the two could not say which: same issuer and serial number.
    #[must_use]
    pub fn is_named_as(&self, other: &Certificate<'_>) -> bool {
        self.issuer == other.issuer && self.serial == other.serial
    }

    /// Whether the common name contains `DEVELOPMENT`: a key that anyone on the team may have.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.subject_common_name.is_some_and(|name| name.contains(DEVELOPMENT))
    }
}
