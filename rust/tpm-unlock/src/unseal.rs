// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unseals a key as systemd enrols it: a sealed object under the storage root key, with a policy over registers, literal or signed.
//!
//! | # | command | |
//! |---|---|---|
//! | 1 | `TPM2_ReadPublic` | [`Preparation::step`], one of these at a time: they need no register, and go on while disks are searched and images verified; only where the token does not hold the storage root key |
//! | 2 | `TPM2_Load` | |
//! | 3 | `TPM2_StartAuthSession` | |
//! | 4 | `TPM2_LoadExternal` | signed |
//! | 5 | `TPM2_VerifySignature` | [`Preparation::finish`], after the extend: signed, where one signature is in question |
//! | 6 | `TPM2_PolicyPCR` | signed |
//! | 7-8 | `TPM2_PolicyGetDigest`, then 5 | signed, where there are several: the digest says which |
//! | 9-10 | `TPM2_FlushContext`, `TPM2_PolicyAuthorize` | signed |
//! | 11 | `TPM2_PolicyPCR` | literal |
//! | 12 | `TPM2_Unseal` | ends the session |
//! | 13 | `TPM2_FlushContext` | the object |
//!
//! 5 commands for a literal policy, 3 of them after the extend; 9 for a signed one, 6 of them after it (10 and 7 where several signatures are
//! in question); one more after it where both kinds are in one policy, one more before it for `TPM2_ReadPublic`.

mod error;
mod object;

use tpm_policy::name::Name;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signatures::{self, MAX_ENTRIES, Signature};
use tpm_policy::signing_key::{Exponent, SigningKey};
use tpm_policy::{Bank, PcrMask};
use zeroize::{Zeroize, Zeroizing};

use crate::commands::{self, Ticket};
use crate::session::{Kind, Session};
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

/// A policy whose registers a key vouches for, by signatures that lie beside what is booted.
#[derive(Clone, Copy)]
pub struct SignedPolicy<'a> {
    /// That key: `SubjectPublicKeyInfo` in PEM or DER, RSA.
    pub public_key: &'a [u8],
    /// Registers that its signatures are about.
    pub pcrs: PcrMask,
}

/// Unseals, in one go. `signatures` is systemd's tpm2-pcr-signature JSON, if there is one. Not trusted: the TPM checks.
///
/// # Errors
/// [`UnsealError`]; `out` is empty then, and nothing of ours is left in the TPM, unless it is the TPM that failed.
pub fn unseal<T: Transport>(
    tpm: &mut Tpm<T>,
    key: &SealedKey<'_>,
    signatures: Option<&[u8]>,
    out: &mut Unsealed,
) -> Result<(), UnsealError> {
    Preparation::begin(key)?.finish(tpm, signatures, out)
}

/// A key on its way out of the TPM, as far as that goes before the registers are what they have to be. What is loaded and begun is in the
/// TPM's volatile memory: use it up by [`Preparation::finish`] or [`Preparation::abandon`].
#[must_use = "what is in the TPM has to be flushed"]
pub struct Preparation {
    sealed: Sealed,
    pcrs: PcrMask,
    bank: Bank,
    signer: Option<Signer>,
    stage: Stage,
}

/// What is in the TPM.
enum Stage {
    /// Nothing; it has to be asked for its storage root key.
    Begun,
    /// Nothing.
    Named(StorageRootKey),
    /// The object.
    Loaded { srk: StorageRootKey, object: u32 },
    /// The object and the session.
    Started { object: u32, session: Session },
    /// All that there is to be: the key that signs the policy too, if there is one.
    Ready(Ready),
}

struct Ready {
    object: u32,
    session: Session,
    /// The handle of the key that signs the policy.
    key: Option<u32>,
}

/// The key that signs a policy.
struct Signer {
    key: SigningKey,
    form: Exponent,
    name: Name,
    pcrs: PcrMask,
}

/// Those that are in question.
type Signatures = heapless::Vec<Signature, MAX_ENTRIES>;

