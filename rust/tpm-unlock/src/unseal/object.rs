// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sealed object as systemd stores it.

use tpm_policy::name::Name;

use super::UnsealError;
use crate::wire::{Malformed, Reader};

/// `TPM_ALG_KEYEDHASH`, the type of a sealed secret.
const KEYED_HASH: u16 = 0x0008;

/// A sealed object's parts.
pub(super) struct Sealed {
    /// `TPM2B_PRIVATE` without its size.
    pub private: Vec<u8>,
    /// `TPMT_PUBLIC`.
    pub public: Vec<u8>,
    pub name: Name,
    /// Its `authPolicy`.
    pub policy: [u8; 32],
}

impl Sealed {
    pub fn parse(blob: &[u8]) -> Result<Self, UnsealError> {
        let (private, public) = split(blob).map_err(|error| match error {
            // What follows is the seed of an object that was made elsewhere.
            Malformed::Trailing { .. } => UnsealError::Import,
            error => UnsealError::Blob(error),
        })?;
        let mut reader = Reader::new(public);
        let mut head = || Ok((reader.u16()?, reader.u16()?, reader.u32()?, reader.sized_to(32)?));
        let (kind, name_algorithm, _, policy) = head().map_err(UnsealError::Blob)?;
        if kind != KEYED_HASH {
            return Err(UnsealError::Object { found: kind });
        }
        let name = Name::of_public_area(public).ok_or(UnsealError::Object { found: name_algorithm })?;
        let policy = policy.first_chunk().copied().ok_or(UnsealError::OtherPolicy)?;
        Ok(Self { private: private.to_vec(), public: public.to_vec(), name, policy })
    }
}

fn split(blob: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = Reader::new(blob);
    let parts = (reader.sized()?, reader.sized()?);
    reader.end()?;
    Ok(parts)
}
