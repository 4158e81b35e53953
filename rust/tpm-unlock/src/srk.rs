// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storage root key: the parent of every sealed key, and the one to which the salt of the session is encrypted.
//!
//! Persistent, made once by the TPM's owner (systemd makes it at 0x81000001). Its public area comes out of the LUKS2 token, where
//! systemd keeps it, and costs no command; without that, out of the TPM. Neither is authentic: see [`session`](crate::session).

mod ecc;
mod rsa;

use zeroize::Zeroizing;

use tpm_policy::name::Name;

use crate::commands;
use crate::kdf::Secret;
use crate::tpm::{Error, NoEntropy, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, Full, Malformed, Reader, Writer};

/// Where a TPM's owner keeps the key (TCG TPM v2.0 Provisioning Guidance, 7.8.1).
pub const HANDLE: u32 = 0x8100_0001;
/// The range of persistent handles (part 2, 7.2): what is in it survives a reset.
const PERSISTENT: core::ops::RangeInclusive<u32> = 0x8100_0000..=0x81ff_ffff;
/// `IESYSC_KEY_RSRC` of tpm2-tss: the serialized resource is a key.
const ESYS_KEY: u32 = 1;
/// `TPM_ALG_SHA256`, `TPM_ALG_RSA`, `TPM_ALG_ECC`, `TPM_ALG_NULL`.
const ALG_SHA256: u16 = 0x000b;
const ALG_RSA: u16 = 0x0001;
const ALG_ECC: u16 = 0x0023;
const ALG_NULL: u16 = 0x0010;
/// `TPM_ECC_NIST_P256`.
const NIST_P256: u16 = 0x0003;
/// `TPMA_OBJECT.restricted` and `.decrypt`: what makes a key a parent.
const PARENT: u32 = 1 << 16 | 1 << 17;
/// Bytes of the longest encrypted salt: RSA-2048.
const MAX_ENCRYPTED: usize = 256;

/// Why a storage root key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrkError {
    /// The bytes are not what they should be.
    Malformed(Malformed),
    /// The name beside the public area is another one's.
    Name,
    /// Its handle is not that of a persistent object.
    Handle {
        /// The handle.
        found: u32,
    },
    /// Neither P-256 nor RSA-2048 with SHA-256.
    Algorithm {
        /// Its `TPM_ALG_ID`, or that of the part that is not known.
        found: u16,
    },
    /// A key that is no parent.
    NoParent {
        /// Its attributes.
        attributes: u32,
    },
    /// Its point is not on the curve, or its modulus is even.
    Point,
    /// The TPM did not say what it is.
    Tpm(Error),
}

impl From<Malformed> for SrkError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl core::fmt::Display for SrkError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("storage root key: ")?;
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Name => f.write_str("name and public area do not belong together"),
            Self::Handle { found } => write!(f, "handle {found:#010x} is not that of a persistent object"),
            Self::Algorithm { found } => {
                write!(f, "algorithm {found:#06x}, expected P-256 or RSA-2048 with SHA-256")
            }
            Self::NoParent { attributes } => write!(f, "attributes {attributes:#010x}, expected restricted decrypt"),
            Self::Point => f.write_str("public key is out of range"),
            Self::Tpm(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SrkError {}

/// A salt, and what only the TPM can take it out of.
pub struct Salt {
    /// For the session's key.
    pub secret: Secret,
    /// `TPM2B_ENCRYPTED_SECRET` without its size.
    pub encrypted: heapless::Vec<u8, MAX_ENCRYPTED>,
}

/// A key that may be a parent, as far as its public area says.
#[derive(Clone)]
pub struct StorageRootKey {
    handle: u32,
    key: Key,
}

#[derive(Clone)]
enum Key {
    P256(ecc::Point),
    Rsa2048(Box<rsa::Modulus>),
}

impl StorageRootKey {
    /// Its handle.
    #[must_use]
    pub const fn handle(&self) -> u32 {
        self.handle
    }

    /// Out of systemd's `tpm2_srk`: what `Esys_TR_Serialize` of tpm2-tss writes. Handle, name, kind of resource, public area.
    ///
    /// # Errors
    /// [`SrkError`].
    pub fn of_token(serialized: &[u8]) -> Result<Self, SrkError> {
        let mut reader = Reader::new(serialized);
        let handle = reader.u32()?;
        if !PERSISTENT.contains(&handle) {
            return Err(SrkError::Handle { found: handle });
        }
        let name = reader.sized()?;
        let offset = reader.offset();
        let found = reader.u32()?;
        if found != ESYS_KEY {
            return Err(Malformed::Value { offset, found, expected: ESYS_KEY }.into());
        }
        let public_area = reader.sized()?;
        reader.end()?;
        if Name::of_public_area(public_area).is_none_or(|computed| computed.as_bytes() != name) {
            return Err(SrkError::Name);
        }
        Ok(Self { handle, key: Key::parse(public_area)? })
    }

    /// What systemd calls its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match &self.key {
            Key::P256(_) => "ecc",
            Key::Rsa2048(_) => "rsa",
        }
    }

    /// Out of the TPM, by one command.
    ///
    /// # Errors
    /// [`SrkError`].
    pub fn of_tpm<T: Transport>(tpm: &mut Tpm<T>, handle: u32) -> Result<Self, SrkError> {
        let public_area = commands::read_public(tpm, handle).map_err(SrkError::Tpm)?;
        Ok(Self { handle, key: Key::parse(&public_area)? })
    }

    /// A new salt.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub(crate) fn salt(&self, random: &mut dyn FnMut(&mut [u8]) -> Result<(), NoEntropy>) -> Result<Salt, Error> {
        let too_long = Error::TooLong { command: CommandCode::StartAuthSession };
        match &self.key {
            Key::P256(point) => point.salt(random),
            Key::Rsa2048(modulus) => modulus.salt(random),
        }
        .map_err(|error| match error {
            SaltError::NoEntropy => Error::NoEntropy,
            SaltError::TooLong => too_long,
        })
    }
}