impl Preparation {
    /// Looks at all of the key that needs no TPM.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn begin(key: &SealedKey<'_>) -> Result<Self, UnsealError> {
        let sealed = Sealed::parse(key.blob)?;
        if sealed.policy != key.policy_hash {
            return Err(UnsealError::OtherPolicy);
        }
        let signer = key.signed.as_ref().map(|signed| Signer::new(signed, key)).transpose()?;
        let stage = match key.srk {
            Some(serialized) => Stage::Named(StorageRootKey::of_token(serialized)?),
            None => Stage::Begun,
        };
        Ok(Self { sealed, pcrs: key.pcrs, bank: key.bank, signer, stage })
    }

    /// Whether nothing is left to do before the registers are what they have to be.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    /// Goes on, by one command.
    ///
    /// # Errors
    /// [`UnsealError`]; nothing of ours is left in the TPM then.
    pub fn step<T: Transport>(self, tpm: &mut Tpm<T>) -> Result<Self, UnsealError> {
        let Self { sealed, pcrs, bank, signer, stage } = self;
        let stage = match stage {
            Stage::Begun => Stage::Named(StorageRootKey::of_tpm(tpm, srk::HANDLE).map_err(missing(srk::HANDLE))?),
            Stage::Named(srk) => {
                let loaded = commands::load(tpm, srk.handle(), &sealed.private, &sealed.public);
                let object = loaded.map_err(|error| of_load(error, &srk))?;
                Stage::Loaded { srk, object }
            }
            Stage::Loaded { srk, object } => match Session::start(tpm, &srk, Kind::Policy) {
                Ok(session) if signer.is_none() => Stage::Ready(Ready { object, session, key: None }),
                Ok(session) => Stage::Started { object, session },
                Err(error) => {
                    // Best effort: the error that is reported is the first.
                    let _ = commands::flush(tpm, object);
                    return Err(error.into());
                }
            },
            Stage::Started { object, session } => {
                let load = |signer: &Signer| commands::load_external(tpm, &signer.key.public_area(signer.form));
                match signer.as_ref().map(load).transpose() {
                    Ok(key) => Stage::Ready(Ready { object, session, key }),
                    Err(error) => {
                        let _ = session.flush(tpm);
                        let _ = commands::flush(tpm, object);
                        return Err(error.into());
                    }
                }
            }
            Stage::Ready(ready) => Stage::Ready(ready),
        };
        Ok(Self { sealed, pcrs, bank, signer, stage })
    }

    /// Does what is left of the steps, asserts the policy, and unseals.
    ///
    /// # Errors
    /// As [`unseal`].
    pub fn finish<T: Transport>(
        mut self,
        tpm: &mut Tpm<T>,
        signatures: Option<&[u8]>,
        out: &mut Unsealed,
    ) -> Result<(), UnsealError> {
        out.zeroize();
        // Before the TPM is asked for anything more.
        let signatures = match self.find(signatures) {
            Ok(signatures) => signatures,
            Err(error) => {
                self.abandon(tpm);
                return Err(error);
            }
        };
        let mut ready = loop {
            match self.stage {
                Stage::Ready(ready) => break ready,
                stage => self = Self { stage, ..self }.step(tpm)?,
            }
        };
        let Self { sealed, pcrs, bank, signer, .. } = self;
        let session = ready.session.handle();
        // In systemd's order: first what is signed, which starts the digest anew, then what is literal.
        let mut asserted = match signer.zip(ready.key.take()) {
            Some((signer, key)) => signer.assert(tpm, key, session, bank, &signatures),
            None => Ok(()),
        };
        if asserted.is_ok() && !pcrs.is_empty() {
            asserted = commands::policy_pcr(tpm, session, bank, pcrs).map_err(UnsealError::from);
        }
        match asserted {
            Ok(()) => ready.unseal(tpm, &sealed.name, out),
            Err(error) => {
                ready.abandon(tpm);
                Err(error)
            }
        }
    }

    /// Flushes all of it. Best effort: whoever abandons it has a better error to report.
    pub fn abandon<T: Transport>(self, tpm: &mut Tpm<T>) {
        match self.stage {
            Stage::Begun | Stage::Named(_) => {}
            Stage::Loaded { object, .. } => {
                let _ = commands::flush(tpm, object);
            }
            Stage::Started { object, session } => Ready { object, session, key: None }.abandon(tpm),
            Stage::Ready(ready) => ready.abandon(tpm),
        }
    }

    /// The signatures that are in question; none for a policy that is not signed.
    fn find(&self, signatures: Option<&[u8]>) -> Result<Signatures, UnsealError> {
        let Some(signer) = &self.signer else { return Ok(Signatures::new()) };
        let signatures = signatures.ok_or(UnsealError::Unsigned)?;
        let found = signatures::find(signatures, self.bank, signer.pcrs, &signer.key.fingerprint())?;
        if found.is_empty() { Err(UnsealError::NoSignature) } else { Ok(found) }
    }
}

