// SPDX-License-Identifier: MIT OR Apache-2.0
//! Binds a volume to the TPM: a secret that the TPM gives out under a policy, its base64 as the passphrase of a new keyslot, and a token
//! that says how to get it.
//!
//! In this order: everything that can be refused is refused before the TPM is asked to seal; what was sealed is unsealed once where the
//! registers allow it; the keyslot is opened as the boot stage will open it before there is a token for it. Whatever fails after the
//! keyslot was added, the keyslot is taken away again.

use std::fmt;

use serde::Serialize;
use tpm_unlock::tpm::NoEntropy;
use tpm_unlock::unlock::{Refusal, Rules};
use tpm_unlock::unseal::Unsealed;
use tpm_unlock::volume::{VolumeError, passphrase};
use tpm_unlock::{SealedKey, Tpm, Transport, UnsealError, unseal};
use zeroize::Zeroizing;

use crate::cryptsetup::{self, Cryptsetup, Existing};
use crate::measured::Extensions;
use crate::policy::{self, Policy, Request};
use crate::seal::{self, Sealed, seal};
use crate::survey::{self, Survey};
use crate::token;

/// Bytes of the secret, as systemd has it.
const SECRET: usize = 32;

/// Why a volume is not enrolled. Nothing of the attempt is left in its header, but for [`Error::NotUndone`].
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The device, or what is on it.
    #[error("{device}: {source}")]
    Survey { device: String, source: survey::Error },
    /// All 32 are taken.
    #[error("{device}: no {what} is free")]
    Full { device: String, what: &'static str },
    #[error(transparent)]
    Policy(#[from] policy::Error),
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// What was sealed does not come out again.
    #[error("what was sealed is not given out: {0}")]
    Unseal(UnsealError),
    /// Something else comes out.
    #[error("the TPM unseals another secret than it sealed")]
    OtherSecret,
    #[error("the kernel gives no random bytes")]
    NoEntropy,
    #[error("{0}")]
    Secret(VolumeError),
    #[error("the token does not go into JSON: {0}")]
    Token(#[from] serde_json::Error),
    #[error("{device}: {source}")]
    Cryptsetup { device: String, source: cryptsetup::Error },
    /// cryptsetup made a keyslot that the boot stage does not open.
    #[error("{device}: keyslot {keyslot}, which was added: {source}")]
    Keyslot { device: String, keyslot: u8, source: survey::Error },
    /// The token in the header is not the one that was put there.
    #[error("{device}: token {token}, which was added: {reason}")]
    Stored { device: String, token: u8, reason: NotStored },
    /// The keyslot that was added for it is still there.
    #[error(
        "{cause}; and keyslot {keyslot}, which was added for it, could not be removed ({undoing}): `cryptsetup luksKillSlot {device} {keyslot}`"
    )]
    NotUndone { cause: Box<Self>, device: String, keyslot: u8, undoing: cryptsetup::Error },
}

/// What is wrong with a token that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// It is not there.
    #[error("it is not there")]
    Missing,
    /// The boot stage would not use it.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<NoEntropy> for Error {
    fn from(NoEntropy: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

/// A volume that was enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enrolled {
    /// Format of this object; it changes when a member changes its meaning.
    pub format: u32,
    /// The device.
    pub device: String,
    /// The volume's UUID.
    pub uuid: String,
    /// The token's number.
    pub token: u8,
    /// The keyslot's number.
    pub keyslot: u8,
    /// Literal registers.
    pub pcrs: Vec<u8>,
    /// Registers of the signed policy.
    pub signed_pcrs: Vec<u8>,
    /// Bank of the registers.
    pub bank: &'static str,
    /// The policy's digest, in hexadecimal digits.
    pub policy: String,
    #[serde(skip)]
    words: String,
}

impl fmt::Display for Enrolled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: token {}, keyslot {}: {}", self.device, self.token, self.keyslot, self.words)
    }
}

/// What it takes beside the TPM.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// Its device.
    pub device: &'a str,
    /// Who may add a keyslot.
    pub existing: &'a Existing,
    /// Who adds it.
    pub cryptsetup: &'a Cryptsetup,
}

