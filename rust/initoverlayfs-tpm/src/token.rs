// SPDX-License-Identifier: MIT OR Apache-2.0
//! The token as systemd-cryptenroll writes it (systemd 257, src/shared/tpm2-util.c, `tpm2_make_luks2_json`); [`tpm_unlock::token`] reads it.

use base64ct::{Base64, Encoding};
use boot_formats::hex::Hex;
use serde::Serialize;
use tpm_unlock::token::KIND;

use crate::policy::Policy;
use crate::seal::Sealed;

/// Members in systemd's order. What is false there, or not used, is not written.
#[derive(Serialize)]
struct Token<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    keyslots: [String; 1],
    #[serde(rename = "tpm2-blob")]
    blob: String,
    #[serde(rename = "tpm2-pcrs")]
    pcrs: Vec<u8>,
    #[serde(rename = "tpm2-pcr-bank")]
    bank: &'a str,
    #[serde(rename = "tpm2-primary-alg")]
    algorithm: &'a str,
    #[serde(rename = "tpm2-policy-hash")]
    policy_hash: String,
    #[serde(rename = "tpm2_pubkey_pcrs", skip_serializing_if = "Option::is_none")]
    signed_pcrs: Option<Vec<u8>>,
    #[serde(rename = "tpm2_pubkey", skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(rename = "tpm2_srk")]
    srk: String,
}

/// The token for a keyslot.
///
/// # Errors
/// [`serde_json::Error`]; there is no known cause.
pub fn json(keyslot: u8, policy: &Policy, sealed: &Sealed) -> serde_json::Result<String> {
    serde_json::to_string(&Token {
        kind: KIND,
        keyslots: [keyslot.to_string()],
        blob: Base64::encode_string(&sealed.blob),
        pcrs: policy.literal.iter().collect(),
        bank: policy.bank.name(),
        algorithm: sealed.algorithm,
        policy_hash: Hex(policy.digest.as_bytes()).to_string(),
        signed_pcrs: policy.signer.as_ref().map(|signer| signer.registers.iter().collect()),
        public_key: policy.signer.as_ref().map(|signer| Base64::encode_string(&signer.pem)),
        srk: Base64::encode_string(&sealed.srk),
    })
}
