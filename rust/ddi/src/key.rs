// SPDX-License-Identifier: MIT OR Apache-2.0
//! The private key in a PEM file: PKCS#8 or PKCS#1, RSA, not encrypted.
//!
//! Meant for development and for build machines that hold their key; a key in an HSM never comes here.

use std::path::{Path, PathBuf};

use der::Decode;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, PrivateKeyInfo};
use rsa::rand_core::OsRng;
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};

use crate::algorithm;
use crate::certificate::KEY_BITS;
use crate::pem;

/// Why a key cannot sign.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The file holds no private key.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// A pass phrase would be needed.
    #[error(
        "{}: expected an unencrypted private key, found an encrypted one at byte {offset}: \
         decrypt it with `openssl pkey -in KEY -out PLAIN-KEY`",
        path.display()
    )]
    Encrypted { path: PathBuf, offset: usize },
    /// Not RSA.
    #[error("{}: expected an RSA key, found {found}", path.display())]
    Algorithm { path: PathBuf, found: String },
    /// Its DER is broken.
    #[error("{}: malformed PKCS#8 in the PEM block at byte {offset}: {source}", path.display())]
    Pkcs8 { path: PathBuf, offset: usize, source: rsa::pkcs8::Error },
    /// Its DER is broken.
    #[error("{}: malformed PKCS#1 in the PEM block at byte {offset}: {source}", path.display())]
    Pkcs1 { path: PathBuf, offset: usize, source: rsa::pkcs1::Error },
    /// Too small or too large.
    #[error(
        "{}: expected an RSA key of {} to {} bits, found {bits}",
        path.display(), KEY_BITS.start(), KEY_BITS.end()
    )]
    KeySize { path: PathBuf, bits: usize },
    /// The random number generator or the arithmetic failed.
    #[error("{}: cannot sign: {source}", path.display())]
    Sign { path: PathBuf, source: rsa::signature::Error },
}

/// A private key. Wiped from memory when dropped; no `Debug`, so that it cannot be logged.
pub struct PrivateKey {
    /// Where it came from, for messages.
    pub path: PathBuf,
    key: SigningKey<Sha256>,
    public_key: RsaPublicKey,
}

impl PrivateKey {
    /// Reads the only private key of a PEM file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = pem::read(path)?;
        let block = pem::sole_block(path, &text, "PRIVATE KEY", |label| label.ends_with("PRIVATE KEY"))?;
        let offset = block.offset;
        if block.label.starts_with("ENCRYPTED ") || block.text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(Error::Encrypted { path: path.to_owned(), offset });
        }
        let der = pem::decode(path, &block)?;
        let key = match block.label {
            "PRIVATE KEY" => pkcs8(path, offset, &der)?,
            "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(&der).map_err(|source| Error::Pkcs1 {
                path: path.to_owned(),
                offset,
                source,
            })?,
            other => {
                let found = other.trim_end_matches(" PRIVATE KEY").to_owned();
                return Err(Error::Algorithm { path: path.to_owned(), found });
            }
        };
        let bits = key.n().bits();
        if !KEY_BITS.contains(&bits) {
            return Err(Error::KeySize { path: path.to_owned(), bits });
        }
        Ok(Self { path: path.to_owned(), public_key: key.to_public_key(), key: SigningKey::new(key) })
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &RsaPublicKey {
        &self.public_key
    }

    /// PKCS#1 v1.5 signature of the SHA-256 of `message`: the same bytes each time. The random numbers blind the
    /// arithmetic against timing (RUSTSEC-2023-0071) and do not show in the result.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.key
            .try_sign_with_rng(&mut OsRng, message)
            .map(|signature| signature.to_vec())
            .map_err(|source| Error::Sign { path: self.path.clone(), source })
    }
}

fn pkcs8(path: &Path, offset: usize, der: &[u8]) -> Result<RsaPrivateKey, Error> {
    let malformed = |source| Error::Pkcs8 { path: path.to_owned(), offset, source };
    let info = PrivateKeyInfo::from_der(der).map_err(|error| malformed(error.into()))?;
    if info.algorithm.oid != algorithm::RSA {
        return Err(Error::Algorithm { path: path.to_owned(), found: algorithm::name(&info.algorithm.oid) });
    }
    RsaPrivateKey::from_pkcs8_der(der).map_err(malformed)
}