/// Enrols.
///
/// # Errors
/// [`Error`].
pub fn enroll<T: Transport>(
    tpm: &mut Tpm<T>,
    volume: Volume<'_>,
    request: &Request,
    log: &Extensions,
) -> Result<Enrolled, Error> {
    request.check()?;
    let device = volume.device;
    let before = survey(device, request.rules)?;
    let full = |what| Error::Full { device: device.to_owned(), what };
    let keyslot = before.free_keyslot().ok_or(full("keyslot"))?;
    let token = before.free_token().ok_or(full("token"))?;

    let policy = request.policy(tpm, log)?;
    let mut secret = Zeroizing::new([0; SECRET]);
    tpm.fill_random(secret.as_mut_slice())?;
    let sealed = seal(tpm, &policy.digest, secret.as_slice())?;
    if policy.is_satisfied {
        try_out(tpm, &policy, &sealed, secret.as_slice())?;
    }
    let json = token::json(keyslot, &policy, &sealed)?;
    let passphrase = passphrase(secret.as_slice()).map_err(Error::Secret)?;
    if let Err(cause) = volume.write(keyslot, &passphrase, token, &json, request.rules) {
        return Err(volume.undo(cause, keyslot, &passphrase));
    }
    Ok(Enrolled {
        format: 1,
        device: device.to_owned(),
        uuid: before.uuid,
        token,
        keyslot,
        pcrs: policy.literal.iter().collect(),
        signed_pcrs: policy.signer.iter().flat_map(|signer| signer.registers.iter()).collect(),
        bank: policy.bank.name(),
        policy: policy.digest.to_string(),
        words: policy.to_string(),
    })
}

fn survey(device: &str, rules: Rules) -> Result<Survey, Error> {
    Survey::of(device, rules).map_err(|source| Error::Survey { device: device.to_owned(), source })
}

/// The boot stage's own way to the secret.
fn try_out<T: Transport>(tpm: &mut Tpm<T>, policy: &Policy, sealed: &Sealed, secret: &[u8]) -> Result<(), Error> {
    let key = SealedKey {
        blob: &sealed.blob,
        policy_hash: *policy.digest.as_bytes(),
        pcrs: policy.literal,
        bank: policy.bank,
        srk: Some(&sealed.srk),
        signed: None,
    };
    let mut unsealed = Unsealed::default();
    unseal(tpm, &key, None, &mut unsealed).map_err(Error::Unseal)?;
    if unsealed.as_slice() == secret { Ok(()) } else { Err(Error::OtherSecret) }
}

impl Volume<'_> {
    fn write(
        self,
        keyslot: u8,
        passphrase: &Zeroizing<Vec<u8>>,
        token: u8,
        json: &str,
        rules: Rules,
    ) -> Result<(), Error> {
        let Self { device, existing, cryptsetup } = self;
        let failed = |source| Error::Cryptsetup { device: device.to_owned(), source };
        cryptsetup.add_keyslot(device, keyslot, existing, passphrase).map_err(failed)?;
        let shut = |source| Error::Keyslot { device: device.to_owned(), keyslot, source };
        survey::opens(device, keyslot, passphrase).map_err(shut)?;
        cryptsetup.add_token(device, token, json).map_err(failed)?;
        let stored = survey(device, rules)?.tokens.into_iter().find(|found| found.id == token);
        let reason = match stored.map(|found| found.policy) {
            Some(Some(Ok(_))) => return Ok(()),
            Some(Some(Err(refusal))) => NotStored::Refused(refusal),
            Some(None) | None => NotStored::Missing,
        };
        // Best effort: what is reported is what is wrong with it.
        let _ = cryptsetup.remove_token(device, token);
        Err(Error::Stored { device: device.to_owned(), token, reason })
    }

    /// Takes the keyslot away, if there is one that the passphrase opens: another one of that number is somebody else's.
    fn undo(self, cause: Error, keyslot: u8, passphrase: &Zeroizing<Vec<u8>>) -> Error {
        if survey::opens(self.device, keyslot, passphrase).is_err() {
            return cause;
        }
        match self.cryptsetup.remove_keyslot(self.device, keyslot) {
            Ok(()) => cause,
            Err(undoing) => {
                Error::NotUndone { cause: Box::new(cause), device: self.device.to_owned(), keyslot, undoing }
            }
        }
    }
}
