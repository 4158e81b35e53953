// SPDX-License-Identifier: MIT OR Apache-2.0
//! The digests of policies (part 3, 23). Always SHA-256: the algorithm of the sessions and objects that systemd and the boot
//! stage use, whatever the bank of the registers is.

use core::fmt;

use boot_formats::hex::Hex;

use crate::bank::{Bank, Digest};
use crate::name::Name;
use crate::pcr::PcrMask;

/// Bytes of a policy digest.
pub const LEN: usize = 32;

/// Command codes that are part of policy digests (part 2, 6.5.2).
const POLICY_PCR: u32 = 0x0000_017f;
const POLICY_AUTHORIZE: u32 = 0x0000_016a;
const POLICY_AUTH_VALUE: u32 = 0x0000_016b;

/// The digest of a policy session, after the assertions made so far.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PolicyDigest([u8; LEN]);

impl PolicyDigest {
    /// Of a session in which nothing was asserted.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; LEN])
    }

    /// One that was computed elsewhere.
    #[must_use]
    pub const fn of_bytes(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// After `TPM2_PolicyPCR` (part 3, 23.7) over the registers `mask` of `bank`, whose values, lowest register first, are
    /// `values`. `None` unless there is one value of that bank for each register.
    #[must_use]
    pub fn pcr(self, bank: Bank, mask: PcrMask, values: &[Digest]) -> Option<Self> {
        let fits = values.len() == mask.iter().count() && values.iter().all(|value| value.bank() == bank);
        if !fits {
            return None;
        }
        let mut hash = sha2::Sha256::default();
        for value in values {
            sha2::Digest::update(&mut hash, value.as_bytes());
        }
        let values: [u8; LEN] = sha2::Digest::finalize(hash).into();
        Some(Self(sha256(&[&self.0, &POLICY_PCR.to_be_bytes(), &selection(bank, mask), &values])))
    }

    /// After `TPM2_PolicyAuthorize` (part 3, 23.16) by the key of this name: what was asserted before no longer matters, since the
    /// key's signature spoke for it.
    #[must_use]
    pub fn authorize(key: &Name, policy_ref: &[u8]) -> Self {
        let first = sha256(&[&[0; LEN], &POLICY_AUTHORIZE.to_be_bytes(), key.as_bytes()]);
        Self(sha256(&[&first, policy_ref]))
    }

    /// After `TPM2_PolicyAuthValue` (part 3, 23.17): a PIN.
    #[must_use]
    pub fn auth_value(self) -> Self {
        Self(sha256(&[&self.0, &POLICY_AUTH_VALUE.to_be_bytes()]))
    }

    /// What a signature over this policy signs (part 3, 23.16, `aHash`): the SHA-256 of it and of `policy_ref`.
    #[must_use]
    pub fn to_be_signed(&self, policy_ref: &[u8]) -> [u8; LEN] {
        sha256(&[&self.0, policy_ref])
    }
}

impl Default for PolicyDigest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyDigest({self})")
    }
}

/// `TPML_PCR_SELECTION` of one bank (part 2, 10.9.7), as it goes over the wire.
#[must_use]
pub fn selection(bank: Bank, mask: PcrMask) -> [u8; 10] {
    let [algorithm_high, algorithm_low] = bank.algorithm().to_be_bytes();
    let [first, second, third] = mask.select();
    [0, 0, 0, 1, algorithm_high, algorithm_low, 3, first, second, third]
}

fn sha256(parts: &[&[u8]]) -> [u8; LEN] {
    let mut hash = sha2::Sha256::default();
    for part in parts {
        sha2::Digest::update(&mut hash, part);
    }
    sha2::Digest::finalize(hash).into()
}
