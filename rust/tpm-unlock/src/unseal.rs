// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sealed key, as systemd enrols it.

use tpm_policy::{Bank, PcrMask};

/// A secret that a TPM sealed to its own storage root key, and to a policy.
#[derive(Clone, Copy)]
pub struct SealedKey<'a> {
    /// `TPM2B_PRIVATE`, then `TPM2B_PUBLIC`: systemd's `tpm2-blob`.
    pub blob: &'a [u8],
    /// The policy of the sealed object.
    pub policy_hash: [u8; 32],
    /// Registers whose values at enrolment are part of the policy; may be empty.
    pub pcrs: PcrMask,
    /// Their bank, and that of the signed policy.
    pub bank: Bank,
    /// systemd's `tpm2_srk`: handle and public area of the storage root key. Without it, the key is asked for at 0x81000001.
    pub srk: Option<&'a [u8]>,
    /// The policy that a key may sign anew for each release.
    pub signed: Option<SignedPolicy<'a>>,
}

/// A policy whose registers a key vouches for.
#[derive(Clone, Copy)]
pub struct SignedPolicy<'a> {
    /// That key: `SubjectPublicKeyInfo` in PEM or DER, RSA.
    pub public_key: &'a [u8],
    /// Registers that its signatures are about.
    pub pcrs: PcrMask,
    /// The signatures: systemd's tpm2-pcr-signature JSON. Not trusted: the TPM checks.
    pub signatures: &'a [u8],
}