impl Ready {
    fn unseal<T: Transport>(self, tpm: &mut Tpm<T>, name: &Name, out: &mut Unsealed) -> Result<(), UnsealError> {
        match self.session.unseal(tpm, self.object, name.as_bytes(), out) {
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
                Self { session, ..self }.abandon(tpm);
                Err(error.into())
            }
        }
    }

    fn abandon<T: Transport>(self, tpm: &mut Tpm<T>) {
        if let Some(key) = self.key {
            let _ = commands::flush(tpm, key);
        }
        let _ = self.session.flush(tpm);
        let _ = commands::flush(tpm, self.object);
    }
}

impl Signer {
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
        let name = signing_key.name(form).ok_or(UnsealError::OtherPolicyKey)?;
        Ok(Self { key: signing_key, form, name, pcrs: policy.pcrs })
    }

    /// Has the registers vouched for by one of the signatures. The key is out of the TPM's memory again afterwards.
    fn assert<T: Transport>(
        &self,
        tpm: &mut Tpm<T>,
        key: u32,
        session: u32,
        bank: Bank,
        signatures: &Signatures,
    ) -> Result<(), UnsealError> {
        let approved = self.approve(tpm, key, session, bank, signatures);
        let flushed = commands::flush(tpm, key);
        let (policy, ticket) = approved?;
        flushed?;
        commands::policy_authorize(tpm, session, &policy, &self.name, &ticket).map_err(of_authorize)
    }

    /// The policy that is signed for these registers, and the TPM's word for it. Of several signatures, the registers say which.
    fn approve<T: Transport>(
        &self,
        tpm: &mut Tpm<T>,
        key: u32,
        session: u32,
        bank: Bank,
        signatures: &Signatures,
    ) -> Result<(PolicyDigest, Ticket), UnsealError> {
        if let [only] = signatures.as_slice() {
            let ticket = verify(tpm, key, only)?;
            commands::policy_pcr(tpm, session, bank, self.pcrs)?;
            return Ok((only.policy, ticket));
        }
        commands::policy_pcr(tpm, session, bank, self.pcrs)?;
        let digest = commands::policy_digest(tpm, session)?;
        let signature = signatures.iter().find(|signature| signature.policy == digest);
        let signature = signature.ok_or(UnsealError::PcrMismatch)?;
        Ok((digest, verify(tpm, key, signature)?))
    }
}

fn verify<T: Transport>(tpm: &mut Tpm<T>, key: u32, signature: &Signature) -> Result<Ticket, UnsealError> {
    let signed = signature.policy.to_be_signed(&[]);
    commands::verify_signature(tpm, key, &signed, &signature.signature).map_err(|error| match error.code() {
        Some(ResponseCode::SIGNATURE | ResponseCode::SIZE) => UnsealError::SignatureRejected,
        _ => error.into(),
    })
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
