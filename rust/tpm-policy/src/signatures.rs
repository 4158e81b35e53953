// SPDX-License-Identifier: MIT OR Apache-2.0
//! systemd's tpm2-pcr-signature JSON (`systemd-measure sign`): signatures over policies, by bank.
//!
//! `{"sha256": [{"pcrs": [11], "pkfp": HEX, "pol": HEX, "sig": BASE64}, ...], ...}`. Nothing here is trusted: a TPM checks the
//! signature, and that the policy is the one it has come to.

use core::fmt;

use boot_formats::{base64, hex};
use heapless::Vec;
use serde::Deserialize;

use crate::bank::Bank;
use crate::pcr::PcrMask;
use crate::policy::PolicyDigest;

/// Most signatures for one bank: a few phases of each kernel that is kept.
pub const MAX_ENTRIES: usize = 16;
/// Most bytes of a file.
pub const MAX_FILE: usize = 64 * 1024;
/// Most bytes of a signature: RSA-4096.
pub const MAX_SIGNATURE: usize = 512;

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More bytes than [`MAX_FILE`].
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not JSON, not of this structure, or more signatures than [`MAX_ENTRIES`].
    Json(serde_json_core::de::Error),
    /// A register above 23.
    Register {
        /// Place of the signature in its bank, from 0.
        entry: usize,
        /// The register.
        found: u8,
    },
    /// Not 64 lower-case hexadecimal digits.
    Digest {
        /// Place of the signature in its bank, from 0.
        entry: usize,
        /// Why not.
        error: hex::HexError,
    },
    /// Not base64, or longer than [`MAX_SIGNATURE`].
    Signature {
        /// Place of the signature in its bank, from 0.
        entry: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("policy signatures: ")?;
        match self {
            Self::TooLarge { found } => write!(f, "{found} bytes, at most {MAX_FILE}"),
            Self::Json(error) => error.fmt(f),
            Self::Register { entry, found } => write!(f, "entry {entry}: register {found}, at most 23"),
            Self::Digest { entry, error } => write!(f, "entry {entry}: {error}"),
            Self::Signature { entry } => write!(f, "entry {entry}: not base64 of at most {MAX_SIGNATURE} bytes"),
        }
    }
}

impl core::error::Error for Error {}

/// A signature over a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The policy that it is about.
    pub policy: PolicyDigest,
    /// RSASSA with SHA-256 over [`PolicyDigest::to_be_signed`].
    pub signature: Vec<u8, MAX_SIGNATURE>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow, default)]
    sha1: Vec<Entry<'a>, MAX_ENTRIES>,
    #[serde(borrow, default)]
    sha256: Vec<Entry<'a>, MAX_ENTRIES>,
    #[serde(borrow, default)]
    sha384: Vec<Entry<'a>, MAX_ENTRIES>,
    #[serde(borrow, default)]
    sha512: Vec<Entry<'a>, MAX_ENTRIES>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    pcrs: Vec<u8, { crate::pcr::COUNT as usize }>,
    pkfp: &'a str,
    pol: &'a str,
    sig: &'a str,
}

/// The signatures of a file that are of this bank, about these registers, and by the key with this fingerprint.
///
/// # Errors
/// [`Error`], also about signatures that are not asked for.
pub fn find(
    file: &[u8],
    bank: Bank,
    mask: PcrMask,
    fingerprint: &[u8; 32],
) -> Result<Vec<Signature, MAX_ENTRIES>, Error> {
    if file.len() > MAX_FILE {
        return Err(Error::TooLarge { found: file.len() });
    }
    let (parsed, _) = serde_json_core::from_slice::<File<'_>>(file).map_err(Error::Json)?;
    let mut found = Vec::new();
    let banks = [
        (Bank::Sha1, &parsed.sha1),
        (Bank::Sha256, &parsed.sha256),
        (Bank::Sha384, &parsed.sha384),
        (Bank::Sha512, &parsed.sha512),
    ];
    for (of_bank, entries) in banks {
        for (entry, content) in entries.iter().enumerate() {
            // Those of other banks too: serde-json-core leaves it to us to look into strings.
            let (signature, of) = content.read(entry)?;
            if of_bank == bank && of == (mask, *fingerprint) {
                // There is room for each entry of a bank.
                let _ = found.push(signature);
            }
        }
    }
    Ok(found)
}

impl Entry<'_> {
    fn read(&self, entry: usize) -> Result<(Signature, (PcrMask, [u8; 32])), Error> {
        let mask = self.pcrs.iter().try_fold(PcrMask::EMPTY, |mask, register| {
            mask.with(*register).ok_or(Error::Register { entry, found: *register })
        })?;
        let digest = |text: &str| hex::decode(text).map_err(|error| Error::Digest { entry, error });
        let mut bytes = [0; MAX_SIGNATURE];
        let signature = base64::decode(self.sig, &mut bytes).ok_or(Error::Signature { entry })?;
        let signature = Vec::from_slice(signature).map_err(|_| Error::Signature { entry })?;
        let policy = PolicyDigest::of_bytes(digest(self.pol)?);
        Ok((Signature { policy, signature }, (mask, digest(self.pkfp)?)))
    }
}
