// SPDX-License-Identifier: MIT OR Apache-2.0
//! The key of a certificate, and which keys may sign (RFC 3279 for RSA, RFC 5480 for elliptic curves).
//!
//! What passes here, the kernel takes as well: crypto/rsa.c knows these sizes of keys and no others between them,
//! crypto/ecdsa.c no compressed points. Whether a point is on its curve is for who uses it.

use core::fmt;

use super::Certificate;
use crate::der::{self, tag};
use crate::pkcs7::{OID_RSA, Oid, Scheme};

/// Contents of 1.2.840.10045.2.1, a key on an elliptic curve.
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// Contents of 1.2.840.10045.3.1.7, the curve P-256.
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Contents of 1.3.132.0.34, the curve P-384.
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// First byte of a point that is given by both coordinates.
const UNCOMPRESSED: u8 = 4;
/// Bytes of an RSA modulus: 2048, 3072 and 4096 bits, all of them used. Shorter keys are too weak, the kernel knows no others.
const MODULUS_BYTES: [usize; 3] = [256, 384, 512];
/// Most bytes of an RSA exponent. 65537 has three; more would only make the check slow.
const EXPONENT_BYTES: usize = 4;

/// A public key that may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// RSA; numbers big-endian, without zeros in front.
    Rsa {
        /// 2048, 3072 or 4096 bits.
        modulus: &'a [u8],
        /// Odd, at least 3, at most 32 bits.
        exponent: &'a [u8],
    },
    /// On the curve P-256: 04, x, y; 65 bytes.
    P256(&'a [u8]),
    /// On the curve P-384: 04, x, y; 97 bytes.
    P384(&'a [u8]),
}

impl PublicKey<'_> {
    /// What signatures this key makes.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Rsa { .. } => Scheme::Rsa,
            Self::P256(_) | Self::P384(_) => Scheme::Ecdsa,
        }
    }
}

/// `RSA-2048`, `P-256` and so on.
impl fmt::Display for PublicKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { modulus, .. } => write!(f, "RSA-{}", modulus.len().saturating_mul(8)),
            Self::P256(_) => f.write_str("P-256"),
            Self::P384(_) => f.write_str("P-384"),
        }
    }
}

/// Why a certificate's key may not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not DER, or not of this structure.
    Der(der::Error),
    /// Neither RSA nor an elliptic curve.
    Algorithm {
        /// Which.
        found: Oid,
    },
    /// A curve other than P-256 and P-384.
    Curve {
        /// Which.
        found: Oid,
    },
    /// A bit string that does not end with a byte.
    UnusedBits {
        /// Where the bit string is.
        offset: usize,
    },
    /// A modulus of other than 2048, 3072 or 4096 bits.
    ModulusSize {
        /// Its bits.
        found: usize,
    },
    /// An exponent that is even, below 3, or above 32 bits.
    Exponent {
        /// Where it is.
        offset: usize,
    },
    /// A number that is negative or has zeros in front.
    Number {
        /// Where it is.
        offset: usize,
    },
    /// A point that is compressed or has another size than its curve's.
    Point {
        /// Where it is.
        offset: usize,
        /// Bytes that it has on this curve, uncompressed.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
}

impl From<der::Error> for KeyError {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x509: public key: ")?;
        match self {
            Self::Der(error) => error.fmt(f),
            Self::Algorithm { found } => write!(f, "algorithm {found}, expected RSA or an elliptic curve"),
            Self::Curve { found } => write!(f, "curve {found}, expected P-256 or P-384"),
            Self::UnusedBits { offset } => write!(f, "at byte {offset}: bits that are no whole bytes"),
            Self::ModulusSize { found } => write!(f, "RSA of {found} bits, expected 2048, 3072 or 4096"),
            Self::Exponent { offset } => write!(f, "at byte {offset}: exponent is not an odd number from 3 to 32 bits"),
            Self::Number { offset } => write!(f, "at byte {offset}: not a positive number in its shortest form"),
            Self::Point { offset, needed, available } => {
                write!(f, "at byte {offset}: expected an uncompressed point of {needed} bytes, found {available} bytes")
            }
        }
    }
}

