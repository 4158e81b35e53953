// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a root hash to the contents of the signature partition.
//!
//! * PKCS#7 as the kernel's dm-verity takes it (drivers/md/dm-verity-verify-sig.c, crypto/asymmetric_keys/pkcs7_*.c):
//!   detached SignedData over the 64 hexadecimal digits of the root hash, no signed attributes, no certificates, one
//!   SignerInfo that names its certificate by issuer and serial number. Byte for byte what `openssl smime -sign -nocerts
//!   -noattr -binary -outform der` writes. Composed here because the builder of the `cms` crate always adds signed attributes.
//! * JSON as the Discoverable Partitions Specification has it: `rootHash`, `certificateFingerprint`, `signature`.
//! * Nothing leaves here that the boot stage's own code (`signature-check`) does not accept for this certificate.

use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use boot_formats::pkcs7::{self, Algorithm, Scheme};
use boot_formats::signature_json::MAX_PKCS7;
use boot_formats::verity::RootHash;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos};
use der::asn1::{Any, OctetString, SetOfVec};
use der::{Decode, Encode};
use sha2::{Digest, Sha256};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::algorithm;
use crate::certificate::Certificate;
use crate::image::SIGNATURE_PARTITION;
use crate::key::{self, PrivateKey};

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// Two halves of different pairs.
    #[error(
        "{}: the key does not belong to the certificate {}: expected the public key with SHA-256 {expected}, found {found}",
        key.display(), certificate.display()
    )]
    KeyMismatch { key: PathBuf, certificate: PathBuf, expected: String, found: String },
    /// Names in the certificate that do not encode.
    #[error("{}: cannot encode a signature that names this certificate: {source}", certificate.display())]
    Encode { certificate: PathBuf, source: der::Error },
    /// Names in the certificate that are too long.
    #[error(
        "{}: expected a PKCS#7 of at most {MAX_PKCS7} bytes, found {found}: the issuer's name is too long",
        certificate.display()
    )]
    TooLong { certificate: PathBuf, found: usize },
    /// The boot stage would not take it: names that are no DER, or a fault of the machine, or of whatever signed.
    #[error("{}: the boot stage would refuse a signature by this certificate: {source}", certificate.display())]
    Boot { certificate: PathBuf, source: signature_check::Error },
}

/// Why a signature made elsewhere is not taken.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The boot stage would not take it.
    #[error(transparent)]
    Refused(signature_check::Error),
    /// It cannot be put into an image.
    #[error(transparent)]
    Encode(#[from] Error),
}

/// Contents of the signature partition. Holding one says that the boot stage takes the signature, by the certificate it
/// was made with, for the root hash it states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// As the partition holds it: NUL behind it.
    #[must_use]
    pub fn padded(&self) -> Vec<u8> {
        let mut bytes = self.0.clone().into_bytes();
        // Never shorter: `MAX_PKCS7` fits.
        bytes.resize(usize::try_from(SIGNATURE_PARTITION).unwrap_or_default(), 0);
        bytes
    }
}

/// Checks that key and certificate are two halves of one pair.
///
/// # Errors
/// [`Error::KeyMismatch`] with the SHA-256 of both public keys (SubjectPublicKeyInfo).
pub fn require_pair(key: &PrivateKey, certificate: &Certificate) -> Result<(), Error> {
    if key.public_key == certificate.public_key {
        return Ok(());
    }
    Err(Error::KeyMismatch {
        key: key.path.clone(),
        certificate: certificate.path.clone(),
        expected: hex(&Sha256::digest(&certificate.public_key)),
        found: hex(&Sha256::digest(&key.public_key)),
    })
}

/// Signs the root hash.
///
/// # Errors
/// See [`Error`].
pub fn sign(root_hash: &RootHash, key: &PrivateKey, certificate: &Certificate) -> Result<Json, Error> {
    encode(root_hash, &key.sign(&root_hash.as_hex())?, key.algorithm(), certificate)
}

/// Takes a signature of the root hash that was made elsewhere, as it came.
///
/// # Errors
/// [`JoinError::Refused`] for whatever the boot stage would refuse.
pub fn join(root_hash: &RootHash, pkcs7: &[u8], certificate: &Certificate) -> Result<Json, JoinError> {
    let verified = signature_check::verify(pkcs7, &root_hash.as_hex(), &certificate.der).map_err(JoinError::Refused)?;
    let signer = pkcs7::sole_signer(pkcs7).map_err(|error| JoinError::Refused(signature_check::Error::Pkcs7(error)))?;
    Ok(encode(root_hash, signer.signature, verified.algorithm(), certificate)?)
}

fn encode(
    root_hash: &RootHash,
    signature: &[u8],
    algorithm: Algorithm,
    certificate: &Certificate,
) -> Result<Json, Error> {
    let path = || certificate.path.clone();
    let der =
        compose(signature, algorithm, certificate).map_err(|source| Error::Encode { certificate: path(), source })?;
    if der.len() > MAX_PKCS7 {
        return Err(Error::TooLong { certificate: path(), found: der.len() });
    }
    signature_check::verify(&der, &root_hash.as_hex(), &certificate.der)
        .map_err(|source| Error::Boot { certificate: path(), source })?;
    // In this order and without white space: one signature has one text.
    Ok(Json(format!(
        r#"{{"rootHash":"{root_hash}","certificateFingerprint":"{}","signature":"{}"}}"#,
        hex(&certificate.fingerprint),
        Base64::encode_string(&der)
    )))
}

fn compose(signature: &[u8], algorithm: Algorithm, certificate: &Certificate) -> der::Result<Vec<u8>> {
    let digest =
        AlgorithmIdentifierOwned { oid: algorithm::of_digest(algorithm.digest), parameters: Some(Any::null()) };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(certificate.issuer_and_serial.clone()),
        digest_alg: digest.clone(),
        signed_attrs: None,
        signature_algorithm: AlgorithmIdentifierOwned {
            oid: algorithm::of_signature(algorithm),
            parameters: (algorithm.scheme == Scheme::Rsa).then(Any::null),
        },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let signed_data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![digest])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: algorithm::DATA, econtent: None },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    };
    ContentInfo { content_type: algorithm::SIGNED_DATA, content: Any::from_der(&signed_data.to_der()?)? }.to_der()
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
