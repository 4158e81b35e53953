// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a signature is not accepted.

use core::fmt;

use boot_formats::pkcs7::{self, Scheme};
use boot_formats::x509;
use boot_record::reason::Reason;

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not a bare PKCS#7 with one signer, or made with algorithms that the policy does not allow.
    Pkcs7(pkcs7::Error),
    /// The certificate is none.
    Certificate(x509::Error),
    /// The certificate's key is of a kind or size that may not sign.
    Key(x509::KeyError),
    /// The certificate's key has an allowed form, but is no key: a point that is not on its curve, an even modulus.
    KeyUnusable,
    /// The signature names another certificate, by issuer and serial number or by having another inside.
    OtherSigner,
    /// The signature says it was made by a key of another kind.
    KeyOfOtherKind {
        /// What the signature says.
        signature: Scheme,
        /// What the certificate has.
        key: Scheme,
    },
    /// An RSA signature that is not as long as the modulus.
    SignatureSize {
        /// Bytes of the modulus.
        needed: usize,
        /// Bytes of the signature.
        available: usize,
    },
    /// An ECDSA signature that is not the DER of two numbers from 1 to the order of the curve.
    EcdsaForm,
    /// The key did not sign this content.
    Rejected,
}

impl Error {
    /// What the boot stage calls it, whoever checks.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Pkcs7(_) => Reason::SignatureMalformed,
            Self::Certificate(_) | Self::Key(_) | Self::KeyUnusable => Reason::ConfigInvalid,
            Self::OtherSigner => Reason::SignerUnknown,
            // The kernel has one errno for these, and does not say which it was.
            Self::KeyOfOtherKind { .. } | Self::SignatureSize { .. } | Self::EcdsaForm | Self::Rejected => {
                Reason::SignatureRejected
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs7(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::KeyUnusable => f.write_str("the certificate's public key is no key"),
            Self::OtherSigner => f.write_str("the signer is another certificate"),
            Self::KeyOfOtherKind { signature, key } => {
                write!(f, "signed by {}, but the certificate's key is for {}", signature.name(), key.name())
            }
            Self::SignatureSize { needed, available } => {
                write!(f, "RSA signature of {available} bytes, expected {needed}")
            }
            Self::EcdsaForm => f.write_str("ECDSA signature is not the DER of two numbers in the curve's order"),
            Self::Rejected => f.write_str("the certificate's key did not sign this root hash"),
        }
    }
}

impl core::error::Error for Error {}
