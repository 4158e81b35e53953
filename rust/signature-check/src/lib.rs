// SPDX-License-Identifier: MIT OR Apache-2.0
//! Did the key of this certificate sign this content? For kernels that cannot say so themselves, and for the host tools.
//!
//! * Takes a bare PKCS#7 in DER: detached, one signer, no attributes; at most the signer's own certificate in it.
//! * RSA of 2048, 3072 or 4096 bits with PKCS#1 v1.5 padding, ECDSA on P-256 or P-384; SHA-256, SHA-384 or SHA-512.
//! * Refuses whatever the kernel's crypto/asymmetric_keys refuses, and some things more, each by name. One corpus of good
//!   and bad signatures (tests/corpus) is held against both.
//! * Uses public keys only. What RUSTSEC-2023-0071 says of the crate `rsa` is about private keys.
//! * No I/O, no clock, no unsafe code.
//!
//! What it does not do: decide which certificates are trusted, or look at anything of a certificate but issuer, serial
//! number and key. A certificate is a pin; see `boot_formats::x509`.

mod ecdsa;
mod error;
mod rsa_pkcs1;

pub use error::Error;

use boot_formats::pkcs7::{self, Algorithm, Digest};
use boot_formats::x509::{self, PublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// That a signature was checked and found good. Made by [`verify`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    algorithm: Algorithm,
    certificate: [u8; 32],
}

impl Verified {
    /// How the signature was made.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// SHA-256 of the certificate whose key made it.
    #[must_use]
    pub const fn certificate(&self) -> [u8; 32] {
        self.certificate
    }
}

/// Checks that `pkcs7` is a signature of `content` by the key of `certificate`; all three as they are, PKCS#7 and
/// certificate in DER. For a DDI the content is the root hash as 64 lower-case hexadecimal digits.
///
/// # Errors
/// See [`Error`]. The cheap checks come first.
pub fn verify(pkcs7: &[u8], content: &[u8], certificate: &[u8]) -> Result<Verified, Error> {
    let signer = pkcs7::sole_signer(pkcs7).map_err(Error::Pkcs7)?;
    let algorithm = signer.algorithm().map_err(Error::Pkcs7)?;
    let certificate = x509::parse(certificate).map_err(Error::Certificate)?;
    let key = certificate.public_key().map_err(Error::Key)?;
    if !certificate.is_signer(&signer) {
        return Err(Error::OtherSigner);
    }
    if key.scheme() != algorithm.scheme {
        return Err(Error::KeyOfOtherKind { signature: algorithm.scheme, key: key.scheme() });
    }
    check(algorithm.digest, &key, content, signer.signature)?;
    Ok(Verified { algorithm, certificate: certificate.fingerprint() })
}

fn check(digest: Digest, key: &PublicKey<'_>, content: &[u8], signature: &[u8]) -> Result<(), Error> {
    match digest {
        Digest::Sha256 => check_digest::<Sha256>(key, &Sha256::digest(content), signature),
        Digest::Sha384 => check_digest::<Sha384>(key, &Sha384::digest(content), signature),
        Digest::Sha512 => check_digest::<Sha512>(key, &Sha512::digest(content), signature),
    }
}

fn check_digest<D: rsa_pkcs1::Named>(key: &PublicKey<'_>, digest: &[u8], signature: &[u8]) -> Result<(), Error> {
    match *key {
        PublicKey::Rsa { modulus, exponent } => rsa_pkcs1::check::<D>(modulus, exponent, digest, signature),
        PublicKey::P256(point) => ecdsa::check_p256(point, digest, signature),
        PublicKey::P384(point) => ecdsa::check_p384(point, digest, signature),
    }
}
