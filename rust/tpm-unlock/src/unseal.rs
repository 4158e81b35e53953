// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unseals a key as systemd enrols it: a sealed object under the storage root key, with a policy over registers, literal or signed.
//!
//! | # | command | |
//! |---|---|---|
//! | 1 | `TPM2_Load` | [`prepare`]: needs no register, and may go on while disks are searched |
//! | 2 | `TPM2_StartAuthSession` | |
//! | 3-5 | `TPM2_LoadExternal`, `TPM2_VerifySignature`, `TPM2_FlushContext` | signed, where one signature is in question |
//! | 6 | `TPM2_PolicyPCR` | [`Prepared::finish`]: signed; after the extend |
//! | 7-10 | `TPM2_PolicyGetDigest`, then 3-5 | signed, where there are several: the digest says which |
//! | 11 | `TPM2_PolicyAuthorize` | signed |
//! | 12 | `TPM2_PolicyPCR` | literal |
//! | 13 | `TPM2_Unseal` | ends the session |
//! | 14 | `TPM2_FlushContext` | the object |
//!
//! 5 commands for a literal policy, 9 for a signed one (10 where several signatures are in question), one more where both kinds are
//! in one policy, one more (`TPM2_ReadPublic`) where the token does not hold the storage root key.

mod error;
mod object;

use tpm_policy::name::Name;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signatures::{self, MAX_ENTRIES, Signature};
use tpm_policy::signing_key::{Exponent, SigningKey};
use tpm_policy::{Bank, PcrMask};
use zeroize::{Zeroize, Zeroizing};

use crate::commands::{self, Ticket};
use crate::session::Session;
use crate::srk::{self, SrkError, StorageRootKey};
use crate::tpm::{Error, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, ResponseCode};

pub use error::UnsealError;
use object::Sealed;

/// What a sealed object can hold (part 2, 11.1.14).
pub type Unsealed = Zeroizing<heapless::Vec<u8, 128>>;

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

/// Unseals, in one go.
///
/// # Errors
/// [`UnsealError`]; `out` is empty then, and nothing of ours is left in the TPM, unless it is the TPM that failed.
pub fn unseal<T: Transport>(tpm: &mut Tpm<T>, key: &SealedKey<'_>, out: &mut Unsealed) -> Result<(), UnsealError> {
    prepare(tpm, key)?.finish(tpm, out)
}

/// What was loaded and begun, as far as that goes before the registers are what they have to be. It is in the TPM's volatile
/// memory: use it up by [`Prepared::finish`] or [`Prepared::abandon`].
#[must_use = "what is in the TPM has to be flushed"]
pub struct Prepared {
    object: u32,
    name: Name,
    session: Session,
    pcrs: PcrMask,
    bank: Bank,
    signed: Option<Signed>,
}

/// A signed policy, ready to be asserted.
struct Signed {
    key: SigningKey,
    form: Exponent,
    name: Name,
    pcrs: PcrMask,
    signatures: heapless::Vec<Signature, MAX_ENTRIES>,
    /// Of the only signature.
    ticket: Option<Ticket>,
}

/// Loads the object, begins the session, and has the signature verified if there is one and no other.
///
/// # Errors
/// [`UnsealError`]; nothing of ours is left in the TPM then.
pub fn prepare<T: Transport>(tpm: &mut Tpm<T>, key: &SealedKey<'_>) -> Result<Prepared, UnsealError> {
    let sealed = Sealed::parse(key.blob)?;
    if sealed.policy != key.policy_hash {
        return Err(UnsealError::OtherPolicy);
    }
    let signed = key.signed.as_ref().map(|signed| Signed::new(signed, key)).transpose()?;
    let srk = match key.srk {
        Some(serialized) => StorageRootKey::of_token(serialized)?,
        None => StorageRootKey::of_tpm(tpm, srk::HANDLE).map_err(missing(srk::HANDLE))?,
    };
    let object =
        commands::load(tpm, srk.handle(), sealed.private, sealed.public).map_err(|error| of_load(error, &srk))?;
    let session = match Session::start(tpm, &srk) {
        Ok(session) => session,
        Err(error) => {
            // Best effort: the error that is reported is the first.
            let _ = commands::flush(tpm, object);
            return Err(error.into());
        }
    };
    let mut prepared = Prepared { object, name: sealed.name, session, pcrs: key.pcrs, bank: key.bank, signed };
    if let Some(signed) = &mut prepared.signed
        && let [only] = signed.signatures.as_slice()
    {
        match verify(tpm, &signed.key, signed.form, only) {
            Ok(ticket) => signed.ticket = Some(ticket),
            Err(error) => {
                prepared.abandon(tpm);
                return Err(error);
            }
        }
    }
    Ok(prepared)
}

