// SPDX-License-Identifier: MIT OR Apache-2.0
//! The signature partition (UAPI.2, "Verity"): one JSON object of strings, padded with NUL bytes.
//!
//! Read by hand and not by a JSON crate, because all there can be is one object with three strings, and because this
//! way an error says where and which member. Stricter than JSON where two readers could differ: no escapes, nothing
//! but ASCII, no member twice. Members the specification may add later are refused until this crate knows them.
//!
//! Parsing does not verify anything: see [`pkcs7`](crate::pkcs7) for whose signature it claims to be.

use crate::hex::{self, HexError};
use crate::verity::RootHash;
use base64ct::{Base64, Encoding};
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
    /// The text ends inside the object.
    Truncated {
        /// Where.
        offset: usize,
    },
    /// A byte that cannot stand there.
    Unexpected {
        /// Where.
        offset: usize,
        /// The byte.
        found: u8,
        /// What can stand there.
        expected: &'static str,
    },
    /// A backslash: none of the values needs one.
    Escape {
        /// Where.
        offset: usize,
    },
    /// A member this crate does not know.
    UnknownMember {
        /// Where its name starts.
        offset: usize,
        /// The start of its name, padded with NUL bytes.
        name: [u8; 32],
    },
    /// A member for the second time.
    DuplicateMember {
        /// Where its name starts.
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
            Self::Truncated { offset } => write!(f, "text ends at byte {offset}, inside the object"),
            Self::Unexpected { offset, found, expected } => {
                write!(f, "at byte {offset}: found '{}', expected {expected}", found.escape_ascii())
            }
            Self::Escape { offset } => write!(f, "at byte {offset}: an escape in a string"),
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

/// Parses the signature partition, or its first [`MAX_SIGNATURE_PARTITION`] bytes.
///
/// # Errors
/// See [`Error`].
pub fn parse(partition_bytes: &[u8]) -> Result<Signature, Error> {
    if partition_bytes.len() > MAX_SIGNATURE_PARTITION {
        return Err(Error::TooLarge { found: partition_bytes.len() });
    }
    let mut text = Text { bytes: partition_bytes, at: 0 };
    let members = object(&mut text)?;
    text.only_padding_left()?;
    let root_hash = members.root_hash.ok_or(Error::MissingMember(Member::RootHash))?;
    let signature = members.signature.ok_or(Error::MissingMember(Member::Signature))?;
    let root_hash = RootHash::parse_hex(root_hash.text).map_err(Error::RootHash)?;
    let certificate_fingerprint = members
        .certificate_fingerprint
        .map(|value| hex::decode(value.text).map_err(Error::CertificateFingerprint))
        .transpose()?;
    Ok(Signature { root_hash, certificate_fingerprint, pkcs7: decode(signature)? })
}

/// A string and where its first character lies.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: &'a str,
    offset: usize,
}

#[derive(Default)]
struct Members<'a> {
    root_hash: Option<Value<'a>>,
    certificate_fingerprint: Option<Value<'a>>,
    signature: Option<Value<'a>>,
}

fn object<'a>(text: &mut Text<'a>) -> Result<Members<'a>, Error> {
    let mut members = Members::default();
    text.expect(b'{', "'{'")?;
    // An empty object would lack its members anyway: no need to parse it.
    loop {
        let key = text.string("a member")?;
        let Some(member) = Member::of(key.text) else {
            let mut name = [0; 32];
            for (to, from) in name.iter_mut().zip(key.text.as_bytes()) {
                *to = *from;
            }
            return Err(Error::UnknownMember { offset: key.offset, name });
        };
        let place = match member {
            Member::RootHash => &mut members.root_hash,
            Member::CertificateFingerprint => &mut members.certificate_fingerprint,
            Member::Signature => &mut members.signature,
        };
        text.expect(b':', "':'")?;
        if place.replace(text.string("a string")?).is_some() {
            return Err(Error::DuplicateMember { offset: key.offset, member });
        }
        match text.next_visible()? {
            (_, b',') => {}
            (_, b'}') => return Ok(members),
            (offset, found) => return Err(Error::Unexpected { offset, found, expected: "',' or '}'" }),
        }
    }
}

fn decode(value: Value<'_>) -> Result<Vec<u8, MAX_PKCS7>, Error> {
    let Value { text, offset } = value;
    // Padding may take up to two bytes off: the exact length follows from decoding.
    let found = (text.len() / 4).saturating_mul(3).saturating_sub(2);
    if found > MAX_PKCS7 {
        return Err(Error::SignatureTooLong { found });
    }
    let mut buffer = [0; MAX_PKCS7 + 2];
    let bytes = Base64::decode(text, &mut buffer).map_err(|_| Error::Base64 { offset, len: text.len() })?;
    Vec::from_slice(bytes).map_err(|_| Error::SignatureTooLong { found: bytes.len() })
}

struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    fn next(&mut self) -> Result<(usize, u8), Error> {
        let offset = self.at;
        let byte = *self.bytes.get(offset).ok_or(Error::Truncated { offset })?;
        self.at = offset.saturating_add(1);
        Ok((offset, byte))
    }

    fn next_visible(&mut self) -> Result<(usize, u8), Error> {
        loop {
            match self.next()? {
                (_, b' ' | b'\t' | b'\r' | b'\n') => {}
                (offset, 0) => return Err(Error::Truncated { offset }),
                other => return Ok(other),
            }
        }
    }

    fn expect(&mut self, wanted: u8, expected: &'static str) -> Result<(), Error> {
        match self.next_visible()? {
            (_, byte) if byte == wanted => Ok(()),
            (offset, found) => Err(Error::Unexpected { offset, found, expected }),
        }
    }

    /// A string of printable ASCII.
    fn string(&mut self, expected: &'static str) -> Result<Value<'a>, Error> {
        self.expect(b'"', expected)?;
        let start = self.at;
        loop {
            match self.next()? {
                (end, b'"') => {
                    let text = self.bytes.get(start..end).unwrap_or_default();
                    // Always text: each byte was printable ASCII.
                    return Ok(Value { text: core::str::from_utf8(text).unwrap_or_default(), offset: start });
                }
                (offset, b'\\') => return Err(Error::Escape { offset }),
                (offset, 0) => return Err(Error::Truncated { offset }),
                (_, b' '..=b'~') => {}
                (offset, found) => return Err(Error::Unexpected { offset, found, expected: "printable ASCII" }),
            }
        }
    }

    fn only_padding_left(&self) -> Result<(), Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let white = rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        let padding = rest.get(white..).unwrap_or_default();
        // Eight bytes a step: nearly all of the partition is padding.
        let zeros = padding.as_chunks::<8>().0.iter().take_while(|eight| u64::from_ne_bytes(**eight) == 0).count();
        let zeros = zeros.saturating_mul(8);
        let other = padding.iter().enumerate().skip(zeros).find(|(_, byte)| **byte != 0);
        if let Some((at, &found)) = other {
            return Err(Error::TrailingByte { offset: self.at.saturating_add(white).saturating_add(at), found });
        }
        Ok(())
    }
}
