// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one session: satisfies the policy, proves to both ends who speaks, and encrypts the secret on the bus.
//!
//! Salted to the storage root key and bound to nothing, so that its key is known to this process and the TPM that has that key
//! (part 1, 19.6). A sniffer of the bus cannot derive it. Someone who sits in the middle of the bus and has changed the public key
//! that the salt is encrypted to could: the salt says that the answer comes from a TPM with the key that was named, not that the key
//! is the right one. docs/security.md has the consequence.

mod create;

use aes::Aes128;
use cfb_mode::Decryptor;
use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::kdf::{self, Secret};
use crate::srk::StorageRootKey;
use crate::tpm::{Authorization, Command, Error, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, Full, Malformed, NULL_HANDLE, Reader, Writer};

pub use create::Created;

/// Bytes of our nonces and of the TPM's: those of the session's hash.
const NONCE: usize = 32;
/// `TPM_SE_HMAC`, `TPM_SE_POLICY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Proves that who speaks knows the salt: for an object that anybody may use.
    Hmac = 0,
    /// Asserts a policy too.
    Policy = 1,
}
/// `TPM_ALG_SHA256`.
const SHA256: u16 = 0x000b;
/// `TPMT_SYM_DEF`: AES, 128 bits, CFB.
const AES_128_CFB: [u16; 3] = [0x0006, 128, 0x0043];
/// `TPMA_SESSION`: the response's first parameter is encrypted. `continueSession` is not set: the TPM ends the session with the
/// command that uses it, which saves a flush.
const ENCRYPT: u8 = 1 << 6;
/// `TPMA_SESSION`: the command's first parameter is encrypted.
const DECRYPT: u8 = 1 << 5;
/// The area of one session: handle, nonce, attributes, HMAC.
type Area = heapless::Vec<u8, { 4 + 2 + NONCE + 1 + 2 + 32 }>;

/// A session in the TPM. [`Session::flush`] it, or use it up by [`Session::unseal`] or [`Session::create`].
pub struct Session {
    handle: u32,
    key: Secret,
    tpm_nonce: [u8; NONCE],
}