impl Prepared {
    /// Asserts the policy, and unseals.
    ///
    /// # Errors
    /// As [`unseal`].
    pub fn finish<T: Transport>(self, tpm: &mut Tpm<T>, out: &mut Unsealed) -> Result<(), UnsealError> {
        out.zeroize();
        if let Err(error) = self.assert(tpm) {
            self.abandon(tpm);
            return Err(error);
        }
        match self.session.unseal(tpm, self.object, self.name.as_bytes(), out) {
            Ok(()) => {
                let flushed = commands::flush(tpm, self.object);
                flushed.map_err(|error| {
                    out.zeroize();
                    error.into()
                })
            }
            Err((error, session)) => {
                out.zeroize();
                // Best effort, as above. An answer that was changed on its way has ended the session: then this one fails.
                let _ = session.flush(tpm);
                let _ = commands::flush(tpm, self.object);
                Err(error.into())
            }
        }
    }

    /// Flushes all of it. Best effort: whoever abandons it has a better error to report.
    pub fn abandon<T: Transport>(self, tpm: &mut Tpm<T>) {
        let _ = self.session.flush(tpm);
        let _ = commands::flush(tpm, self.object);
    }

    /// In systemd's order: first what is signed, which starts the digest anew, then what is literal.
    fn assert<T: Transport>(&self, tpm: &mut Tpm<T>) -> Result<(), UnsealError> {
        let session = self.session.handle();
        if let Some(signed) = &self.signed {
            commands::policy_pcr(tpm, session, self.bank, signed.pcrs)?;
            let found;
            let (policy, ticket) = match (&signed.ticket, signed.signatures.as_slice()) {
                (Some(ticket), [only]) => (&only.policy, ticket),
                _ => {
                    let digest = commands::policy_digest(tpm, session)?;
                    let signature = signed.signatures.iter().find(|signature| signature.policy == digest);
                    let signature = signature.ok_or(UnsealError::PcrMismatch)?;
                    found = verify(tpm, &signed.key, signed.form, signature)?;
                    (&signature.policy, &found)
                }
            };
            commands::policy_authorize(tpm, session, policy, &signed.name, ticket).map_err(of_authorize)?;
        }
        if !self.pcrs.is_empty() {
            commands::policy_pcr(tpm, session, self.bank, self.pcrs)?;
        }
        Ok(())
    }
}

impl Signed {
    fn new(policy: &SignedPolicy<'_>, key: &SealedKey<'_>) -> Result<Self, UnsealError> {
        let signing_key = SigningKey::parse(policy.public_key)?;
        // Both forms name the same key; which of them the policy has can be computed where nothing comes after.
        let is_the_policy = |form: &Exponent| {
            let name = signing_key.name(*form);
            name.is_some_and(|name| PolicyDigest::authorize(&name, &[]).as_bytes() == &key.policy_hash)
        };
        let form = match [Exponent::Number, Exponent::Default].into_iter().find(is_the_policy) {
            Some(form) => form,
            None if key.pcrs.is_empty() => return Err(UnsealError::OtherPolicyKey),
            None => Exponent::Number,
        };
        let signatures = signatures::find(policy.signatures, key.bank, policy.pcrs, &signing_key.fingerprint())?;
        if signatures.is_empty() {
            return Err(UnsealError::NoSignature);
        }
        let name = signing_key.name(form).ok_or(UnsealError::OtherPolicyKey)?;
        Ok(Self { key: signing_key, form, name, pcrs: policy.pcrs, signatures, ticket: None })
    }
}

/// Has the TPM verify a signature over a policy. The key is out of its memory again afterwards.
fn verify<T: Transport>(
    tpm: &mut Tpm<T>,
    key: &SigningKey,
    form: Exponent,
    signature: &Signature,
) -> Result<Ticket, UnsealError> {
    let handle = commands::load_external(tpm, &key.public_area(form))?;
    let ticket = commands::verify_signature(tpm, handle, &signature.policy.to_be_signed(&[]), &signature.signature);
    let flushed = commands::flush(tpm, handle);
    let ticket = ticket.map_err(|error| match error.code() {
        Some(ResponseCode::SIGNATURE | ResponseCode::SIZE) => UnsealError::SignatureRejected,
        _ => error.into(),
    })?;
    flushed?;
    Ok(ticket)
}

/// No object at the handle: the TPM was cleared, or never set up.
fn missing(handle: u32) -> impl Fn(SrkError) -> UnsealError {
    move |error| match error {
        SrkError::Tpm(Error::Refused { code, .. }) if code.is_no_such_handle() => UnsealError::SrkMissing { handle },
        SrkError::Tpm(error) => error.into(),
        error => error.into(),
    }
}

fn of_load(error: Error, srk: &StorageRootKey) -> UnsealError {
    match error.code() {
        Some(code) if code.is_no_such_handle() => UnsealError::SrkMissing { handle: srk.handle() },
        Some(ResponseCode::INTEGRITY) => UnsealError::SrkReplaced { handle: srk.handle() },
        _ => error.into(),
    }
}

/// The approved policy is not the session's.
fn of_authorize(error: Error) -> UnsealError {
    match error {
        Error::Refused { command: CommandCode::PolicyAuthorize, code: ResponseCode::VALUE } => UnsealError::PcrMismatch,
        error => error.into(),
    }
}
