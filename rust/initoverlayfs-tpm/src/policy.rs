// SPDX-License-Identifier: MIT OR Apache-2.0
//! The policy that a key is sealed to: registers as they are, or as they will be; registers that a key vouches for; or both, as systemd
//! puts them together.

use std::fmt;
use std::str::FromStr;

use boot_formats::hex::Hex;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signing_key::{self, Exponent, SigningKey};
use tpm_policy::{Bank, Digest, PcrMask};
use tpm_unlock::token::WeakPolicy;
use tpm_unlock::unlock::Rules;
use tpm_unlock::{Error as TpmError, Tpm, Transport, commands};

use crate::measured::{self, Extensions};

/// A register of a literal policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Its number, 0 to 23.
    pub register: u8,
    /// The value that it will have when the key is asked for; `None`: the one that it has now.
    pub value: Option<Vec<u8>>,
}

/// Literal registers, none twice: `7+11=HEX+13`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Literals(pub Vec<Literal>);

/// Why a text names no registers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum RegistersError {
    /// Not a number, or too large a one.
    #[error("{found:?}: expected a register from 0 to 23")]
    Register { found: String },
    /// Named again.
    #[error("register {register} is there twice")]
    Twice { register: u8 },
    /// Not hexadecimal digits.
    #[error("{found:?}: expected the value of register {register} in hexadecimal digits")]
    Value { register: u8, found: String },
}

impl Literals {
    /// Their numbers.
    #[must_use]
    pub fn mask(&self) -> PcrMask {
        self.0.iter().fold(PcrMask::EMPTY, |mask, literal| mask.with(literal.register).unwrap_or(mask))
    }
}

impl FromStr for Literals {
    type Err = RegistersError;

    fn from_str(text: &str) -> Result<Self, RegistersError> {
        let mut literals: Vec<Literal> = Vec::new();
        for part in text.split('+') {
            let (number, value) = part.split_once('=').map_or((part, None), |(number, value)| (number, Some(value)));
            let register = register(number)?;
            if literals.iter().any(|literal| literal.register == register) {
                return Err(RegistersError::Twice { register });
            }
            let value = value
                .map(|value| hex(value).ok_or_else(|| RegistersError::Value { register, found: value.to_owned() }));
            literals.push(Literal { register, value: value.transpose()? });
        }
        Ok(Self(literals))
    }
}

/// Registers by their numbers alone: `11+13`.
///
/// # Errors
/// [`RegistersError`].
pub fn mask(text: &str) -> Result<PcrMask, RegistersError> {
    text.split('+').try_fold(PcrMask::EMPTY, |mask, part| {
        let register = register(part)?;
        if mask.contains(register) {
            return Err(RegistersError::Twice { register });
        }
        Ok(mask.with(register).unwrap_or(mask))
    })
}

fn register(text: &str) -> Result<u8, RegistersError> {
    let number = text.parse().ok().filter(|number| *number < tpm_policy::pcr::COUNT);
    number.ok_or_else(|| RegistersError::Register { found: text.to_owned() })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// Who signs the policy of each release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The public key's PEM, as the token has it.
    pub pem: Vec<u8>,
    /// Registers that the signatures are about.
    pub registers: PcrMask,
}

/// What a key is to be sealed to.
#[derive(Clone, Debug)]
pub struct Request {
    /// Registers whose values are part of the policy; may be none.
    pub literals: Literals,
    /// Of all registers.
    pub bank: Bank,
    /// The signer, if the policy is signed.
    pub signer: Option<Signer>,
    /// What the boot stage asks of a policy.
    pub rules: Rules,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The boot stage would refuse it.
    #[error("{0}")]
    Weak(WeakPolicy),
    /// A bank whose digests nobody should rely on.
    #[error("expected a bank of sha256, sha384 or sha512, found {found}")]
    Bank { found: Bank },
    /// The TPM has it not, or does not use it.
    #[error("the TPM has no bank {bank}")]
    Inactive { bank: Bank },
    /// A value that is no digest of the bank.
    #[error("register {register}: a value of {found} bytes, those of bank {bank} have {expected}", expected = bank.digest_len())]
    Value { register: u8, found: usize, bank: Bank },
    /// The value of now is not that of the moment when the boot stage opens volumes.
    #[error(
        "register {register} was extended since the boot stage opened volumes, by \"{event}\": give the value that it has there, {register}=HEX (`ddi sign-policy` prints it), or enrol a key that signs policies"
    )]
    Extended { register: u8, event: String },
    /// systemd's log of what was measured.
    #[error(transparent)]
    Log(#[from] measured::Error),
    /// The public key.
    #[error("{0}")]
    Key(signing_key::Error),
    /// The TPM.
    #[error("{0}")]
    Tpm(TpmError),
}

/// A policy, ready to seal to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its digest.
    pub digest: PolicyDigest,
    /// Its literal registers.
    pub literal: PcrMask,
    /// Of all its registers.
    pub bank: Bank,
    /// Its signer.
    pub signer: Option<Signer>,
    /// Whether the registers satisfy it now, without any signature.
    pub is_satisfied: bool,
}

