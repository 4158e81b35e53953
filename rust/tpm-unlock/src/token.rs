// SPDX-License-Identifier: MIT OR Apache-2.0
//! The LUKS2 token `systemd-tpm2`: a key as systemd-cryptenroll enrols it (systemd's src/shared/tpm2-util.c, `tpm2_make_luks2_json`,
//! up to version 261).
//!
//! A member that is not known may be a condition for the key that would go unasked: it is refused by name, and the volume is left to the
//! system. So are a PIN, which there is nobody to type, and what needs the TPM's memory (pcrlock) or several objects.

use core::fmt;

use boot_formats::base64;
use boot_formats::json::{self, Value};
use boot_formats::luks2::{self, Name};
use tpm_policy::{Bank, PcrMask};

use crate::unseal::{SealedKey, SignedPolicy};

/// The type of these tokens.
pub const KIND: &str = "systemd-tpm2";

/// Most bytes of a member in base64. A blob has some 230, the SRK of RSA 2048 some 320, a public key in PEM 451 to 800.
const MAX_BINARY: usize = 2048;
/// The first register that a running system can reset (TCG PC Client Platform TPM Profile, 4.6.2).
const FIRST_RESETTABLE: u8 = 16;

/// A token that the boot stage can go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The keyslot whose passphrase the secret is.
    pub keyslot: u8,
    blob: Vec<u8>,
    policy_hash: [u8; 32],
    pcrs: PcrMask,
    bank: Bank,
    srk: Option<Vec<u8>>,
    signer: Option<Signer>,
}

/// Who signs the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signer {
    public_key: Vec<u8>,
    pcrs: PcrMask,
}

/// Why a token is left to the system. Offsets count bytes of the JSON area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// A value of another kind.
    Json(json::Error),
    /// A required member is not there.
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member that is not known.
    Unknown {
        /// Where its value starts.
        offset: usize,
        /// Its name.
        member: Name,
    },
    /// It wants a PIN.
    Pin,
    /// Its policy lies in the TPM's memory.
    Pcrlock,
    /// It is several sealed objects.
    Shards {
        /// How many.
        found: usize,
    },
    /// It does not name exactly one keyslot.
    Keyslots {
        /// How many it names.
        found: usize,
    },
    /// A value that cannot be.
    Value {
        /// Where it starts.
        offset: usize,
        /// Of which member.
        member: &'static str,
    },
}

impl From<json::Error> for TokenError {
    fn from(error: json::Error) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Missing { member } => write!(f, "no \"{member}\""),
            Self::Unknown { offset, member } => write!(f, "at byte {offset}: unknown member {member}"),
            Self::Pin => f.write_str("wants a PIN"),
            Self::Pcrlock => f.write_str("wants a pcrlock policy"),
            Self::Shards { found } => write!(f, "{found} sealed objects, expected 1"),
            Self::Keyslots { found } => write!(f, "{found} keyslots, expected 1"),
            Self::Value { offset, member } => write!(f, "at byte {offset}: bad value of \"{member}\""),
        }
    }
}

impl core::error::Error for TokenError {}

/// Why a set of registers makes no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakPolicy {
    /// None: whatever runs on the machine gets the key.
    NoRegister,
    /// None that is extended before the kernel runs: any kernel could extend this one to the same value.
    OnlyMeasuredByUs {
        /// The register that the boot stage extends.
        register: u8,
    },
    /// None that storage-init measures into: it opens for every image, and the latch does not close it.
    NotMeasured {
        /// That register.
        register: u8,
    },
    /// One that a running system can reset.
    Resettable {
        /// The first of them.
        register: u8,
    },
}

impl fmt::Display for WeakPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegister => f.write_str("policy over no register"),
            Self::OnlyMeasuredByUs { register } => {
                write!(f, "policy over register {register} alone, which any kernel can extend")
            }
            Self::NotMeasured { register } => {
                write!(f, "policy without register {register}, so open to every image and not closed by the latch")
            }
            Self::Resettable { register } => {
                write!(f, "policy over register {register}, which a running system can reset")
            }
        }
    }
}

