// SPDX-License-Identifier: MIT OR Apache-2.0
//! A key that signs policies, as systemd hands it to a TPM (src/shared/tpm2-util.c, `tpm2_tpm2b_public_from_openssl_pkey`).
//!
//! RSA: systemd's TPM2_PolicyAuthorize knows no other.

use core::fmt;

use boot_formats::base64;
use boot_formats::x509::{self, PublicKey};
use heapless::{String, Vec};

use crate::bank::Bank;
use crate::name::Name;

/// Most bytes of a `SubjectPublicKeyInfo`: RSA-4096 has 550.
const MAX_DER: usize = 640;
/// Most characters of base64 for that, and the lines that frame it.
const MAX_TEXT: usize = 1024;
/// Most bytes of a public area.
pub const MAX_PUBLIC_AREA: usize = 560;

/// `TPM_ALG_RSA`, `TPM_ALG_SHA256`, `TPM_ALG_NULL`.
const RSA: u16 = 0x0001;
const SHA256: u16 = 0x000b;
const NULL: u16 = 0x0010;
/// `userWithAuth`, `decrypt`, `sign` of `TPMA_OBJECT`.
const ATTRIBUTES: u32 = 1 << 6 | 1 << 17 | 1 << 18;
/// What an exponent of 0 stands for in a public area.
const DEFAULT_EXPONENT: u32 = 65537;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Why bytes are not such a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Neither DER nor `-----BEGIN PUBLIC KEY-----`, base64, and its end.
    Pem,
    /// More bytes than such a key has.
    TooLong {
        /// Bytes given.
        found: usize,
        /// Most bytes.
        limit: usize,
    },
    /// Not the structure, or a key that may not sign.
    Key(x509::KeyError),
    /// A key on an elliptic curve.
    NotRsa,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("policy key: ")?;
        match self {
            Self::Pem => f.write_str("neither DER nor PEM of a public key"),
            Self::TooLong { found, limit } => write!(f, "{found} bytes, at most {limit}"),
            Self::Key(error) => error.fmt(f),
            Self::NotRsa => f.write_str("not RSA, which systemd's signed policies need"),
        }
    }
}

impl core::error::Error for Error {}

/// How a public area says 65537. systemd writes the number; since version 255 it tries 0 too, which TPMs write themselves. The two
/// make different names, and so different policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exponent {
    /// As a number.
    Number,
    /// As 0, where it is 65537.
    Default,
}

/// The key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    der: Vec<u8, MAX_DER>,
}

impl SigningKey {
    /// Parses PEM or DER of a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let der = if bytes.first() == Some(&0x30) {
            Vec::from_slice(bytes).map_err(|_| Error::TooLong { found: bytes.len(), limit: MAX_DER })?
        } else {
            decode_pem(bytes)?
        };
        let key = Self { der };
        match x509::parse_public_key(&key.der).map_err(Error::Key)? {
            (PublicKey::Rsa { .. }, _) => Ok(key),
            (PublicKey::P256(_) | PublicKey::P384(_), _) => Err(Error::NotRsa),
        }
    }

    /// Modulus and exponent, and the PKCS#1 structure of both. Of a key that was parsed there always are.
    fn parts(&self) -> Option<(&[u8], u32, &[u8])> {
        match x509::parse_public_key(&self.der) {
            Ok((PublicKey::Rsa { modulus, exponent }, structure)) => {
                let exponent = exponent.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
                Some((modulus, exponent, structure))
            }
            _ => None,
        }
    }

    /// SHA-256 of its PKCS#1 structure: `pkfp` of systemd's signatures.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let structure = self.parts().map(|(_, _, structure)| structure).unwrap_or_default();
        Bank::Sha256.digest(&[structure]).as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// Its `TPMT_PUBLIC` (part 2, 12.2.4).
    #[must_use]
    pub fn public_area(&self, form: Exponent) -> Vec<u8, MAX_PUBLIC_AREA> {
        let (modulus, exponent, _) = self.parts().unwrap_or_default();
        let exponent = if form == Exponent::Default && exponent == DEFAULT_EXPONENT { 0 } else { exponent };
        let len = u16::try_from(modulus.len()).unwrap_or_default();
        let bits = len.saturating_mul(8);
        let mut area = Vec::new();
        let parts: [&[u8]; 10] = [
            &RSA.to_be_bytes(),
            &SHA256.to_be_bytes(),
            &ATTRIBUTES.to_be_bytes(),
            &[0, 0], // authPolicy
            &NULL.to_be_bytes(),
            &NULL.to_be_bytes(),
            &bits.to_be_bytes(),
            &exponent.to_be_bytes(),
            &len.to_be_bytes(),
            modulus,
        ];
        for part in parts {
            // A modulus has at most 512 bytes.
            let _ = area.extend_from_slice(part);
        }
        area
    }

    /// Its name in a TPM.
    #[must_use]
    pub fn name(&self, form: Exponent) -> Option<Name> {
        Name::of_public_area(&self.public_area(form))
    }
}

/// The one object of a PEM file: nothing before it, white space behind it.
fn decode_pem(text: &[u8]) -> Result<Vec<u8, MAX_DER>, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong { found: text.len(), limit: MAX_TEXT });
    }
    let text = core::str::from_utf8(text).map_err(|_| Error::Pem)?.trim_ascii();
    let body = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)).ok_or(Error::Pem)?;
    let mut text = String::<MAX_TEXT>::new();
    for character in body.chars().filter(|character| !character.is_ascii_whitespace()) {
        text.push(character).map_err(|_| Error::Pem)?;
    }
    let mut der = [0; MAX_DER];
    let der = base64::decode(&text, &mut der).ok_or(Error::Pem)?;
    Vec::from_slice(der).map_err(|_| Error::Pem)
}
