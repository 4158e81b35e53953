// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who signed: the sole signer that a detached PKCS#7 signature names (RFC 2315; RFC 5652 for the same in CMS).
//!
//! Reads what the kernel's crypto/asymmetric_keys/pkcs7_parser.c reads and refuses what would let the two disagree
//! about who the signer is: several signers, signed attributes (the signature would be over those), contents. Nothing in a
//! signature without embedded certificate is left unread: no bit of it can change and be accepted.
//!
//! One embedded certificate is let through, because systemd-repart embeds the signer's. It is no trust anchor:
//! [`Certificate::is_signer`](crate::x509::Certificate::is_signer) wants it to be, byte for byte, the configured one.
//!
//! Does not check the signature.

mod algorithm;
mod oid;

pub use algorithm::{
    Algorithm, Digest, OID_ECDSA_SHA256, OID_ECDSA_SHA384, OID_ECDSA_SHA512, OID_RSA, OID_SHA256, OID_SHA384,
    OID_SHA512, Scheme,
};
pub use oid::Oid;

use crate::der::{self, Reader, Value, tag};
use core::fmt;

/// 1.2.840.113549.1.7.2
const OID_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.1
const OID_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

/// What a signature says about its one signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer<'a> {
    /// Name of who issued the signer's certificate: the DER value with its tag.
    pub issuer: &'a [u8],
    /// Serial number of the signer's certificate: the contents of the DER integer.
    pub serial: &'a [u8],
    /// Object identifier of the digest: the contents of the DER value.
    pub digest_algorithm: &'a [u8],
    /// Object identifier of the signature algorithm: the contents of the DER value.
    pub signature_algorithm: &'a [u8],
    /// The signature itself.
    pub signature: &'a [u8],
    /// The certificate embedded in the signature, in DER; untrusted.
    pub embedded_certificate: Option<&'a [u8]>,
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not DER, or not of this structure.
    Der(der::Error),
    /// The outer content type is not signed data.
    NotSignedData,
    /// A version of the structure at `offset` other than 1: that of issuer, serial number and plain data.
    Version {
        /// Where the number is.
        offset: usize,
    },
    /// The signed contents are not plain data.
    NotData,
    /// The signed contents are in the signature; they belong outside.
    NotDetached,
    /// A place for embedded certificates, with none or several in it.
    EmbeddedCertificates {
        /// How many.
        found: usize,
    },
    /// Embedded revocation lists.
    EmbeddedRevocationLists,
    /// Not exactly one signer.
    SignerCount {
        /// How many.
        found: usize,
    },
    /// Not exactly one digest in the list of them.
    DigestCount {
        /// How many.
        found: usize,
    },
    /// The signer's digest is not the one in the list.
    DigestNotListed,
    /// An algorithm with parameters.
    Parameters {
        /// Where they are.
        offset: usize,
    },
    /// The signer is named by key identifier, which a certificate need not have.
    SubjectKeyIdentifier,
    /// The signature is over attributes.
    SignedAttributes,
    /// There are attributes beside the signature.
    UnsignedAttributes,
    /// A digest that the policy does not allow.
    DigestAlgorithm {
        /// Which.
        found: Oid,
    },
    /// A signature algorithm that the policy does not allow.
    SignatureAlgorithm {
        /// Which.
        found: Oid,
    },
    /// The digest and the signature algorithm name different digests.
    DigestsDiffer {
        /// The digest.
        digest: Digest,
        /// That of the signature algorithm.
        signature: Digest,
    },
}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs7: ")?;
        match self {
            Self::Der(error) => error.fmt(f),
            Self::NotSignedData => f.write_str("not signed data"),
            Self::Version { offset } => write!(f, "at byte {offset}: version is not 1"),
            Self::NotData => f.write_str("signed contents are not plain data"),
            Self::NotDetached => f.write_str("not detached: the signed contents are inside"),
            Self::EmbeddedCertificates { found } => {
                write!(f, "a list of {found} embedded certificates, expected 1 or no list")
            }
            Self::EmbeddedRevocationLists => f.write_str("embedded revocation lists"),
            Self::SignerCount { found } => write!(f, "{found} signers, expected 1"),
            Self::DigestCount { found } => write!(f, "a list of {found} digest algorithms, expected 1"),
            Self::DigestNotListed => f.write_str("the signer's digest algorithm is not the one listed"),
            Self::Parameters { offset } => write!(f, "at byte {offset}: algorithm with parameters, expected none"),
            Self::SubjectKeyIdentifier => {
                f.write_str("signer named by key identifier, expected issuer and serial number")
            }
            Self::SignedAttributes => f.write_str("signed attributes, expected a bare signature"),
            Self::UnsignedAttributes => f.write_str("unsigned attributes, expected a bare signature"),
            Self::DigestAlgorithm { found } => {
                write!(f, "digest algorithm {found}, expected SHA-256, SHA-384 or SHA-512")
            }
            Self::SignatureAlgorithm { found } => {
                write!(f, "signature algorithm {found}, expected RSA, 1.2.840.113549.1.1.1, or ECDSA")
            }
            Self::DigestsDiffer { digest, signature } => {
                write!(f, "signed by ECDSA with {}, but the digest is {}", signature.name(), digest.name())
            }
        }
    }
}

impl core::error::Error for Error {}

