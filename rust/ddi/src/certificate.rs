// SPDX-License-Identifier: MIT OR Apache-2.0
//! The certificate of the signer: what the kernel's keyring or the mini-initramfs pins.
//!
//! A certificate is a pin: its dates, its issuer's signature and its extensions are not looked at, neither here nor at
//! boot, where there is no clock to compare with.

use std::path::{Path, PathBuf};

use boot_formats::x509;
use cms::cert::IssuerAndSerialNumber;
use der::{Decode, Encode};

use crate::pem;

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
    /// A key that may not sign: neither RSA of an allowed size, nor P-256, nor P-384.
    #[error("{}: the boot stage takes no signature by this certificate: {source}", path.display())]
    Key { path: PathBuf, source: x509::KeyError },
}

/// A signer's certificate. Holding one says that it is well formed and for a key that may sign, not that anybody trusts it.
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
    /// Its key: the DER of the SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
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
        let bytes = pem::read(path)?;
        let block = pem::sole_block(path, pem::text(path, &bytes)?, "CERTIFICATE", |label| label == "CERTIFICATE")?;
        let der = pem::decode(path, &block)?.to_vec();
        let offset = block.offset;
        let malformed = |source| Error::Der { path: path.to_owned(), offset, source };
        let parsed = x509_cert::Certificate::from_der(&der).map_err(malformed)?.tbs_certificate;
        let boot = x509::parse(&der).map_err(|source| Error::Boot { path: path.to_owned(), offset, source })?;
        boot.public_key().map_err(|source| Error::Key { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            fingerprint: boot.fingerprint(),
            common_name: boot.subject_common_name.map(str::to_owned),
            is_development: boot.is_development(),
            public_key: parsed.subject_public_key_info.to_der().map_err(malformed)?,
            issuer_and_serial: IssuerAndSerialNumber { issuer: parsed.issuer, serial_number: parsed.serial_number },
            der,
        })
    }
}