impl core::error::Error for KeyError {}

impl<'a> Certificate<'a> {
    /// The policy of keys: RSA of 2048, 3072 or 4096 bits, or a point of P-256 or P-384.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn public_key(&self) -> Result<PublicKey<'a>, KeyError> {
        parse_info(self.public_key_info).map(|(key, _)| key)
    }
}

/// Parses one `SubjectPublicKeyInfo` in DER, nothing behind it, which is what a file with a public key holds. Gives the key, and
/// the bytes of its own structure: a fingerprint of a key is usually a digest of those.
///
/// # Errors
/// See [`KeyError`]; the policy of keys is that of certificates.
pub fn parse_public_key(der: &[u8]) -> Result<(PublicKey<'_>, &[u8]), KeyError> {
    let mut file = der::Reader::new(der);
    let info = file.expect(tag::SEQUENCE)?;
    file.end()?;
    parse_info(info)
}

fn parse_info(info: der::Value<'_>) -> Result<(PublicKey<'_>, &[u8]), KeyError> {
    let mut info = info.reader();
    let mut algorithm = info.expect(tag::SEQUENCE)?.reader();
    let bits = info.expect(tag::BIT_STRING)?;
    info.end()?;
    let Some((0, key)) = bits.contents.split_first() else {
        return Err(KeyError::UnusedBits { offset: bits.offset });
    };
    // Behind tag and length, and the count of unused bits.
    let offset = bits.reader().offset().saturating_add(1);
    let parsed = match algorithm.expect(tag::OID)?.contents {
        OID_RSA => {
            algorithm.optional(tag::NULL)?;
            algorithm.end()?;
            rsa(der::Reader::at(key, offset))
        }
        OID_EC => {
            let curve = algorithm.expect(tag::OID)?.contents;
            algorithm.end()?;
            match curve {
                OID_P256 => point(key, 65, offset).map(PublicKey::P256),
                OID_P384 => point(key, 97, offset).map(PublicKey::P384),
                other => Err(KeyError::Curve { found: Oid::new(other) }),
            }
        }
        other => Err(KeyError::Algorithm { found: Oid::new(other) }),
    };
    Ok((parsed?, key))
}

fn point(key: &[u8], needed: usize, offset: usize) -> Result<&[u8], KeyError> {
    match key.first() {
        Some(&UNCOMPRESSED) if key.len() == needed => Ok(key),
        _ => Err(KeyError::Point { offset, needed, available: key.len() }),
    }
}

/// RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }
fn rsa<'a>(mut key: der::Reader<'a>) -> Result<PublicKey<'a>, KeyError> {
    let numbers = key.expect(tag::SEQUENCE)?;
    key.end()?;
    let mut numbers = numbers.reader();
    let modulus = positive(numbers.expect(tag::INTEGER)?)?;
    let exponent_value = numbers.expect(tag::INTEGER)?;
    let exponent = positive(exponent_value)?;
    numbers.end()?;
    let found = bit_length(modulus);
    if !MODULUS_BYTES.iter().any(|bytes| bytes.saturating_mul(8) == found) {
        return Err(KeyError::ModulusSize { found });
    }
    let is_odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    if !is_odd || exponent == [1] || exponent.len() > EXPONENT_BYTES {
        return Err(KeyError::Exponent { offset: exponent_value.offset });
    }
    Ok(PublicKey::Rsa { modulus, exponent })
}

/// The bytes of a DER integer above 0, without the zero that makes it positive.
fn positive(value: der::Value<'_>) -> Result<&[u8], KeyError> {
    match value.contents {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first > 0x7f) => Ok(rest),
        [1..=0x7f, ..] => Ok(value.contents),
        _ => Err(KeyError::Number { offset: value.offset }),
    }
}

/// Bits of a number without zeros in front.
fn bit_length(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    number.len().saturating_mul(8).saturating_sub(usize::try_from(unused).unwrap_or(0))
}
