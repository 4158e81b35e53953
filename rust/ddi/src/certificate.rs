// SPDX-License-Identifier: MIT OR Apache-2.0
//! The certificate of the signer: what the kernel's keyring or the mini-initramfs pins.
//!
//! A certificate is a pin: its dates, its issuer's signature and its extensions are not looked at, neither here nor at
//! boot, where there is no clock to compare with.

use std::path::{Path, PathBuf};

use boot_formats::x509;
use cms::cert::IssuerAndSerialNumber;
use der::Decode;
use der::referenced::OwnedToRef;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};

use crate::algorithm;
use crate::pem;

/// Sizes of RSA keys that are accepted, in bits: the lower bound is that of every current recommendation, the upper
/// that of the crate that signs.
pub const KEY_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Why a certificate cannot be the signer's.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The file holds no certificate.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// Its DER is broken.
    #[error("{}: expected an X.509 certificate in the PEM block at byte {offset}: {source}", path.display())]
    Der { path: PathBuf, offset: usize, source: der::Error },
    /// The reader of the boot stage refuses it.
    #[error("{}: the boot stage would refuse the certificate in the PEM block at byte {offset}: {source}", path.display())]
    Boot { path: PathBuf, offset: usize, source: x509::Error },
    /// Not RSA.
    #[error("{}: expected a certificate for an RSA key, found {found}", path.display())]
    Algorithm { path: PathBuf, found: String },
    /// An RSA key that does not decode.
    #[error("{}: malformed RSA public key in the certificate: {source}", path.display())]
    PublicKey { path: PathBuf, source: rsa::Error },
    /// Too small or too large.
    #[error(
        "{}: expected an RSA key of {} to {} bits, found {bits}",
        path.display(), KEY_BITS.start(), KEY_BITS.end()
    )]
    KeySize { path: PathBuf, bits: usize },
}

/// A signer's certificate. Holding one says that it is well formed and for an RSA key, not that anybody trusts it.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// SHA-256 of its DER: what the image and boot.json call the signer.
    pub fingerprint: [u8; 32],
    /// The subject's common name, if it has one.
    pub common_name: Option<String>,
    /// Its name says DEVELOPMENT: every boot of an image signed with it says so.
    pub is_development: bool,
    /// The key that checks the signature.
    pub public_key: RsaPublicKey,
    /// How a signature names it.
    pub issuer_and_serial: IssuerAndSerialNumber,
    /// The certificate itself.
    pub der: Vec<u8>,
}

impl Certificate {
    /// Reads the only certificate of a PEM file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = pem::read(path)?;
        let block = pem::sole_block(path, &text, "CERTIFICATE", |label| label == "CERTIFICATE")?;
        let der = pem::decode(path, &block)?.to_vec();
        let offset = block.offset;
        let parsed = x509_cert::Certificate::from_der(&der)
            .map_err(|source| Error::Der { path: path.to_owned(), offset, source })?
            .tbs_certificate;
        let boot = x509::parse(&der).map_err(|source| Error::Boot { path: path.to_owned(), offset, source })?;
        let spki = parsed.subject_public_key_info.owned_to_ref();
        if spki.algorithm.oid != algorithm::RSA {
            return Err(Error::Algorithm { path: path.to_owned(), found: algorithm::name(&spki.algorithm.oid) });
        }
        let public_key = public_key(spki.subject_public_key.raw_bytes())
            .map_err(|source| Error::PublicKey { path: path.to_owned(), source })?;
        let bits = public_key.n().bits();
        if !KEY_BITS.contains(&bits) {
            return Err(Error::KeySize { path: path.to_owned(), bits });
        }
        Ok(Self {
            path: path.to_owned(),
            fingerprint: boot.fingerprint(),
            common_name: boot.subject_common_name.map(str::to_owned),
            is_development: boot.is_development(),
            public_key,
            issuer_and_serial: IssuerAndSerialNumber { issuer: parsed.issuer, serial_number: parsed.serial_number },
            der,
        })
    }
}

/// Of any size that the arithmetic can do, so that the error about the size is ours.
fn public_key(pkcs1: &[u8]) -> rsa::Result<RsaPublicKey> {
    let key = rsa::pkcs1::RsaPublicKey::from_der(pkcs1).map_err(rsa::pkcs1::Error::from)?;
    let number = |number: rsa::pkcs1::UintRef<'_>| BigUint::from_bytes_be(number.as_bytes());
    RsaPublicKey::new_with_max_size(number(key.modulus), number(key.public_exponent), 16384)
}
