// SPDX-License-Identifier: MIT OR Apache-2.0
//! `signature = user-space`: the check, for kernels that have no DM_VERITY_VERIFY_ROOTHASH_SIG or lack our certificate.
//!
//! Chosen by the configuration; never what is tried after the kernel has refused. A binary built without the feature
//! `user-signature` has none of the code, and refuses a configuration that chooses it.

use boot_formats::signature_json;
use kernel_edge::{dm, verity};

use super::Blame;
use crate::config::Anchor;
use crate::failure::Failure;

/// A root hash, as text, whose signature was checked: in a binary without the feature, never made.
#[derive(Debug)]
pub struct Verified(RootHashText);

#[cfg(feature = "user-signature")]
type RootHashText = heapless::String<64>;
#[cfg(not(feature = "user-signature"))]
type RootHashText = core::convert::Infallible;

/// Checks that the key of `anchor` signed the root hash.
#[cfg(feature = "user-signature")]
pub fn check(signature: &signature_json::Signature, anchor: &Anchor, blame: &Blame<'_>) -> Result<Verified, Failure> {
    signature_check::verify(&signature.pkcs7, &signature.root_hash.as_hex(), anchor.der())
        .map(|_| Verified(crate::failure::text(signature.root_hash)))
        .map_err(|error| blame.failure(error.reason(), error))
}

/// Refuses: `config` has refused such a configuration before.
#[cfg(not(feature = "user-signature"))]
pub fn check(_: &signature_json::Signature, _: &Anchor, blame: &Blame<'_>) -> Result<Verified, Failure> {
    Err(blame.failure(boot_record::reason::Reason::ConfigInvalid, crate::config::NO_USER_SIGNATURE))
}

/// Loads the table without the signature, for the root hash that was checked, whatever the table says.
#[cfg(feature = "user-signature")]
pub fn load(verified: &Verified, device: &dm::Device, table: &verity::Table<'_>) -> Result<(), verity::Error> {
    verity::load_without_signature(device, &verity::Table { root_hash: &verified.0, ..*table })
}

/// Nobody comes here.
#[cfg(not(feature = "user-signature"))]
pub fn load(verified: &Verified, _: &dm::Device, _: &verity::Table<'_>) -> Result<(), verity::Error> {
    match verified.0 {}
}
