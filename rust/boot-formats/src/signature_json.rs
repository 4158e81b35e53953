// SPDX-License-Identifier: MIT OR Apache-2.0
//! The signature partition (UAPI.2, "Verity"): one JSON object of strings, padded with NUL bytes.
//!
//! Read by [`json`](crate::json), which is stricter than JSON where two readers could differ: no escapes, no member twice. Members
//! the specification may add later are refused until this crate knows them.
//!
//! Parsing does not verify anything: see [`pkcs7`](crate::pkcs7) for whose signature it claims to be.

use crate::base64;
use crate::bytes::{self, STEP};
use crate::hex::{self, HexError};
use crate::json::{self, Value};
use crate::verity::RootHash;
use core::ffi::CStr;
use core::fmt;
use heapless::Vec;

/// Most bytes of a signature partition that are read. A larger partition is read this far, and must not have more than
/// padding behind; since nothing there is used, nobody looks.
pub const MAX_SIGNATURE_PARTITION: usize = 64 * 1024;

/// Most bytes of a signature: RSA-4096 with one certificate embedded is below 2500.
pub const MAX_PKCS7: usize = 4096;

/// What a signature partition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The root hash; its 64 digits are what is signed.
    pub root_hash: RootHash,
    /// SHA-256 of the signer's certificate: a hint, the signature names its signer itself.
    pub certificate_fingerprint: Option<[u8; 32]>,
    /// The signature, PKCS#7 in DER.
    pub pkcs7: Vec<u8, MAX_PKCS7>,
}

/// A member of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// `rootHash`, required.
    RootHash,
    /// `certificateFingerprint`.
    CertificateFingerprint,
    /// `signature`, required.
    Signature,
}

impl Member {
    const fn name(self) -> &'static str {
        match self {
            Self::RootHash => "rootHash",
            Self::CertificateFingerprint => "certificateFingerprint",
            Self::Signature => "signature",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::RootHash, Self::CertificateFingerprint, Self::Signature].into_iter().find(|m| m.name() == name)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a signature partition is refused. Offsets count bytes of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More bytes than [`MAX_SIGNATURE_PARTITION`].
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// It is no JSON, or one of its values is no plain string.
    Json(json::Error),
    /// A member this crate does not know.
    UnknownMember {
        /// Where its value starts.
        offset: usize,
        /// The start of its name, padded with NUL bytes.
        name: [u8; 32],
    },
    /// A member for the second time.
    DuplicateMember {
        /// Where its value starts.
        offset: usize,
        /// Which.
        member: Member,
    },
    /// A required member is not there.
    MissingMember(Member),
    /// `rootHash` is not a SHA-256 digest.
    RootHash(HexError),
    /// `certificateFingerprint` is not a SHA-256 digest.
    CertificateFingerprint(HexError),
    /// `signature` is not base64 with its padding and nothing else.
    Base64 {
        /// Where the value starts.
        offset: usize,
        /// Its length in characters.
        len: usize,
    },
    /// `signature` is longer than [`MAX_PKCS7`].
    SignatureTooLong {
        /// Bytes it has at least.
        found: usize,
    },
    /// Something other than NUL bytes after the object.
    TrailingByte {
        /// Where.
        offset: usize,
        /// The byte.
        found: u8,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signature: ")?;
        match self {
            Self::TooLarge { found } => write!(f, "{found} bytes, at most {MAX_SIGNATURE_PARTITION} are read"),
            Self::Json(error) => write!(f, "{error}"),
            Self::UnknownMember { offset, name } => {
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                write!(f, "at byte {offset}: unknown member \"{}\"", name.escape_ascii())
            }
            Self::DuplicateMember { offset, member } => write!(f, "at byte {offset}: second member {member}"),
            Self::MissingMember(member) => write!(f, "no member {member}"),
            Self::RootHash(error) => write!(f, "rootHash: {error}"),
            Self::CertificateFingerprint(error) => write!(f, "certificateFingerprint: {error}"),
            Self::Base64 { offset, len } => {
                write!(f, "the {len} characters at byte {offset} are not base64")
            }
            Self::SignatureTooLong { found } => {
                write!(f, "PKCS#7 of {found} bytes, at most {MAX_PKCS7}")
            }
            Self::TrailingByte { offset, found } => {
                write!(f, "at byte {offset}: '{}' after the object", found.escape_ascii())
            }
        }
    }
}

