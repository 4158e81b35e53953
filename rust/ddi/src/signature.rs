// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a root hash to the contents of the signature partition.
//!
//! * PKCS#7 as the kernel's dm-verity takes it (drivers/md/dm-verity-verify-sig.c, crypto/asymmetric_keys/pkcs7_*.c):
//!   detached SignedData over the 64 hexadecimal digits of the root hash, no signed attributes, no certificates, one
//!   SignerInfo that names its certificate by issuer and serial number, sha256 and rsaEncryption. Byte for byte what
//!   `openssl smime -sign -nocerts -noattr -binary -outform der` writes. Composed here because the builder of the `cms`
//!   crate always adds signed attributes.
//! * JSON as the Discoverable Partitions Specification has it: `rootHash`, `certificateFingerprint`, `signature`.

use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use boot_formats::pkcs7;
use boot_formats::signature_json::MAX_PKCS7;
use boot_formats::verity::RootHash;
use boot_formats::x509;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos};
use der::asn1::{Any, OctetString, SetOfVec};
use der::{Decode, Encode};
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::EncodePublicKey;
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::algorithm;
use crate::certificate::Certificate;
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
    /// The signature does not verify with the certificate: a fault of the machine, or of whatever signed.
    #[error("the signature does not verify with {}: {source}", certificate.display())]
    DoesNotVerify { certificate: PathBuf, source: rsa::signature::Error },
    /// Names in the certificate that do not encode.
    #[error("{}: cannot encode a signature that names this certificate: {source}", certificate.display())]
    Encode { certificate: PathBuf, source: der::Error },
    /// Names in the certificate that are too long.
    #[error(
        "{}: expected a PKCS#7 of at most {MAX_PKCS7} bytes, found {found}: the issuer's name is too long",
        certificate.display()
    )]
    TooLong { certificate: PathBuf, found: usize },
    /// The reader of the boot stage refuses it.
    #[error("{}: the boot stage would refuse a signature by this certificate: {source}", certificate.display())]
    Boot { certificate: PathBuf, source: pkcs7::Error },
    /// The name does not survive decoding and encoding, so that nobody would find the certificate by it.
    #[error(
        "{}: the issuer's name or the serial number is no DER: the boot stage would not find the certificate by it",
        certificate.display()
    )]
    NotFoundByName { certificate: PathBuf },
}

/// Checks that key and certificate are two halves of one pair.
///
/// # Errors
/// [`Error::KeyMismatch`] with the SHA-256 of both public keys (SubjectPublicKeyInfo), [`Error::Encode`].
pub fn require_pair(key: &PrivateKey, certificate: &Certificate) -> Result<(), Error> {
    if *key.public_key() == certificate.public_key {
        return Ok(());
    }
    let digest = |public: &rsa::RsaPublicKey| match public.to_public_key_der() {
        Ok(der) => hex(&Sha256::digest(der.as_bytes())),
        Err(error) => error.to_string(),
    };
    Err(Error::KeyMismatch {
        key: key.path.clone(),
        certificate: certificate.path.clone(),
        expected: digest(&certificate.public_key),
        found: digest(key.public_key()),
    })
}

/// Signs the root hash and gives the JSON of the signature partition, not padded.
///
/// # Errors
/// See [`Error`]; what comes back verifies with `certificate` and is read by the boot stage.
pub fn sign(root_hash: &RootHash, key: &PrivateKey, certificate: &Certificate) -> Result<Vec<u8>, Error> {
    let signature = key.sign(&root_hash.as_hex())?;
    check(root_hash, &signature, certificate)?;
    Ok(json(root_hash, &pkcs7_der(&signature, certificate)?, certificate))
}

/// Bytes that [`sign`] will give: known before the root hash is, because all its parts have fixed lengths.
///
/// # Errors
/// [`Error::Encode`], [`Error::TooLong`], [`Error::Boot`], [`Error::NotFoundByName`].
pub fn json_len(certificate: &Certificate) -> Result<usize, Error> {
    let placeholder = vec![0; certificate.public_key.size()];
    Ok(json(&RootHash::new([0; 32]), &pkcs7_der(&placeholder, certificate)?, certificate).len())
}

fn check(root_hash: &RootHash, signature: &[u8], certificate: &Certificate) -> Result<(), Error> {
    Signature::try_from(signature)
        .and_then(|signature| {
            VerifyingKey::<rsa::sha2::Sha256>::new(certificate.public_key.clone())
                .verify(&root_hash.as_hex(), &signature)
        })
        .map_err(|source| Error::DoesNotVerify { certificate: certificate.path.clone(), source })
}

fn pkcs7_der(signature: &[u8], certificate: &Certificate) -> Result<Vec<u8>, Error> {
    let der = compose(signature, certificate)
        .map_err(|source| Error::Encode { certificate: certificate.path.clone(), source })?;
    if der.len() > MAX_PKCS7 {
        return Err(Error::TooLong { certificate: certificate.path.clone(), found: der.len() });
    }
    let signer =
        pkcs7::sole_signer(&der).map_err(|source| Error::Boot { certificate: certificate.path.clone(), source })?;
    match x509::parse(&certificate.der).is_ok_and(|boot| boot.is_signer(&signer)) {
        true => Ok(der),
        false => Err(Error::NotFoundByName { certificate: certificate.path.clone() }),
    }
}

fn compose(signature: &[u8], certificate: &Certificate) -> der::Result<Vec<u8>> {
    let algorithm = |oid| AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(certificate.issuer_and_serial.clone()),
        digest_alg: algorithm(algorithm::SHA256),
        signed_attrs: None,
        signature_algorithm: algorithm(algorithm::RSA),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let signed_data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![algorithm(algorithm::SHA256)])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: algorithm::DATA, econtent: None },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    };
    ContentInfo { content_type: algorithm::SIGNED_DATA, content: Any::from_der(&signed_data.to_der()?)? }.to_der()
}

/// In this order and without white space: one root hash has one text.
fn json(root_hash: &RootHash, pkcs7: &[u8], certificate: &Certificate) -> Vec<u8> {
    format!(
        r#"{{"rootHash":"{root_hash}","certificateFingerprint":"{}","signature":"{}"}}"#,
        hex(&certificate.fingerprint),
        Base64::encode_string(pkcs7)
    )
    .into_bytes()
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
