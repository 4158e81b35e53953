// SPDX-License-Identifier: MIT OR Apache-2.0
//! The private key in a PEM file, not encrypted: RSA (PKCS#8 or PKCS#1), P-256 or P-384 (PKCS#8).
//!
//! Meant for development and for build machines that hold their key; a key in an HSM never comes here.
//! The same key gives the same signature each time: PKCS#1 v1.5, and ECDSA with the nonce of RFC 6979.

use std::path::{Path, PathBuf};

use boot_formats::pkcs7::{Algorithm, Digest, Scheme};
use der::Decode;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey, PrivateKeyInfo, spki};
use rsa::rand_core::OsRng;
use rsa::sha2::Sha256;
use rsa::signature::{self, RandomizedSigner, SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;

use crate::algorithm;
use crate::pem;

/// Sizes of RSA keys that may sign, in bits: those that the kernel and the boot stage take.
const RSA_BITS: [usize; 3] = [2048, 3072, 4096];

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
    /// Another kind of key, or another form of one.
    #[error("{}: expected a key for RSA, P-256 or P-384, found {found}", path.display())]
    Algorithm { path: PathBuf, found: String },
    /// Its DER is broken.
    #[error("{}: malformed PKCS#8 in the PEM block at byte {offset}: {source}", path.display())]
    Pkcs8 { path: PathBuf, offset: usize, source: rsa::pkcs8::Error },
    /// Its DER is broken.
    #[error("{}: malformed PKCS#1 in the PEM block at byte {offset}: {source}", path.display())]
    Pkcs1 { path: PathBuf, offset: usize, source: rsa::pkcs1::Error },
    /// Too small, too large, or of a size that nobody checks.
    #[error("{}: expected an RSA key of 2048, 3072 or 4096 bits, found {bits}", path.display())]
    KeySize { path: PathBuf, bits: usize },
    /// The random number generator or the arithmetic failed.
    #[error("{}: cannot sign: {source}", path.display())]
    Sign { path: PathBuf, source: signature::Error },
    /// The public half does not encode.
    #[error("{}: cannot encode the public key: {source}", path.display())]
    Public { path: PathBuf, source: spki::Error },
}

/// A private key. Wiped from memory when dropped; no `Debug`, so that it cannot be logged.
pub struct PrivateKey {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// Its public half: the DER of the SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    signer: KeyOf,
}

enum KeyOf {
    Rsa(Box<SigningKey<Sha256>>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Reads the only private key of a PEM file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = pem::read(path)?;
        let text = pem::text(path, &bytes)?;
        let block = pem::sole_block(path, text, "PRIVATE KEY", |label| label.ends_with("PRIVATE KEY"))?;
        let offset = block.offset;
        if block.label.starts_with("ENCRYPTED ") || block.text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(Error::Encrypted { path: path.to_owned(), offset });
        }
        let der = pem::decode(path, &block)?;
        let (signer, public_key) = match block.label {
            "PRIVATE KEY" => pkcs8(path, offset, &der)?,
            "RSA PRIVATE KEY" => {
                let key = RsaPrivateKey::from_pkcs1_der(&der);
                rsa_key(path, key.map_err(|source| Error::Pkcs1 { path: path.to_owned(), offset, source })?)?
            }
            other => {
                let kind = other.trim_end_matches(" PRIVATE KEY");
                let found =
                    format!("one for {kind} in its old form (`openssl pkey -in KEY -out KEY` writes the new one)");
                return Err(Error::Algorithm { path: path.to_owned(), found });
            }
        };
        let public_key = public_key.map_err(|source| Error::Public { path: path.to_owned(), source })?.into_vec();
        Ok(Self { path: path.to_owned(), public_key, signer })
    }

    /// How it signs: SHA-256, and SHA-384 with P-384.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.signer {
            KeyOf::Rsa(_) => Algorithm { digest: Digest::Sha256, scheme: Scheme::Rsa },
            KeyOf::P256(_) => Algorithm { digest: Digest::Sha256, scheme: Scheme::Ecdsa },
            KeyOf::P384(_) => Algorithm { digest: Digest::Sha384, scheme: Scheme::Ecdsa },
        }
    }

    /// Signature of `message`: the same bytes each time. The random numbers blind RSA's arithmetic against timing
    /// (RUSTSEC-2023-0071) and do not show in the result.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.signer {
            KeyOf::Rsa(key) => key.try_sign_with_rng(&mut OsRng, message).map(|signature| signature.to_vec()),
            KeyOf::P256(key) => key.try_sign(message).map(|signature: p256::ecdsa::DerSignature| signature.to_vec()),
            KeyOf::P384(key) => key.try_sign(message).map(|signature: p384::ecdsa::DerSignature| signature.to_vec()),
        }
        .map_err(|source| Error::Sign { path: self.path.clone(), source })
    }
}

type Halves = (KeyOf, spki::Result<der::Document>);

fn pkcs8(path: &Path, offset: usize, der: &[u8]) -> Result<Halves, Error> {
    let malformed = |source| Error::Pkcs8 { path: path.to_owned(), offset, source };
    let info = PrivateKeyInfo::from_der(der).map_err(|error| malformed(error.into()))?;
    if info.algorithm.oid == algorithm::RSA {
        return rsa_key(path, RsaPrivateKey::from_pkcs8_der(der).map_err(malformed)?);
    }
    match info.algorithm.parameters_oid() {
        Ok(algorithm::P256) if info.algorithm.oid == algorithm::EC => {
            let key = p256::SecretKey::from_pkcs8_der(der).map_err(malformed)?;
            Ok((KeyOf::P256((&key).into()), key.public_key().to_public_key_der()))
        }
        Ok(algorithm::P384) if info.algorithm.oid == algorithm::EC => {
            let key = p384::SecretKey::from_pkcs8_der(der).map_err(malformed)?;
            Ok((KeyOf::P384((&key).into()), key.public_key().to_public_key_der()))
        }
        Ok(curve) if info.algorithm.oid == algorithm::EC => {
            Err(Error::Algorithm { path: path.to_owned(), found: format!("one on the curve {curve}") })
        }
        _ => {
            let found = format!("one for {}", algorithm::name(&info.algorithm.oid));
            Err(Error::Algorithm { path: path.to_owned(), found })
        }
    }
}

fn rsa_key(path: &Path, key: RsaPrivateKey) -> Result<Halves, Error> {
    let bits = key.n().bits();
    if !RSA_BITS.contains(&bits) {
        return Err(Error::KeySize { path: path.to_owned(), bits });
    }
    let public_key = key.to_public_key().to_public_key_der();
    Ok((KeyOf::Rsa(Box::new(SigningKey::new(key))), public_key))
}
