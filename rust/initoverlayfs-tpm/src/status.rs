// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a volume has for the TPM, and what the boot stage makes of it.

use std::fmt;

use serde::Serialize;
use tpm_unlock::unlock::Rules;

use crate::survey::{self, Found, Survey};

/// A volume's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Format of this object; it changes when a member changes its meaning.
    pub format: u32,
    /// The device.
    pub device: String,
    /// The volume's UUID.
    pub uuid: String,
    /// Numbers of its keyslots.
    pub keyslots: Vec<u8>,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its number.
    pub id: u8,
    /// Its type.
    pub kind: String,
    /// Numbers of the keyslots that it is for.
    pub keyslots: Vec<u8>,
    /// Literal registers.
    pub pcrs: Vec<u8>,
    /// Registers of a signed policy.
    pub signed_pcrs: Vec<u8>,
    /// Bank of the registers, where the boot stage uses it.
    pub bank: Option<&'static str>,
    /// Why the boot stage does not use it.
    pub refused: Option<String>,
}

impl Status {
    /// Of a device.
    ///
    /// # Errors
    /// [`survey::Error`].
    pub fn of(device: &str, rules: Rules) -> Result<Self, survey::Error> {
        let Survey { uuid, keyslots, tokens } = Survey::of(device, rules)?;
        let tokens = tokens.into_iter().map(Token::from).collect();
        Ok(Self { format: 1, device: device.to_owned(), uuid, keyslots, tokens })
    }

    /// Whether the boot stage would use one of the tokens.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.tokens.iter().any(|token| token.refused.is_none())
    }
}

impl From<Found> for Token {
    fn from(found: Found) -> Self {
        let Found { id, kind, keyslots, policy } = found;
        let token = Self { id, kind, keyslots, pcrs: vec![], signed_pcrs: vec![], bank: None, refused: None };
        match policy {
            None => Self { refused: Some("another type than the boot stage knows".to_owned()), ..token },
            Some(Err(refusal)) => Self { refused: Some(refusal.to_string()), ..token },
            Some(Ok(facts)) => Self {
                pcrs: facts.literal.iter().collect(),
                signed_pcrs: facts.signed.into_iter().flat_map(|mask| mask.iter().collect::<Vec<_>>()).collect(),
                bank: Some(facts.bank.name()),
                ..token
            },
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: LUKS2 {}, keyslots {}", self.device, self.uuid, list(&self.keyslots, " "))?;
        for token in &self.tokens {
            write!(f, "\n{token}")?;
        }
        if self.tokens.is_empty() {
            f.write_str("\nno token")?;
        }
        Ok(())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {}: {}, keyslot {}: ", self.id, self.kind, list(&self.keyslots, " "))?;
        if let Some(why) = &self.refused {
            return write!(f, "not used by the boot stage: {why}");
        }
        if !self.pcrs.is_empty() {
            write!(f, "registers {} as they were, ", list(&self.pcrs, "+"))?;
        }
        if !self.signed_pcrs.is_empty() {
            write!(f, "registers {} as the key signs, ", list(&self.signed_pcrs, "+"))?;
        }
        write!(f, "bank {}", self.bank.unwrap_or("unknown"))
    }
}

fn list(numbers: &[u8], between: &str) -> String {
    let numbers: Vec<String> = numbers.iter().map(u8::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(between) }
}