impl core::error::Error for Error {}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Self::Json(error)
    }
}

/// Parses the signature partition, or its first [`MAX_SIGNATURE_PARTITION`] bytes.
///
/// # Errors
/// See [`Error`].
pub fn parse(partition_bytes: &[u8]) -> Result<Signature, Error> {
    if partition_bytes.len() > MAX_SIGNATURE_PARTITION {
        return Err(Error::TooLarge { found: partition_bytes.len() });
    }
    // In steps of more than a byte, as `position` is not.
    let end = CStr::from_bytes_until_nul(partition_bytes).map_or(partition_bytes.len(), CStr::count_bytes);
    let (text, padding) = partition_bytes.split_at_checked(end).unwrap_or_default();
    let (object, behind) = json::parse(text)?;
    let members = Members::read(&object)?;
    only_white_space(text, behind)?;
    only_zeros(padding, end)?;
    let root_hash = members.root_hash.ok_or(Error::MissingMember(Member::RootHash))?;
    let signature = members.signature.ok_or(Error::MissingMember(Member::Signature))?;
    let root_hash = RootHash::parse_hex(root_hash.string()?).map_err(Error::RootHash)?;
    let certificate_fingerprint = match members.certificate_fingerprint {
        Some(value) => Some(hex::decode(value.string()?).map_err(Error::CertificateFingerprint)?),
        None => None,
    };
    Ok(Signature { root_hash, certificate_fingerprint, pkcs7: decode(&signature)? })
}

#[derive(Default)]
struct Members<'a> {
    root_hash: Option<Value<'a>>,
    certificate_fingerprint: Option<Value<'a>>,
    signature: Option<Value<'a>>,
}

impl<'a> Members<'a> {
    fn read(object: &Value<'a>) -> Result<Self, Error> {
        let mut members = Self::default();
        for (name, value) in object.members()? {
            let offset = value.offset();
            let Some(member) = Member::of(name) else {
                let mut start = [0; 32];
                for (to, from) in start.iter_mut().zip(name.as_bytes()) {
                    *to = *from;
                }
                return Err(Error::UnknownMember { offset, name: start });
            };
            let place = match member {
                Member::RootHash => &mut members.root_hash,
                Member::CertificateFingerprint => &mut members.certificate_fingerprint,
                Member::Signature => &mut members.signature,
            };
            if place.replace(value).is_some() {
                return Err(Error::DuplicateMember { offset, member });
            }
        }
        Ok(members)
    }
}

fn decode(value: &Value<'_>) -> Result<Vec<u8, MAX_PKCS7>, Error> {
    let text = value.string()?;
    // Padding may take up to two bytes off: the exact length follows from decoding.
    let found = (text.len() / 4).saturating_mul(3).saturating_sub(2);
    if found > MAX_PKCS7 {
        return Err(Error::SignatureTooLong { found });
    }
    let mut buffer = [0; MAX_PKCS7 + 2];
    let bad = Error::Base64 { offset: value.offset(), len: text.len() };
    let bytes = base64::decode(text, &mut buffer).ok_or(bad)?;
    Vec::from_slice(bytes).map_err(|_| Error::SignatureTooLong { found: bytes.len() })
}

fn only_white_space(text: &[u8], behind: usize) -> Result<(), Error> {
    let other = text.iter().enumerate().skip(behind).find(|(_, byte)| !b" \t\r\n".contains(byte));
    other.map_or(Ok(()), |(offset, &found)| Err(Error::TrailingByte { offset, found }))
}

/// `start` is the offset of the padding in the partition.
fn only_zeros(padding: &[u8], start: usize) -> Result<(), Error> {
    // Many bytes a step: nearly all of the partition is padding.
    let zeros = padding.as_chunks::<STEP>().0.iter().take_while(|step| bytes::are_zero(step)).count();
    let other = padding.iter().enumerate().skip(zeros.saturating_mul(STEP)).find(|(_, byte)| **byte != 0);
    other.map_or(Ok(()), |(at, &found)| Err(Error::TrailingByte { offset: start.saturating_add(at), found }))
}