impl Request {
    /// What can be said without the TPM.
    ///
    /// # Errors
    /// [`Error`].
    pub fn check(&self) -> Result<(), Error> {
        if self.bank == Bank::Sha1 {
            return Err(Error::Bank { found: self.bank });
        }
        let signed = self.signer.as_ref().map_or(PcrMask::EMPTY, |signer| signer.registers);
        let all = PcrMask::of_bits(self.literals.mask().bits() | signed.bits()).unwrap_or_default();
        self.rules.check(all).map_err(Error::Weak)?;
        let expected = self.bank.digest_len();
        for Literal { register, value } in &self.literals.0 {
            if let Some(value) = value.as_ref().filter(|value| value.len() != expected) {
                return Err(Error::Value { register: *register, found: value.len(), bank: self.bank });
            }
        }
        self.signer.as_ref().map_or(Ok(()), |signer| signer.key().map(drop))
    }

    /// The policy. What the log has of a literal register, other than the image, was measured too late for it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn policy<T: Transport>(&self, tpm: &mut Tpm<T>, log: &Extensions) -> Result<Policy, Error> {
        self.check()?;
        let literal = self.literals.mask();
        let values = self.values(tpm, log)?;
        let digest = match &self.signer {
            Some(signer) => {
                let name = signer.key()?.name(Exponent::Number).ok_or(Error::Key(signing_key::Error::NotRsa))?;
                PolicyDigest::authorize(&name, &[])
            }
            None => PolicyDigest::new(),
        };
        let digest = if literal.is_empty() {
            digest
        } else {
            // One value of the bank for each register: there is no other way.
            digest.pcr(self.bank, literal, &values).ok_or(Error::Inactive { bank: self.bank })?
        };
        let is_satisfied = self.signer.is_none() && self.literals.0.iter().all(|literal| literal.value.is_none());
        Ok(Policy { digest, literal, bank: self.bank, signer: self.signer.clone(), is_satisfied })
    }

    /// Values of the literal registers, lowest first.
    fn values<T: Transport>(&self, tpm: &mut Tpm<T>, log: &Extensions) -> Result<Vec<Digest>, Error> {
        let bank = self.bank;
        // Of no register: whether there is the bank at all is asked with the lowest one.
        let asked =
            if self.literals.0.is_empty() { PcrMask::of_bits(1).unwrap_or_default() } else { self.literals.mask() };
        let current = read(tpm, bank, asked)?;
        let mut literals: Vec<&Literal> = self.literals.0.iter().collect();
        literals.sort_by_key(|literal| literal.register);
        literals
            .into_iter()
            .map(|Literal { register, value }| match value {
                Some(value) => {
                    let found = value.len();
                    Digest::of_bytes(bank, value).ok_or(Error::Value { register: *register, found, bank })
                }
                None => {
                    if let Some(event) = log.later(*register) {
                        return Err(Error::Extended { register: *register, event: event.to_owned() });
                    }
                    let value = current.iter().find(|(number, _)| number == register);
                    value.map(|(_, value)| *value).ok_or(Error::Inactive { bank })
                }
            })
            .collect()
    }
}

/// Values of these registers, by as many commands as it takes.
fn read<T: Transport>(tpm: &mut Tpm<T>, bank: Bank, mask: PcrMask) -> Result<Vec<(u8, Digest)>, Error> {
    let mut values: Vec<(u8, Digest)> = Vec::new();
    loop {
        let known = |register: &u8| values.iter().any(|(number, _)| number == register);
        let missing: Vec<u8> = mask.iter().filter(|register| !known(register)).collect();
        let missing = PcrMask::of(&missing).unwrap_or_default();
        if missing.is_empty() {
            return Ok(values);
        }
        let given = commands::pcr_read(tpm, bank, missing).map_err(Error::Tpm)?;
        if given.is_empty() {
            return Err(Error::Inactive { bank });
        }
        values.extend(given);
    }
}

impl Signer {
    /// The key in the PEM.
    ///
    /// # Errors
    /// [`Error::Key`], also of DER, which systemd's token does not have.
    pub fn key(&self) -> Result<SigningKey, Error> {
        if self.pem.first() == Some(&0x30) {
            return Err(Error::Key(signing_key::Error::Pem));
        }
        SigningKey::parse(&self.pem).map_err(Error::Key)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.literal.is_empty(), &self.signer) {
            (false, None) => write!(f, "registers {} as they are", self.literal)?,
            (true, Some(signer)) => write!(f, "registers {} as the key signs", signer.registers)?,
            (false, Some(signer)) => {
                write!(f, "registers {} as they are and {} as the key signs", self.literal, signer.registers)?;
            }
            (true, None) => f.write_str("no register")?,
        }
        write!(f, ", bank {}, policy {}", self.bank, Hex(self.digest.as_bytes()))
    }
}