/// Whether a policy over these registers depends on something that ran before the kernel, on the image that storage-init measured,
/// and on nothing that can be reset.
///
/// # Errors
/// [`WeakPolicy`].
pub fn check_registers(pcrs: PcrMask, measured_by_us: u8) -> Result<(), WeakPolicy> {
    if pcrs.is_empty() {
        return Err(WeakPolicy::NoRegister);
    }
    if let Some(register) = pcrs.iter().find(|register| *register >= FIRST_RESETTABLE) {
        return Err(WeakPolicy::Resettable { register });
    }
    if pcrs.iter().all(|register| register == measured_by_us) {
        return Err(WeakPolicy::OnlyMeasuredByUs { register: measured_by_us });
    }
    if !pcrs.contains(measured_by_us) {
        return Err(WeakPolicy::NotMeasured { register: measured_by_us });
    }
    Ok(())
}

impl Token {
    /// Reads a token of type [`KIND`].
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(token: &luks2::Token<'_>) -> Result<Self, TokenError> {
        let members = Members::of(&token.value)?;
        if is_set(members.pin)? {
            return Err(TokenError::Pin);
        }
        if is_set(members.pcrlock)? || members.pcrlock_nv.is_some() {
            return Err(TokenError::Pcrlock);
        }
        // Of a PIN.
        if let Some(value) = members.salt {
            return Err(TokenError::Unknown { offset: value.offset(), member: Name::of(b"tpm2_salt") });
        }
        if let Some(value) = members.primary_alg
            && !matches!(value.string()?, "ecc" | "rsa")
        {
            return Err(TokenError::Value { offset: value.offset(), member: "tpm2-primary-alg" });
        }
        let bank = match members.bank {
            None => Bank::Sha256,
            Some(value) => Bank::of(value.string()?)
                .ok_or(TokenError::Value { offset: value.offset(), member: "tpm2-pcr-bank" })?,
        };
        Ok(Self {
            keyslot: keyslot(&required(members.keyslots, "keyslots")?)?,
            blob: binary(&one(required(members.blob, "tpm2-blob")?)?, "tpm2-blob")?,
            policy_hash: policy_hash(&one(required(members.policy_hash, "tpm2-policy-hash")?)?)?,
            pcrs: pcr_mask(&required(members.pcrs, "tpm2-pcrs")?, "tpm2-pcrs")?,
            bank,
            srk: members.srk.map(|value| binary(&value, "tpm2_srk")).transpose()?,
            signer: signer(&members)?,
        })
    }

    /// The registers that the policy is over, literal and signed.
    #[must_use]
    pub fn registers(&self) -> PcrMask {
        let signed = self.signer.as_ref().map_or(PcrMask::EMPTY, |signer| signer.pcrs);
        PcrMask::of_bits(self.pcrs.bits() | signed.bits()).unwrap_or(self.pcrs)
    }

    /// Whether the policy is signed for each release.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.signer.is_some()
    }

    /// The sealed key.
    #[must_use]
    pub fn sealed_key(&self) -> SealedKey<'_> {
        let signed = self.signer.as_ref().map(|Signer { public_key, pcrs }| SignedPolicy { public_key, pcrs: *pcrs });
        SealedKey {
            blob: &self.blob,
            policy_hash: self.policy_hash,
            pcrs: self.pcrs,
            bank: self.bank,
            srk: self.srk.as_deref(),
            signed,
        }
    }
}

/// The members by name, none twice.
#[derive(Default)]
struct Members<'a> {
    keyslots: Option<Value<'a>>,
    blob: Option<Value<'a>>,
    pcrs: Option<Value<'a>>,
    bank: Option<Value<'a>>,
    primary_alg: Option<Value<'a>>,
    policy_hash: Option<Value<'a>>,
    pin: Option<Value<'a>>,
    pcrlock: Option<Value<'a>>,
    pcrlock_nv: Option<Value<'a>>,
    pubkey_pcrs: Option<Value<'a>>,
    pubkey: Option<Value<'a>>,
    salt: Option<Value<'a>>,
    srk: Option<Value<'a>>,
}