/// The only signer of a detached signature.
///
/// # Errors
/// See [`Error`].
pub fn sole_signer(der: &[u8]) -> Result<Signer<'_>, Error> {
    let mut file = Reader::new(der);
    let content_info = file.expect(tag::SEQUENCE)?;
    file.end()?;
    let mut content_info = content_info.reader();
    if content_info.expect(tag::OID)?.contents != OID_SIGNED_DATA {
        return Err(Error::NotSignedData);
    }
    let explicit = content_info.expect(tag::CONTEXT_0)?;
    content_info.end()?;
    let mut explicit = explicit.reader();
    let signed_data = explicit.expect(tag::SEQUENCE)?;
    explicit.end()?;

    let mut signed_data = signed_data.reader();
    let version = signed_data.expect(tag::INTEGER)?;
    let digest = digest_algorithm(signed_data.expect(tag::SET)?)?;
    check_contents(signed_data.expect(tag::SEQUENCE)?)?;
    let embedded_certificate = match signed_data.optional(tag::CONTEXT_0)? {
        Some(set) => match elements(set)? {
            (Some(certificate), 1) => Some(certificate),
            (_, found) => return Err(Error::EmbeddedCertificates { found }),
        },
        None => None,
    };
    if signed_data.optional(tag::CONTEXT_1)?.is_some() {
        return Err(Error::EmbeddedRevocationLists);
    }
    let signers = signed_data.expect(tag::SET)?;
    signed_data.end()?;
    let signer = match elements(signers)? {
        (Some(signer), 1) => signer_info(signer)?,
        (_, found) => return Err(Error::SignerCount { found }),
    };
    // After the signer: a version of 3 follows from one that is named by key identifier, which is the better reason.
    require_version_1(version)?;
    if digest != signer.digest_algorithm {
        return Err(Error::DigestNotListed);
    }
    Ok(Signer { embedded_certificate: embedded_certificate.map(|value| value.whole), ..signer })
}

/// The first value of a set, and how many there are.
fn elements(set: Value<'_>) -> Result<(Option<Value<'_>>, usize), der::Error> {
    let mut values = set.reader();
    let (mut first, mut count) = (None, 0_usize);
    while !values.is_empty() {
        let value = values.any()?;
        first.get_or_insert(value);
        count = count.saturating_add(1);
    }
    Ok((first, count))
}

fn require_version_1(version: Value<'_>) -> Result<(), Error> {
    if version.contents == [1] { Ok(()) } else { Err(Error::Version { offset: version.offset }) }
}

fn check_contents(info: Value<'_>) -> Result<(), Error> {
    let mut info = info.reader();
    if info.expect(tag::OID)?.contents != OID_DATA {
        return Err(Error::NotData);
    }
    if info.optional(tag::CONTEXT_0)?.is_some() {
        return Err(Error::NotDetached);
    }
    Ok(info.end()?)
}

fn signer_info(info: Value<'_>) -> Result<Signer<'_>, Error> {
    if info.tag != tag::SEQUENCE {
        return Err(der::Error::Tag { offset: info.offset, expected: tag::SEQUENCE, found: info.tag }.into());
    }
    let mut info = info.reader();
    let version = info.expect(tag::INTEGER)?;
    if info.peek() == Some(tag::CONTEXT_0_PRIMITIVE) {
        return Err(Error::SubjectKeyIdentifier);
    }
    require_version_1(version)?;
    let mut identifier = info.expect(tag::SEQUENCE)?.reader();
    let issuer = identifier.expect(tag::SEQUENCE)?.whole;
    let serial = identifier.expect(tag::INTEGER)?.contents;
    identifier.end()?;
    let digest_algorithm = algorithm(info.expect(tag::SEQUENCE)?)?;
    if info.optional(tag::CONTEXT_0)?.is_some() {
        return Err(Error::SignedAttributes);
    }
    let signature_algorithm = algorithm(info.expect(tag::SEQUENCE)?)?;
    let signature = info.expect(tag::OCTET_STRING)?.contents;
    if info.optional(tag::CONTEXT_1)?.is_some() {
        return Err(Error::UnsignedAttributes);
    }
    info.end()?;
    Ok(Signer { issuer, serial, digest_algorithm, signature_algorithm, signature, embedded_certificate: None })
}

/// The only digest of the list; the signer names it again.
fn digest_algorithm(list: Value<'_>) -> Result<&[u8], Error> {
    match elements(list)? {
        (Some(identifier), 1) => algorithm(identifier),
        (_, found) => Err(Error::DigestCount { found }),
    }
}

/// The object identifier of an AlgorithmIdentifier. None of the algorithms that may sign has parameters: there are none, or
/// NULL.
fn algorithm(identifier: Value<'_>) -> Result<&[u8], Error> {
    if identifier.tag != tag::SEQUENCE {
        return Err(
            der::Error::Tag { offset: identifier.offset, expected: tag::SEQUENCE, found: identifier.tag }.into()
        );
    }
    let mut identifier = identifier.reader();
    let oid = identifier.expect(tag::OID)?.contents;
    let offset = identifier.offset();
    match identifier.optional(tag::NULL)? {
        Some(null) if !null.contents.is_empty() => return Err(Error::Parameters { offset }),
        None if !identifier.is_empty() => return Err(Error::Parameters { offset }),
        _ => identifier.end()?,
    }
    Ok(oid)
}
