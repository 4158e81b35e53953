// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seals a secret under the storage root key: `TPM2_ReadPublic`, `TPM2_StartAuthSession`, `TPM2_Create`.

use tpm_policy::name::Name;
use tpm_policy::policy::PolicyDigest;
use tpm_unlock::session::{Created, Kind, Session};
use tpm_unlock::srk::{self, SrkError, StorageRootKey};
use tpm_unlock::wire::{Full, Writer};
use tpm_unlock::{Error as TpmError, Tpm, Transport, commands};

/// `TPM_ALG_KEYEDHASH`, `TPM_ALG_SHA256`, `TPM_ALG_NULL`.
const KEYED_HASH: u16 = 0x0008;
const SHA256: u16 = 0x000b;
const NULL: u16 = 0x0010;
/// `fixedTPM`, `fixedParent`, `noDA` of `TPMA_OBJECT`: it stays in this TPM, its policy is the only way to it, and who guesses at passwords
/// of other objects does not lock it.
const ATTRIBUTES: u32 = 1 << 1 | 1 << 4 | 1 << 10;

/// A secret that only this TPM can give out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// `TPM2B_PRIVATE`, `TPM2B_PUBLIC`: systemd's `tpm2-blob`.
    pub blob: Vec<u8>,
    /// systemd's `tpm2_srk`.
    pub srk: Vec<u8>,
    /// systemd's `tpm2-primary-alg`.
    pub algorithm: &'static str,
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// Nobody has set the TPM up.
    #[error(
        "no storage root key at {handle:#010x}: systemd-tpm2-setup makes it, or `tpm2_createprimary -C o` with tpm2-tools and `tpm2_evictcontrol -C o {handle:#010x}`"
    )]
    SrkMissing { handle: u32 },
    /// It cannot be used.
    #[error("{0}")]
    Srk(SrkError),
    /// The TPM, or the way to it.
    #[error("{0}")]
    Tpm(TpmError),
    /// Something else was made than was asked for.
    #[error("TPM2_Create: the object has another public area than was asked for")]
    OtherObject,
}

impl From<SrkError> for Error {
    fn from(error: SrkError) -> Self {
        Self::Srk(error)
    }
}

impl From<TpmError> for Error {
    fn from(error: TpmError) -> Self {
        Self::Tpm(error)
    }
}

/// Seals.
///
/// # Errors
/// [`Error`]; nothing of ours is left in the TPM then, unless it is the TPM that failed.
pub fn seal<T: Transport>(tpm: &mut Tpm<T>, policy: &PolicyDigest, secret: &[u8]) -> Result<Sealed, Error> {
    let public_area = commands::read_public(tpm, srk::HANDLE).map_err(|error| match error.code() {
        Some(code) if code.is_no_such_handle() => Error::SrkMissing { handle: srk::HANDLE },
        _ => Error::Tpm(error),
    })?;
    let serialized = srk::serialize(srk::HANDLE, &public_area)?;
    // What the boot stage will read is what is used from here on.
    let key = StorageRootKey::of_token(&serialized)?;
    let name = Name::of_public_area(&public_area).ok_or(SrkError::Name)?;
    let too_long = |Full| TpmError::TooLong { command: tpm_unlock::wire::CommandCode::Create };
    let template = template(policy).map_err(too_long)?;
    let session = Session::start(tpm, &key, Kind::Hmac)?;
    let created = session.create(tpm, key.handle(), name.as_bytes(), secret, template.as_bytes());
    let Created { private, public } = match created {
        Ok(created) => created,
        Err((error, session)) => {
            // Best effort: the error that is reported is the first.
            let _ = session.flush(tpm);
            return Err(error.into());
        }
    };
    // All but what the TPM adds, which is `unique`, the last.
    let asked = template.as_bytes().strip_suffix(&[0, 0]).unwrap_or_default();
    if !public.starts_with(asked) {
        return Err(Error::OtherObject);
    }
    let mut blob = Writer::new();
    blob.sized(&private).and_then(|blob| blob.sized(&public)).map_err(too_long)?;
    Ok(Sealed { blob: blob.as_bytes().to_vec(), srk: serialized, algorithm: key.algorithm() })
}

/// `TPMT_PUBLIC` of a sealed secret (part 2, 12.2.4), as systemd's `tpm2_seal` asks for it.
fn template(policy: &PolicyDigest) -> Result<Writer, Full> {
    let mut template = Writer::new();
    template.u16(KEYED_HASH)?.u16(SHA256)?.u32(ATTRIBUTES)?.sized(policy.as_bytes())?.u16(NULL)?.sized(&[])?;
    Ok(template)
}