impl<'a> Members<'a> {
    fn of(object: &Value<'a>) -> Result<Self, TokenError> {
        let mut members = Self::default();
        for (name, value) in object.members()? {
            let place = match name {
                "type" => continue,
                "keyslots" => &mut members.keyslots,
                "tpm2-blob" => &mut members.blob,
                "tpm2-pcrs" => &mut members.pcrs,
                "tpm2-pcr-bank" => &mut members.bank,
                "tpm2-primary-alg" => &mut members.primary_alg,
                "tpm2-policy-hash" => &mut members.policy_hash,
                "tpm2-pin" => &mut members.pin,
                "tpm2_pcrlock" => &mut members.pcrlock,
                "tpm2_pcrlock_nv" => &mut members.pcrlock_nv,
                "tpm2_pubkey_pcrs" => &mut members.pubkey_pcrs,
                "tpm2_pubkey" => &mut members.pubkey,
                "tpm2_salt" => &mut members.salt,
                "tpm2_srk" => &mut members.srk,
                _ => {
                    return Err(TokenError::Unknown { offset: value.offset(), member: Name::of(name.as_bytes()) });
                }
            };
            if place.replace(value).is_some() {
                return Err(json::Error::Duplicate { offset: value.offset() }.into());
            }
        }
        Ok(members)
    }
}

fn is_set(value: Option<Value<'_>>) -> Result<bool, TokenError> {
    Ok(value.map(|value| value.boolean()).transpose()?.unwrap_or(false))
}

fn required<'a>(value: Option<Value<'a>>, member: &'static str) -> Result<Value<'a>, TokenError> {
    value.ok_or(TokenError::Missing { member })
}

/// systemd writes several objects as an array, since version 257.
fn one(value: Value<'_>) -> Result<Value<'_>, TokenError> {
    match value.elements() {
        Err(_) => Ok(value),
        Ok(elements) => Err(TokenError::Shards { found: elements.count() }),
    }
}

fn keyslot(value: &Value<'_>) -> Result<u8, TokenError> {
    let mut elements = value.elements()?;
    match (elements.next(), elements.next()) {
        (Some(only), None) => {
            let number = json::decimal(only.string()?.as_bytes()).and_then(|number| u8::try_from(number).ok());
            number.ok_or(TokenError::Value { offset: only.offset(), member: "keyslots" })
        }
        _ => Err(TokenError::Keyslots { found: value.elements()?.count() }),
    }
}

fn pcr_mask(value: &Value<'_>, member: &'static str) -> Result<PcrMask, TokenError> {
    value.elements()?.try_fold(PcrMask::EMPTY, |mask, element| {
        let register = u8::try_from(element.unsigned()?).ok();
        register.and_then(|register| mask.with(register)).ok_or(TokenError::Value { offset: element.offset(), member })
    })
}

fn signer(members: &Members<'_>) -> Result<Option<Signer>, TokenError> {
    let pcrs = match members.pubkey_pcrs {
        Some(value) => pcr_mask(&value, "tpm2_pubkey_pcrs")?,
        None => PcrMask::EMPTY,
    };
    match members.pubkey {
        None if pcrs.is_empty() => Ok(None),
        None => Err(TokenError::Missing { member: "tpm2_pubkey" }),
        Some(_) if pcrs.is_empty() => Err(TokenError::Missing { member: "tpm2_pubkey_pcrs" }),
        Some(value) => Ok(Some(Signer { public_key: binary(&value, "tpm2_pubkey")?, pcrs })),
    }
}

fn policy_hash(value: &Value<'_>) -> Result<[u8; 32], TokenError> {
    boot_formats::hex::decode(value.string()?)
        .map_err(|_| TokenError::Value { offset: value.offset(), member: "tpm2-policy-hash" })
}

fn binary(value: &Value<'_>, member: &'static str) -> Result<Vec<u8>, TokenError> {
    let bad = TokenError::Value { offset: value.offset(), member };
    let mut buffer = [0; MAX_BINARY];
    let bytes = base64::decode(value.string()?, &mut buffer).ok_or(bad)?;
    if bytes.is_empty() { Err(bad) } else { Ok(bytes.to_vec()) }
}
