// SPDX-License-Identifier: MIT OR Apache-2.0
//! A keyslot, and the digest that the key out of it has to have (specification, 3.2 and 3.5).

use heapless::Vec;

use super::Error;
use super::member::{expect, key_size, number_text, required, unknown};
use crate::base64;
use crate::json::Value;
use crate::range::ByteRange;

/// Pieces that a key is split into (LUKS_STRIPES): libcryptsetup knows no other number.
pub const STRIPES: u32 = 4000;
/// Most iterations of PBKDF2. A token's secret has 256 random bits and needs none, so that systemd asks for 1000; a header that
/// somebody wrote must not keep the boot busy for minutes. What `cryptsetup luksFormat` chooses for its digest, by
/// the speed of the machine, stays below.
pub const MAX_ITERATIONS: u32 = 4_000_000;
/// Most bytes of a salt or a digest (LUKS_SALTSIZE, SHA-512).
const MAX_BINARY: usize = 64;

/// The size of a key of AES-XTS, which is two keys of AES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 32 bytes.
    Aes128,
    /// 64 bytes.
    Aes256,
}

impl KeySize {
    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 32,
            Self::Aes256 => 64,
        }
    }
}

/// A hash algorithm of PBKDF2 or of the splitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A key derivation by PBKDF2-HMAC (RFC 8018).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pbkdf2 {
    /// Of the HMAC.
    pub hash: Hash,
    /// How often, 1 to [`MAX_ITERATIONS`].
    pub iterations: u32,
    /// The salt.
    pub salt: Vec<u8, MAX_BINARY>,
}

/// A key that is split so that one lost sector destroys it: [`STRIPES`] pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AntiForensic {
    /// What diffuses a piece.
    pub hash: Hash,
}

/// A keyslot that the boot stage opens: PBKDF2, and an area under `aes-xts-plain64` in sectors of 512 bytes. Argon2 is not among
/// them: it protects what people remember, which no token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyslot {
    /// The key in it.
    pub key_size: KeySize,
    /// How it is split.
    pub split: AntiForensic,
    /// Where it lies on the volume: exactly the bytes that are needed, whole sectors.
    pub area: ByteRange,
    /// The key that the area is encrypted by.
    pub area_key_size: KeySize,
    /// How that one is made of the passphrase.
    pub derivation: Pbkdf2,
}

/// What tells the right volume key from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How it is made of the key.
    pub derivation: Pbkdf2,
    /// What has to come of it.
    pub value: Vec<u8, MAX_BINARY>,
}

impl Keyslot {
    pub(super) fn read(value: &Value<'_>, areas: ByteRange) -> Result<Self, Error> {
        expect(value, "type", "keyslot type", "luks2")?;
        let split = required(value, "af")?;
        expect(&split, "type", "af type", "luks1")?;
        let stripes = required(&split, "stripes")?;
        match stripes.unsigned()? {
            found if found != u64::from(STRIPES) => {
                return Err(Error::Number { offset: stripes.offset(), what: "stripes", found, limit: STRIPES.into() });
            }
            _ => {}
        }
        let kdf = required(value, "kdf")?;
        expect(&kdf, "type", "kdf", "pbkdf2")?;
        let area = required(value, "area")?;
        expect(&area, "type", "area type", "raw")?;
        expect(&area, "encryption", "cipher of the area", "aes-xts-plain64")?;
        let key_size_of_volume = key_size(value)?;
        Ok(Self {
            key_size: key_size_of_volume,
            split: AntiForensic { hash: hash(&split)? },
            area: area_range(&area, key_size_of_volume, areas)?,
            area_key_size: key_size(&area)?,
            derivation: Pbkdf2::read(&kdf)?,
        })
    }
}

impl Digest {
    pub(super) fn read(value: &Value<'_>) -> Result<Self, Error> {
        expect(value, "type", "digest type", "pbkdf2")?;
        let (derivation, digest) = (Pbkdf2::read(value)?, required(value, "digest")?);
        let value = binary(&digest, "digest")?;
        // libcryptsetup takes as many bytes as there are, and of no bytes at all any key would have the digest.
        let expected = match derivation.hash {
            Hash::Sha256 => 32,
            Hash::Sha512 => 64,
        };
        if value.len() != expected {
            return Err(Error::Base64 { offset: digest.offset(), what: "digest" });
        }
        Ok(Self { derivation, value })
    }
}

impl Pbkdf2 {
    fn read(value: &Value<'_>) -> Result<Self, Error> {
        let iterations = required(value, "iterations")?;
        let found = iterations.unsigned()?;
        let limit = u64::from(MAX_ITERATIONS);
        let too_many = Error::Number { offset: iterations.offset(), what: "iterations", found, limit };
        Ok(Self {
            hash: hash(value)?,
            iterations: u32::try_from(found).ok().filter(|n| (1..=MAX_ITERATIONS).contains(n)).ok_or(too_many)?,
            salt: binary(&required(value, "salt")?, "salt")?,
        })
    }
}

fn area_range(area: &Value<'_>, key_size: KeySize, areas: ByteRange) -> Result<ByteRange, Error> {
    let stated =
        ByteRange { offset: number_text(&required(area, "offset")?)?, len: number_text(&required(area, "size")?)? };
    if !areas.contains(&stated) {
        return Err(Error::Outside { what: "keyslot area", range: stated, within: areas });
    }
    // 64 bytes 4000 times at most; whole sectors (AF_split_sectors of lib/luks1/af.c).
    let needed = (key_size.bytes() as u64).saturating_mul(u64::from(STRIPES)).next_multiple_of(512);
    let range = ByteRange { offset: stated.offset, len: needed };
    if !stated.contains(&range) {
        return Err(Error::Outside { what: "split key", range, within: stated });
    }
    if !range.is_aligned(512) {
        return Err(Error::Unaligned { what: "keyslot area", range, sector: 512 });
    }
    Ok(range)
}

fn hash(object: &Value<'_>) -> Result<Hash, Error> {
    let value = required(object, "hash")?;
    match value.string()? {
        "sha256" => Ok(Hash::Sha256),
        "sha512" => Ok(Hash::Sha512),
        _ => Err(unknown(&value, "hash")),
    }
}

fn binary(value: &Value<'_>, what: &'static str) -> Result<Vec<u8, MAX_BINARY>, Error> {
    let bad = Error::Base64 { offset: value.offset(), what };
    let mut buffer = [0; MAX_BINARY];
    let bytes = base64::decode(value.string()?, &mut buffer).ok_or(bad)?;
    if bytes.is_empty() {
        return Err(bad);
    }
    Vec::from_slice(bytes).map_err(|_| bad)
}
