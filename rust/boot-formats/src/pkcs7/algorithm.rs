// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which algorithms may sign: one policy, whoever does the arithmetic (RFC 3370, RFC 5754, RFC 5753).
//!
//! What passes here, the kernel's crypto/asymmetric_keys/pkcs7_parser.c knows as well. It knows more: SHA-1 and SHA-224,
//! which are too weak; SHA-3, SM3 and GOST, which nothing here makes.

use super::{Error, Oid, Signer};

/// Contents of the object identifier of SHA-256, 2.16.840.1.101.3.4.2.1.
pub const OID_SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// Contents of the object identifier of SHA-384, 2.16.840.1.101.3.4.2.2.
pub const OID_SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
/// Contents of the object identifier of SHA-512, 2.16.840.1.101.3.4.2.3.
pub const OID_SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
/// Contents of the object identifier of RSA with PKCS#1 v1.5 padding, 1.2.840.113549.1.1.1.
pub const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// Contents of the object identifier of ECDSA with SHA-256, 1.2.840.10045.4.3.2.
pub const OID_ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// Contents of the object identifier of ECDSA with SHA-384, 1.2.840.10045.4.3.3.
pub const OID_ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// Contents of the object identifier of ECDSA with SHA-512, 1.2.840.10045.4.3.4.
pub const OID_ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];

/// A digest that may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    /// Its name in the kernel and in openssl.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// What is done with a key and a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// RSA with PKCS#1 v1.5 padding (RFC 8017, section 8.2).
    Rsa,
    /// ECDSA (FIPS 186-5); the curve is the key's.
    Ecdsa,
}

impl Scheme {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
        }
    }
}

/// How a signature was made, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Algorithm {
    /// Of what is signed.
    pub digest: Digest,
    /// The signature.
    pub scheme: Scheme,
}

impl Signer<'_> {
    /// The policy of algorithms: SHA-256, SHA-384 or SHA-512, with RSA or ECDSA. RSA goes by the one name that the kernel
    /// knows in a signature, `rsaEncryption`; ECDSA's name says the digest too, and must say the same one.
    ///
    /// # Errors
    /// [`Error::DigestAlgorithm`], [`Error::SignatureAlgorithm`], [`Error::DigestsDiffer`].
    pub fn algorithm(&self) -> Result<Algorithm, Error> {
        let digest = match self.digest_algorithm {
            OID_SHA256 => Digest::Sha256,
            OID_SHA384 => Digest::Sha384,
            OID_SHA512 => Digest::Sha512,
            other => return Err(Error::DigestAlgorithm { found: Oid::new(other) }),
        };
        let of_name = match self.signature_algorithm {
            OID_RSA => return Ok(Algorithm { digest, scheme: Scheme::Rsa }),
            OID_ECDSA_SHA256 => Digest::Sha256,
            OID_ECDSA_SHA384 => Digest::Sha384,
            OID_ECDSA_SHA512 => Digest::Sha512,
            other => return Err(Error::SignatureAlgorithm { found: Oid::new(other) }),
        };
        if of_name != digest {
            return Err(Error::DigestsDiffer { digest, signature: of_name });
        }
        Ok(Algorithm { digest, scheme: Scheme::Ecdsa })
    }
}
