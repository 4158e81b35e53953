// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes the volume key out of a keyslot (LUKS2 specification, 4; libcryptsetup's lib/luks2/luks2_keyslot_luks2.c): passphrase,
//! PBKDF2, AES-XTS over the area, the pieces merged, the digest compared.

mod derive;
mod split;
mod xts;

use core::fmt;

use boot_formats::luks2::{Digest, KeySize, Keyslot};
use zeroize::{Zeroize, Zeroizing};

/// A volume key whose digest is right. It has no `Debug`, and is zeroed when it is dropped.
pub struct VolumeKey {
    // In its place on the heap: one that is moved would leave a copy behind.
    bytes: Box<Zeroizing<[u8; 64]>>,
    size: KeySize,
}

impl VolumeKey {
    /// The key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size.bytes()).unwrap_or_default()
    }
}

/// Why a keyslot did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyslotError {
    /// The area that was read is not as long as the keyslot says.
    Area {
        /// Bytes that were given.
        found: usize,
        /// Bytes of the area.
        needed: u64,
    },
    /// What came out has not the digest of the volume key: another passphrase, or a spoilt area.
    Digest,
}

impl fmt::Display for KeyslotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Area { found, needed } => write!(f, "keyslot area of {found} bytes, expected {needed}"),
            Self::Digest => f.write_str("the keyslot does not open by this secret"),
        }
    }
}

impl core::error::Error for KeyslotError {}

/// Opens a keyslot. `area` holds the bytes that were read from [`Keyslot::area`]; it is decrypted in place, and zeroed.
///
/// # Errors
/// [`KeyslotError`].
pub fn open(keyslot: &Keyslot, digest: &Digest, area: &mut [u8], passphrase: &[u8]) -> Result<VolumeKey, KeyslotError> {
    let opened = merged(keyslot, area, passphrase);
    area.zeroize();
    let key = opened?;
    let mut computed = Zeroizing::new([0; 64]);
    let computed = computed.get_mut(..digest.value.len()).unwrap_or_default();
    derive::pbkdf2(&digest.derivation, key.as_bytes(), computed);
    // The digest is public: comparing it in constant time would hide nothing.
    if computed == digest.value.as_slice() && !computed.is_empty() { Ok(key) } else { Err(KeyslotError::Digest) }
}

fn merged(keyslot: &Keyslot, area: &mut [u8], passphrase: &[u8]) -> Result<VolumeKey, KeyslotError> {
    let needed = keyslot.area.len;
    if u64::try_from(area.len()) != Ok(needed) {
        return Err(KeyslotError::Area { found: area.len(), needed });
    }
    let mut area_key = Zeroizing::new([0; 64]);
    let area_key = area_key.get_mut(..keyslot.area_key_size.bytes()).unwrap_or_default();
    derive::pbkdf2(&keyslot.derivation, passphrase, area_key);
    xts::decrypt(keyslot.area_key_size, area_key, area);

    let size = keyslot.key_size;
    let mut key = VolumeKey { bytes: Box::new(Zeroizing::new([0; 64])), size };
    split::merge(keyslot.split.hash, area, key.bytes.get_mut(..size.bytes()).unwrap_or_default());
    Ok(key)
}
