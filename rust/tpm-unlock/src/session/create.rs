// SPDX-License-Identifier: MIT OR Apache-2.0
//! `TPM2_Create` (part 3, 12.1): seals a secret under the storage root key. The boot stage never does; who enrols a volume does.

use aes::Aes128;
use cfb_mode::Encryptor;
use cfb_mode::cipher::{AsyncStreamCipher, KeyIvInit};

use super::{About, DECRYPT, NONCE, Refusal, Session};
use crate::kdf;
use crate::tpm::{Error, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, Full, Reader, Writer};

/// An object as the TPM gives it out: nobody but this TPM can read the private part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// `TPM2B_PRIVATE` without its size.
    pub private: Vec<u8>,
    /// `TPMT_PUBLIC`.
    pub public: Vec<u8>,
}

impl Session {
    /// Makes an object with this secret and no password, and with this `TPMT_PUBLIC`, under the parent with this handle and name, which
    /// anybody may use. The secret crosses the bus encrypted. The session is to be of the kind [`super::Kind::Hmac`], and is at its end in
    /// the TPM if that goes well.
    ///
    /// # Errors
    /// [`Error`]; the session comes back with it, to be flushed.
    pub fn create<T: Transport>(
        self,
        tpm: &mut Tpm<T>,
        parent: u32,
        name: &[u8],
        secret: &[u8],
        template: &[u8],
    ) -> Result<Created, (Error, Self)> {
        match self.created(tpm, parent, name, secret, template) {
            Ok(created) => Ok(created),
            Err(error) => Err((error, self)),
        }
    }

    fn created<T: Transport>(
        &self,
        tpm: &mut Tpm<T>,
        parent: u32,
        name: &[u8],
        secret: &[u8],
        template: &[u8],
    ) -> Result<Created, Error> {
        let command = CommandCode::Create;
        let mut nonce = [0; NONCE];
        tpm.fill_random(&mut nonce)?;
        let parameters = self.parameters(secret, template, &nonce).map_err(|Full| Error::TooLong { command })?;
        let parameters = parameters.as_bytes();
        let about = About { command, object: parent, name, parameters, attributes: DECRYPT };
        let (answer, _) = self.run(tpm, &about, &nonce)?;
        created(answer).map_err(|refusal| refusal.of(command))
    }

    /// `TPM2B_SENSITIVE_CREATE`, its contents encrypted (part 1, 21.3); template; nothing from outside; no registers noted.
    fn parameters(&self, secret: &[u8], template: &[u8], nonce: &[u8; NONCE]) -> Result<Writer, Full> {
        let mut sensitive = Writer::new();
        sensitive.sized(&[])?.sized(secret)?;
        let derived = kdf::kdfa(&*self.key, "CFB", nonce, &self.tpm_nonce);
        let (key, vector) = derived.split_at(16);
        let cipher = Encryptor::<Aes128>::new_from_slices(key, vector).map_err(|_| Full)?;
        cipher.encrypt(sensitive.as_mut_bytes());
        let mut parameters = Writer::new();
        parameters.sized(sensitive.as_bytes())?.sized(template)?.sized(&[])?.u32(0)?;
        Ok(parameters)
    }
}

/// The object; how it came about (data, digest, ticket) is of no use.
fn created(parameters: &[u8]) -> Result<Created, Refusal> {
    let mut reader = Reader::new(parameters);
    let private = reader.sized()?.to_vec();
    let public = reader.sized()?.to_vec();
    reader.sized()?; // creation data
    reader.sized()?; // creation digest
    reader.raw(6)?; // ticket: tag, hierarchy
    reader.sized()?; // ticket: HMAC
    reader.end()?;
    Ok(Created { private, public })
}
