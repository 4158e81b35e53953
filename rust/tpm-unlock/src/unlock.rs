// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a volume to its key: header, token, TPM, keyslot.
//!
//! The tokens are tried in the order of the header, each for what it is; the refusal that is reported is that of the first, since
//! that is the one that somebody enrolled for this machine. A TPM that is locked, or does not answer, is asked for nothing more.

use core::fmt;
use std::collections::VecDeque;

use boot_formats::luks2::{self, Metadata, Segment};
use tpm_policy::PcrMask;

use crate::keyslot::VolumeKey;
use crate::token::{KIND, Token, TokenError, WeakPolicy, check_registers};
use crate::tpm::Tpm;
use crate::transport::Transport;
use crate::unseal::{Preparation, UnsealError, Unsealed};
use crate::volume::{self, Copies, Disk, Lock, VolumeError};

/// What the configuration asks of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The register that the boot stage measures the image into.
    pub measured: u8,
    /// Dangerous: take policies too that nothing before the kernel is part of.
    pub any_registers: bool,
}

impl Rules {
    /// Whether a policy over these registers will do.
    ///
    /// # Errors
    /// [`WeakPolicy`].
    pub fn check(self, registers: PcrMask) -> Result<(), WeakPolicy> {
        if self.any_registers { Ok(()) } else { check_registers(registers, self.measured) }
    }
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

/// Opens a volume by the first of its tokens that does, in one go. `signatures` is systemd's tpm2-pcr-signature JSON, if there is one.
///
/// # Errors
/// [`UnlockError`].
pub fn unlock<T: Transport>(
    tpm: &mut Tpm<T>,
    disk: &impl Disk,
    rules: Rules,
    signatures: Option<&[u8]>,
) -> Result<Opened, UnlockError> {
    Opening::begin(disk, rules)?.finish(tpm, disk, signatures)
}

/// A volume on its way to being open, as far as that goes before the registers are what they have to be: the header is read, and the TPM
/// has what the first token needs that is worth a try. Use it up by [`Opening::finish`] or [`Opening::abandon`].
#[must_use = "what is in the TPM has to be flushed"]
pub struct Opening {
    uuid: heapless::String<36>,
    segment: Segment,
    /// Those that are left, in the order of the header. What the TPM has is the first one's.
    attempts: VecDeque<Attempt>,
    /// Why the first token did not do.
    refusal: Option<UnlockError>,
}

impl Opening {
    /// Reads header and tokens.
    ///
    /// # Errors
    /// [`UnlockError`], also where no token is worth a try.
    pub fn begin(disk: &impl Disk, rules: Rules) -> Result<Self, UnlockError> {
        let copies = Copies::read(disk);
        let header = copies.header()?;
        let metadata = header.metadata(disk.bytes())?;
        let (mut attempts, mut refusal) = (VecDeque::new(), None);
        for token in metadata.tokens()?.iter().filter(|token| token.kind == KIND) {
            match Attempt::begin(token, &metadata, rules) {
                Ok(attempt) => attempts.push_back(attempt),
                // Behind one that may yet do it is not the first.
                Err(error) if attempts.is_empty() => {
                    refusal.get_or_insert(UnlockError::Token { id: token.id, error });
                }
                Err(_) => {}
            }
        }
        if attempts.is_empty() {
            return Err(refusal.unwrap_or(UnlockError::NoToken));
        }
        let uuid = heapless::String::try_from(header.uuid).unwrap_or_default();
        Ok(Self { uuid, segment: metadata.segment, attempts, refusal })
    }

    /// Whether nothing is left to do before the registers are what they have to be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.attempts.front().is_none_or(Attempt::is_ready)
    }

    /// Goes on, by at most one command to the TPM.
    pub fn step<T: Transport>(&mut self, tpm: &mut Tpm<T>, disk: &impl Disk) {
        let Some(attempt) = self.attempts.pop_front() else { return };
        let id = attempt.id;
        match attempt.step(tpm, disk) {
            Ok(attempt) => self.attempts.push_front(attempt),
            Err(error) => self.refuse(id, error),
        }
    }

    /// Does what is left, in any number of commands, now that the registers are what they have to be.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub fn finish<T: Transport>(
        mut self,
        tpm: &mut Tpm<T>,
        disk: &impl Disk,
        signatures: Option<&[u8]>,
    ) -> Result<Opened, UnlockError> {
        while let Some(attempt) = self.attempts.pop_front() {
            let id = attempt.id;
            match attempt.finish(tpm, disk, signatures) {
                Ok((digest, key)) => return Ok(Opened { uuid: self.uuid, digest, segment: self.segment, key }),
                Err(error) => self.refuse(id, error),
            }
        }
        Err(self.refusal.unwrap_or(UnlockError::NoToken))
    }

    /// Flushes what the TPM has of it.
    pub fn abandon<T: Transport>(mut self, tpm: &mut Tpm<T>) {
        if let Some(attempt) = self.attempts.pop_front() {
            attempt.key.abandon(tpm);
        }
    }

    fn refuse(&mut self, id: u8, error: Refusal) {
        let refusal = UnlockError::Token { id, error };
        if error.is_of_this_token() {
            self.refusal.get_or_insert(refusal);
        } else {
            self.attempts.clear();
            self.refusal = Some(refusal);
        }
    }
}

/// A token that may open the volume.
struct Attempt {
    id: u8,
    key: Preparation,
    lock: Lock,
    /// The keyslot's area, once it is read.
    area: Option<Vec<u8>>,
}

impl Attempt {
    fn begin(token: &luks2::Token<'_>, metadata: &Metadata<'_>, rules: Rules) -> Result<Self, Refusal> {
        let id = token.id;
        let token = Token::parse(token).map_err(Refusal::Token)?;
        rules.check(token.registers()).map_err(Refusal::Weak)?;
        let lock = Lock::of(metadata, token.keyslot).map_err(Refusal::Volume)?;
        let key = Preparation::begin(&token.sealed_key()).map_err(Refusal::Unseal)?;
        Ok(Self { id, key, lock, area: None })
    }

    const fn is_ready(&self) -> bool {
        self.key.is_ready() && self.area.is_some()
    }

    /// The TPM is the slower one: it comes first.
    fn step<T: Transport>(mut self, tpm: &mut Tpm<T>, disk: &impl Disk) -> Result<Self, Refusal> {
        if !self.key.is_ready() {
            let key = self.key.step(tpm).map_err(Refusal::Unseal)?;
            return Ok(Self { key, ..self });
        }
        match self.lock.read_area(disk) {
            Ok(area) => {
                self.area = Some(area);
                Ok(self)
            }
            Err(error) => {
                self.key.abandon(tpm);
                Err(Refusal::Volume(error))
            }
        }
    }

    fn finish<T: Transport>(
        self,
        tpm: &mut Tpm<T>,
        disk: &impl Disk,
        signatures: Option<&[u8]>,
    ) -> Result<(u8, VolumeKey), Refusal> {
        let mut secret = Unsealed::default();
        self.key.finish(tpm, signatures, &mut secret).map_err(Refusal::Unseal)?;
        let passphrase = volume::passphrase(&secret).map_err(Refusal::Volume)?;
        let area = self.area.map_or_else(|| self.lock.read_area(disk), Ok);
        area.and_then(|area| self.lock.open(area, &passphrase)).map_err(Refusal::Volume)
    }
}