impl Session {
    /// Begins a session.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start<T: Transport>(tpm: &mut Tpm<T>, srk: &StorageRootKey, kind: Kind) -> Result<Self, Error> {
        let command = CommandCode::StartAuthSession;
        let salt = srk.salt(&mut |bytes| tpm.fill_random(bytes))?;
        let mut nonce = [0; NONCE];
        tpm.fill_random(&mut nonce)?;
        let parameters = start_parameters(&nonce, &salt.encrypted, kind).map_err(|Full| Error::TooLong { command })?;
        let response = tpm.run(&Command {
            code: command,
            handles: &[srk.handle(), NULL_HANDLE],
            authorization: Authorization::None,
            parameters: parameters.as_bytes(),
            gives_handle: true,
        })?;
        let handle = response.handle;
        let tpm_nonce = only_nonce(response.parameters).map_err(|error| Error::Malformed { command, error })?;
        let key = kdf::kdfa(&*salt.secret, "ATH", &tpm_nonce, &nonce);
        Ok(Self { handle, key, tpm_nonce })
    }

    /// Its handle, for the assertions of a policy.
    #[must_use]
    pub const fn handle(&self) -> u32 {
        self.handle
    }

    /// `TPM2_Unseal` (part 3, 12.7) of the object with this handle and name. The session is at its end in the TPM if that goes well.
    ///
    /// # Errors
    /// [`Error`]; the session comes back with it, to be flushed.
    pub fn unseal<T: Transport>(
        self,
        tpm: &mut Tpm<T>,
        object: u32,
        name: &[u8],
        out: &mut Zeroizing<heapless::Vec<u8, 128>>,
    ) -> Result<(), (Error, Self)> {
        match self.unsealed(tpm, object, name, out) {
            Ok(()) => Ok(()),
            Err(error) => Err((error, self)),
        }
    }

    fn unsealed<T: Transport>(
        &self,
        tpm: &mut Tpm<T>,
        object: u32,
        name: &[u8],
        out: &mut Zeroizing<heapless::Vec<u8, 128>>,
    ) -> Result<(), Error> {
        let command = CommandCode::Unseal;
        let mut nonce = [0; NONCE];
        tpm.fill_random(&mut nonce)?;
        let about = About { command, object, name, parameters: &[], attributes: ENCRYPT };
        let (parameters, tpm_nonce) = self.run(tpm, &about, &nonce)?;
        self.decrypt(parameters, &tpm_nonce, &nonce, out).map_err(|refusal| refusal.of(command))
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn flush<T: Transport>(self, tpm: &mut Tpm<T>) -> Result<(), Error> {
        crate::commands::flush(tpm, self.handle)
    }

    /// Has a command run under the session, whose answer is the TPM's; gives the response's parameters as they came over the wire, and the
    /// TPM's new nonce.
    fn run<'t, T: Transport>(
        &self,
        tpm: &'t mut Tpm<T>,
        about: &About<'_>,
        nonce: &[u8; NONCE],
    ) -> Result<(&'t [u8], [u8; NONCE]), Error> {
        let command = about.command;
        let area = self.authorize(about, nonce).map_err(|()| Error::TooLong { command })?;
        let response = tpm.run(&Command {
            code: command,
            handles: &[about.object],
            authorization: Authorization::Area(&area),
            parameters: about.parameters,
            gives_handle: false,
        })?;
        let checked = self.check(command, response.parameters, response.authorization, about.attributes, nonce);
        checked.map(|tpm_nonce| (response.parameters, tpm_nonce)).map_err(|refusal| refusal.of(command))
    }

    /// The authorization area of a command about one object (part 1, 19.6.5 and 18.7).
    fn authorize(&self, about: &About<'_>, nonce: &[u8; NONCE]) -> Result<Area, ()> {
        let About { command, name, parameters, attributes, .. } = *about;
        let parameters_digest = Sha256::new()
            .chain_update(command.value().to_be_bytes())
            .chain_update(name)
            .chain_update(parameters)
            .finalize();
        let hmac = kdf::hmac(&*self.key, &[&parameters_digest, nonce, &self.tpm_nonce, &[attributes]]);
        let mut area = Area::new();
        for part in [&self.handle.to_be_bytes()[..], &[0, 32], nonce, &[attributes], &[0, 32], &hmac] {
            area.extend_from_slice(part).map_err(|_| ())?;
        }
        Ok(area)
    }

    /// Checks the response's HMAC; gives the TPM's new nonce.
    fn check(
        &self,
        command: CommandCode,
        parameters: &[u8],
        authorization: &[u8],
        expected: u8,
        nonce: &[u8; NONCE],
    ) -> Result<[u8; NONCE], Refusal> {
        let mut reader = Reader::new(authorization);
        let tpm_nonce = sized_nonce(&mut reader)?;
        let attributes = reader.u8()?;
        let hmac = reader.sized_to(32)?;
        reader.end()?;
        let parameters_digest = Sha256::new()
            .chain_update([0; 4])
            .chain_update(command.value().to_be_bytes())
            .chain_update(parameters)
            .finalize();
        // Both what protects it and what it protects are the sender's word: only the HMAC says that it is the TPM's, and
        // only the attribute that the secret was encrypted.
        if kdf::hmac_is(&*self.key, &[&parameters_digest, &tpm_nonce, nonce, &[attributes]], hmac)
            && attributes == expected
        {
            Ok(tpm_nonce)
        } else {
            Err(Refusal::Tampered)
        }
    }

    /// Decrypts the only parameter (part 1, 21.3): the key and the first vector come from the session's key and both nonces.
    fn decrypt(
        &self,
        parameters: &[u8],
        tpm_nonce: &[u8; NONCE],
        nonce: &[u8; NONCE],
        out: &mut Zeroizing<heapless::Vec<u8, 128>>,
    ) -> Result<(), Refusal> {
        let mut reader = Reader::new(parameters);
        let encrypted = reader.sized_to(out.capacity())?;
        reader.end()?;
        let derived = kdf::kdfa(&*self.key, "CFB", tpm_nonce, nonce);
        let (key, vector) = derived.split_at(16);
        out.clear();
        let too_long = Malformed::TooLong { offset: 0, found: encrypted.len(), limit: out.capacity() };
        out.extend_from_slice(encrypted).map_err(|_| Refusal::Malformed(too_long))?;
        let cipher = Decryptor::<Aes128>::new_from_slices(key, vector).map_err(|_| Refusal::Tampered)?;
        cipher.decrypt(out.as_mut_slice());
        Ok(())
    }
}

/// A command about one object.
struct About<'a> {
    command: CommandCode,
    /// Its handle and name.
    object: u32,
    name: &'a [u8],
    /// As they go over the wire.
    parameters: &'a [u8],
    /// [`ENCRYPT`] or [`DECRYPT`]; the answer has to have the same.
    attributes: u8,
}

/// Why an answer is not the TPM's.
enum Refusal {
    Tampered,
    Malformed(Malformed),
}

impl Refusal {
    const fn of(self, command: CommandCode) -> Error {
        match self {
            Self::Tampered => Error::Tampered { command },
            Self::Malformed(error) => Error::Malformed { command, error },
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

/// Part 3, 11.1.
fn start_parameters(nonce: &[u8], encrypted_salt: &[u8], kind: Kind) -> Result<Writer, Full> {
    let mut parameters = Writer::new();
    parameters.sized(nonce)?.sized(encrypted_salt)?.u8(kind as u8)?;
    for word in AES_128_CFB {
        parameters.u16(word)?;
    }
    parameters.u16(SHA256)?;
    Ok(parameters)
}

fn only_nonce(parameters: &[u8]) -> Result<[u8; NONCE], Malformed> {
    let mut reader = Reader::new(parameters);
    let nonce = sized_nonce(&mut reader)?;
    reader.end()?;
    Ok(nonce)
}

/// A nonce of a TPM has the length of the session's hash (part 1, 19.6.3).
fn sized_nonce(reader: &mut Reader<'_>) -> Result<[u8; NONCE], Malformed> {
    let offset = reader.offset();
    let nonce = reader.sized_to(NONCE)?;
    let short = Malformed::Truncated { offset, needed: NONCE, available: nonce.len() };
    nonce.first_chunk::<NONCE>().copied().ok_or(short)
}
