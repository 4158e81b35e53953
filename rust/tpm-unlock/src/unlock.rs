// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a volume to its key: header, token, TPM, keyslot.
//!
//! The tokens are tried in the order of the header, each for what it is; the refusal that is reported is that of the first, since
//! that is the one that somebody enrolled for this machine. A TPM that is locked, or does not answer, is asked for nothing more.

use core::fmt;

use boot_formats::luks2::Segment;
use zeroize::Zeroizing;

use crate::keyslot::VolumeKey;
use crate::token::{KIND, Token, TokenError, WeakPolicy, check_registers};
use crate::tpm::Tpm;
use crate::transport::Transport;
use crate::unseal::{UnsealError, Unsealed, unseal};
use crate::volume::{self, Copies, Disk, VolumeError};

/// What the configuration asks of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The register that the boot stage measures the image into.
    pub measured: u8,
    /// Dangerous: take policies too that nothing before the kernel is part of.
    pub any_registers: bool,
}

/// A volume and its key.
pub struct Opened {
    /// The volume's UUID.
    pub uuid: heapless::String<36>,
    /// The number of the digest that the key has: libcryptsetup names the key by it.
    pub digest: u8,
    /// The encrypted part.
    pub segment: Segment,
    /// The key.
    pub key: VolumeKey,
}

/// Why a volume was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockError {
    /// The volume itself.
    Volume(VolumeError),
    /// It has no token for a TPM.
    NoToken,
    /// The first of its tokens, or the TPM that it was tried with.
    Token {
        /// Its number.
        id: u8,
        /// Why it did not open the volume.
        error: Refusal,
    },
}

/// Why a token did not open its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is left to the system.
    Token(TokenError),
    /// Its policy holds nobody off.
    Weak(WeakPolicy),
    /// The TPM gave no secret.
    Unseal(UnsealError),
    /// The secret does not open the keyslot.
    Volume(VolumeError),
}

impl Refusal {
    /// Whether another token of the same TPM is worth a try.
    const fn is_of_this_token(&self) -> bool {
        !matches!(self, Self::Unseal(UnsealError::Lockout | UnsealError::Tpm(_)))
    }
}

impl From<VolumeError> for UnlockError {
    fn from(error: VolumeError) -> Self {
        Self::Volume(error)
    }
}

impl From<boot_formats::luks2::Error> for UnlockError {
    fn from(error: boot_formats::luks2::Error) -> Self {
        Self::Volume(VolumeError::Header(error))
    }
}

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(error) => error.fmt(f),
            Self::NoToken => write!(f, "no token of type {KIND}"),
            Self::Token { id, error } => write!(f, "token {id}: {error}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Weak(policy) => policy.fmt(f),
            Self::Unseal(error) => error.fmt(f),
            Self::Volume(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for UnlockError {}

/// Opens a volume by the first of its tokens that does. `signatures` is systemd's tpm2-pcr-signature JSON, if there is one.
///
/// # Errors
/// [`UnlockError`].
pub fn unlock<T: Transport>(
    tpm: &mut Tpm<T>,
    disk: &impl Disk,
    rules: Rules,
    signatures: Option<&[u8]>,
) -> Result<Opened, UnlockError> {
    let copies = Copies::read(disk);
    let header = copies.header()?;
    let metadata = header.metadata(disk.bytes())?;
    let mut first = None;
    for token in metadata.tokens()?.iter().filter(|token| token.kind == KIND) {
        let opened = Token::parse(token).map_err(Refusal::Token).and_then(|token| {
            let secret = secret(tpm, &token, rules, signatures)?;
            let passphrase = volume::passphrase(&secret).map_err(Refusal::Volume)?;
            volume::open(disk, &metadata, token.keyslot, &passphrase).map_err(Refusal::Volume)
        });
        match opened {
            Ok((digest, key)) => {
                let uuid = heapless::String::try_from(header.uuid).unwrap_or_default();
                return Ok(Opened { uuid, digest, segment: metadata.segment, key });
            }
            Err(error) => {
                let go_on = error.is_of_this_token();
                let this = UnlockError::Token { id: token.id, error };
                if !go_on {
                    return Err(this);
                }
                first.get_or_insert(this);
            }
        }
    }
    Err(first.unwrap_or(UnlockError::NoToken))
}

fn secret<T: Transport>(
    tpm: &mut Tpm<T>,
    token: &Token,
    rules: Rules,
    signatures: Option<&[u8]>,
) -> Result<Unsealed, Refusal> {
    if !rules.any_registers {
        check_registers(token.registers(), rules.measured).map_err(Refusal::Weak)?;
    }
    let key = token.sealed_key(signatures).map_err(Refusal::Token)?;
    let mut secret: Unsealed = Zeroizing::default();
    unseal(tpm, &key, &mut secret).map_err(Refusal::Unseal)?;
    Ok(secret)
}