/// What [`StorageRootKey::of_token`] reads, of the object with this handle and public area.
///
/// # Errors
/// [`SrkError::Algorithm`] of another name than by SHA-256.
pub fn serialize(handle: u32, public_area: &[u8]) -> Result<Vec<u8>, SrkError> {
    let algorithm =
        public_area.get(2..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_be_bytes(*bytes));
    let name = Name::of_public_area(public_area).ok_or(SrkError::Algorithm { found: algorithm })?;
    let mut serialized = Writer::new();
    let written = serialized.u32(handle).and_then(|to| to.sized(name.as_bytes())?.u32(ESYS_KEY)?.sized(public_area));
    match written {
        Ok(written) => Ok(written.as_bytes().to_vec()),
        Err(Full) => {
            let error = Malformed::TooLong { offset: 0, found: public_area.len(), limit: commands::MAX_PUBLIC_AREA };
            Err(error.into())
        }
    }
}

/// Why there is no salt.
enum SaltError {
    NoEntropy,
    TooLong,
}

impl From<NoEntropy> for SaltError {
    fn from(NoEntropy: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl Key {
    /// `TPMT_PUBLIC` (part 2, 12.2.4).
    fn parse(public_area: &[u8]) -> Result<Self, SrkError> {
        let mut reader = Reader::new(public_area);
        let kind = reader.u16()?;
        let name_algorithm = reader.u16()?;
        if name_algorithm != ALG_SHA256 {
            return Err(SrkError::Algorithm { found: name_algorithm });
        }
        let attributes = reader.u32()?;
        if attributes & PARENT != PARENT {
            return Err(SrkError::NoParent { attributes });
        }
        reader.sized()?; // authPolicy
        if reader.u16()? != ALG_NULL {
            reader.raw(4)?; // symmetric: key bits, mode
        }
        if reader.u16()? != ALG_NULL {
            reader.raw(2)?; // scheme: hash
        }
        let key = match kind {
            ALG_ECC => {
                let curve = reader.u16()?;
                if curve != NIST_P256 {
                    return Err(SrkError::Algorithm { found: curve });
                }
                if reader.u16()? != ALG_NULL {
                    reader.raw(2)?; // key derivation: hash
                }
                let (x, y) = (reader.sized_to(32)?, reader.sized_to(32)?);
                Self::P256(ecc::Point::of_coordinates(x, y).ok_or(SrkError::Point)?)
            }
            ALG_RSA => {
                let bits = reader.u16()?;
                let exponent = reader.u32()?;
                let modulus = reader.sized_to(256)?;
                // 0 stands for 65537, the only one that a parent may have.
                if bits != 2048 || exponent != 0 {
                    return Err(SrkError::Algorithm { found: bits });
                }
                Self::Rsa2048(Box::new(rsa::Modulus::of_bytes(modulus).ok_or(SrkError::Point)?))
            }
            found => return Err(SrkError::Algorithm { found }),
        };
        reader.end()?;
        Ok(key)
    }
}

/// Fills a secret.
fn random_secret(random: &mut dyn FnMut(&mut [u8]) -> Result<(), NoEntropy>) -> Result<Secret, NoEntropy> {
    let mut secret = Zeroizing::new([0; 32]);
    random(secret.as_mut_slice())?;
    Ok(secret)
}
