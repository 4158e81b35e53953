// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a volume's header says, read as strictly as the boot stage does.

use boot_formats::luks2::MAX_OBJECTS;
use tpm_policy::{Bank, PcrMask};
use tpm_unlock::mapping::{MappingError, Partition};
use tpm_unlock::token::{KIND, Token};
use tpm_unlock::unlock::{Refusal, Rules};
use tpm_unlock::volume::{Copies, Disk, Lock, VolumeError};
use zeroize::Zeroizing;

/// A volume's keyslots and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Its UUID.
    pub uuid: String,
    /// Numbers of its keyslots.
    pub keyslots: Vec<u8>,
    /// Its tokens.
    pub tokens: Vec<Found>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub id: u8,
    /// Its type.
    pub kind: String,
    /// Numbers of the keyslots that it is for.
    pub keyslots: Vec<u8>,
    /// Of a token for a TPM: what the boot stage makes of it.
    pub policy: Option<Result<Facts, Refusal>>,
}

/// A policy that the boot stage would go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Registers as they were.
    pub literal: PcrMask,
    /// Registers as a key signs.
    pub signed: Option<PcrMask>,
    /// Of all registers.
    pub bank: Bank,
}

/// Why the header says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device.
    #[error("{0}")]
    Device(MappingError),
    /// What is on it is no volume that the boot stage knows.
    #[error("{0}")]
    Volume(VolumeError),
}

impl From<VolumeError> for Error {
    fn from(error: VolumeError) -> Self {
        Self::Volume(error)
    }
}

impl From<boot_formats::luks2::Error> for Error {
    fn from(error: boot_formats::luks2::Error) -> Self {
        Self::Volume(VolumeError::Header(error))
    }
}

impl Survey {
    /// Reads a device.
    ///
    /// # Errors
    /// [`Error`].
    pub fn of(device: &str, rules: Rules) -> Result<Self, Error> {
        let disk = open(device)?;
        let copies = Copies::read(&disk);
        let header = copies.header()?;
        let metadata = header.metadata(disk.bytes())?;
        let mut tokens = Vec::new();
        for token in &metadata.tokens()? {
            let policy = (token.kind == KIND).then(|| {
                let read = Token::parse(token).map_err(Refusal::Token)?;
                rules.check(read.registers()).map_err(Refusal::Weak)?;
                let slot = metadata.keyslot(read.keyslot).and_then(|_| metadata.digest(read.keyslot));
                slot.map_err(|error| Refusal::Volume(VolumeError::Header(error)))?;
                Ok(facts(&read))
            });
            let keyslots = token.keyslots()?.to_vec();
            tokens.push(Found { id: token.id, kind: token.kind.to_owned(), keyslots, policy });
        }
        Ok(Self { uuid: header.uuid.to_owned(), keyslots: metadata.keyslot_numbers()?.to_vec(), tokens })
    }

    /// The lowest number that no keyslot has.
    #[must_use]
    pub fn free_keyslot(&self) -> Option<u8> {
        free(|number| self.keyslots.contains(&number))
    }

    /// The lowest number that no token has.
    #[must_use]
    pub fn free_token(&self) -> Option<u8> {
        free(|number| self.tokens.iter().any(|token| token.id == number))
    }
}

fn free(taken: impl Fn(u8) -> bool) -> Option<u8> {
    (0..u8::try_from(MAX_OBJECTS).unwrap_or(u8::MAX)).find(|number| !taken(*number))
}

fn facts(token: &Token) -> Facts {
    let key = token.sealed_key();
    Facts { literal: key.pcrs, signed: key.signed.map(|signed| signed.pcrs), bank: key.bank }
}

/// Whether a keyslot opens by a passphrase, as the boot stage opens it.
///
/// # Errors
/// [`Error`]: why not.
pub fn opens(device: &str, keyslot: u8, passphrase: &Zeroizing<Vec<u8>>) -> Result<(), Error> {
    let disk = open(device)?;
    let copies = Copies::read(&disk);
    let metadata = copies.header()?.metadata(disk.bytes())?;
    let lock = Lock::of(&metadata, keyslot)?;
    lock.open(lock.read_area(&disk)?, passphrase)?;
    Ok(())
}

fn open(device: &str) -> Result<Partition, Error> {
    Partition::open(device).map_err(Error::Device)
}
