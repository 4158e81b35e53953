// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes tokens of systemd's type away, with the keyslots that they are for. First the keyslot, which is the key; a token without one opens
//! nothing.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tpm_unlock::token::KIND;
use tpm_unlock::unlock::Rules;

use crate::cryptsetup::{self, Cryptsetup};
use crate::survey::{self, Found, Survey};

/// Why nothing was taken away, or not all of it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    #[error("{device}: {source}")]
    Survey { device: String, source: survey::Error },
    #[error("{device}: no token of type {KIND}")]
    None { device: String },
    #[error("{device}: no token {token}")]
    NoSuchToken { device: String, token: u8 },
    /// Somebody else's.
    #[error("{device}: token {token} is of type {kind}, which is not ours to take away")]
    OtherKind { device: String, token: u8, kind: String },
    /// The volume would be lost.
    #[error(
        "{device}: keyslots {keyslots:?} are the last ones: nothing would open the volume any more; add a passphrase first (`cryptsetup luksAddKey`)"
    )]
    LastKeyslot { device: String, keyslots: Vec<u8> },
    /// A token that stays is for it too.
    #[error("{device}: keyslot {keyslot} is also that of token {token}, which stays")]
    Shared { device: String, keyslot: u8, token: u8 },
    #[error("{device}: {source}")]
    Cryptsetup { device: String, source: cryptsetup::Error },
}

/// What was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wiped {
    /// Format of this object; it changes when a member changes its meaning.
    pub format: u32,
    /// The device.
    pub device: String,
    /// Numbers of the tokens.
    pub tokens: Vec<u8>,
    /// Numbers of the keyslots.
    pub keyslots: Vec<u8>,
}

impl fmt::Display for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: tokens {:?} and keyslots {:?} are gone", self.device, self.tokens, self.keyslots)
    }
}

/// Takes these tokens away, or where none is named all of the type.
///
/// # Errors
/// [`Error`].
pub fn wipe(device: &str, tokens: &[u8], rules: Rules, cryptsetup: &Cryptsetup) -> Result<Wiped, Error> {
    let named = device.to_owned();
    let survey = match Survey::of(device, rules) {
        Ok(survey) => survey,
        Err(source) => return Err(Error::Survey { device: named, source }),
    };
    let (going, staying) = chosen(device, &survey, tokens)?;
    let keyslots: BTreeSet<u8> = going.iter().flat_map(|token| token.keyslots.iter().copied()).collect();
    for token in staying {
        if let Some(keyslot) = token.keyslots.iter().find(|keyslot| keyslots.contains(keyslot)) {
            return Err(Error::Shared { device: named, keyslot: *keyslot, token: token.id });
        }
    }
    let keyslots: Vec<u8> = keyslots.into_iter().collect();
    if survey.keyslots.iter().all(|keyslot| keyslots.contains(keyslot)) {
        return Err(Error::LastKeyslot { device: named, keyslots });
    }
    let failed = |source| Error::Cryptsetup { device: device.to_owned(), source };
    for keyslot in &keyslots {
        // A token may be for one that is gone already.
        if survey.keyslots.contains(keyslot) {
            cryptsetup.remove_keyslot(device, *keyslot).map_err(failed)?;
        }
    }
    for token in &going {
        cryptsetup.remove_token(device, token.id).map_err(failed)?;
    }
    Ok(Wiped { format: 1, device: named, tokens: going.iter().map(|token| token.id).collect(), keyslots })
}

/// The tokens that go, and those that stay.
fn chosen<'a>(device: &str, survey: &'a Survey, tokens: &[u8]) -> Result<(Vec<&'a Found>, Vec<&'a Found>), Error> {
    for token in tokens {
        let device = device.to_owned();
        match survey.tokens.iter().find(|found| found.id == *token) {
            None => return Err(Error::NoSuchToken { device, token: *token }),
            Some(found) if found.kind != KIND => {
                return Err(Error::OtherKind { device, token: *token, kind: found.kind.clone() });
            }
            Some(_) => {}
        }
    }
    let goes = |found: &&Found| found.kind == KIND && (tokens.is_empty() || tokens.contains(&found.id));
    let (going, staying): (Vec<&Found>, Vec<&Found>) = survey.tokens.iter().partition(goes);
    if going.is_empty() { Err(Error::None { device: device.to_owned() }) } else { Ok((going, staying)) }
}
