// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a key was not unsealed.

use core::fmt;

use tpm_policy::{signatures, signing_key};

use crate::srk::SrkError;
use crate::tpm::Error;
use crate::wire::{Malformed, ResponseCode};

/// Why a key was not unsealed. The first four are what a device in the field meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsealError {
    /// The registers are not as the policy wants them: another kernel, another image, or after the latch.
    PcrMismatch,
    /// No storage root key: a TPM that was cleared, or never set up.
    SrkMissing {
        /// Where it should be.
        handle: u32,
    },
    /// The key was sealed under another storage root key: another TPM, or one that was cleared and set up again.
    SrkReplaced {
        /// Where the other one is.
        handle: u32,
    },
    /// The TPM does not answer for a while, since somebody tried too many passwords.
    Lockout,
    /// The TPM does not accept the session's HMAC: it does not have the storage root key that the token says, or somebody changed
    /// the command on its way.
    AuthFail,
    /// A register changed between the policy's assertion and the unsealing.
    PcrChanged,
    /// The policy is to be signed, and no signature is at hand.
    Unsigned,
    /// No signature for this key, bank and set of registers.
    NoSignature,
    /// The signature is not by the policy's key.
    SignatureRejected,
    /// The sealed object has another policy than the token says.
    OtherPolicy,
    /// The policy is not that of the token's public key.
    OtherPolicyKey,
    /// The sealed object's bytes.
    Blob(Malformed),
    /// An object that has to be imported first, as `systemd-cryptenroll --tpm2-device-key=` makes it: left to the system.
    Import,
    /// Not a sealed secret: its type.
    Object {
        /// `TPM_ALG_ID` of its type or name.
        found: u16,
    },
    /// The storage root key cannot be used.
    Srk(SrkError),
    /// The policy's key cannot be used.
    PolicyKey(signing_key::Error),
    /// The file of signatures cannot be used.
    Signatures(signatures::Error),
    /// The TPM, or the way to it.
    Tpm(Error),
}

impl From<Error> for UnsealError {
    fn from(error: Error) -> Self {
        match error.code() {
            Some(ResponseCode::LOCKOUT) => Self::Lockout,
            Some(ResponseCode::AUTH_FAIL | ResponseCode::BAD_AUTH) => Self::AuthFail,
            Some(ResponseCode::POLICY_FAIL) => Self::PcrMismatch,
            Some(ResponseCode::PCR_CHANGED) => Self::PcrChanged,
            _ => Self::Tpm(error),
        }
    }
}

impl From<SrkError> for UnsealError {
    fn from(error: SrkError) -> Self {
        Self::Srk(error)
    }
}

impl From<signing_key::Error> for UnsealError {
    fn from(error: signing_key::Error) -> Self {
        Self::PolicyKey(error)
    }
}

impl From<signatures::Error> for UnsealError {
    fn from(error: signatures::Error) -> Self {
        Self::Signatures(error)
    }
}

impl fmt::Display for UnsealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PcrMismatch => f.write_str("the registers are not as the policy wants them"),
            Self::SrkMissing { handle } => write!(f, "no storage root key at {handle:#010x}"),
            Self::SrkReplaced { handle } => {
                write!(f, "sealed under another storage root key than that at {handle:#010x}")
            }
            Self::Lockout => f.write_str("the TPM is locked after too many wrong passwords"),
            Self::AuthFail => f.write_str("the TPM does not accept the session: not the storage root key of the token"),
            Self::PcrChanged => f.write_str("a register changed while the policy was asserted"),
            Self::Unsigned => f.write_str("wants a signed policy, and there is no signature"),
            Self::NoSignature => f.write_str("no signature for this key, bank and registers"),
            Self::SignatureRejected => f.write_str("the policy's signature is not by its key"),
            Self::OtherPolicy => f.write_str("the sealed object has another policy than the token says"),
            Self::OtherPolicyKey => f.write_str("the policy is not that of the token's public key"),
            Self::Blob(error) => write!(f, "sealed object: {error}"),
            Self::Import => f.write_str("sealed object: it has to be imported first, which is left to the system"),
            Self::Object { found } => write!(f, "sealed object: algorithm {found:#06x}, expected a secret and SHA-256"),
            Self::Srk(error) => error.fmt(f),
            Self::PolicyKey(error) => error.fmt(f),
            Self::Signatures(error) => error.fmt(f),
            Self::Tpm(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for UnsealError {}
