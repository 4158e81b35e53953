// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads of a LUKS2 volume what it takes to open it: both copies of the header, and the area of one keyslot.

use core::fmt;

use base64ct::{Base64, Encoding};
use boot_formats::bytes::OutOfRange;
use boot_formats::luks2::{self, BINARY_HEADER, Digest, Header, Keyslot, Metadata, SECONDARY_OFFSETS, Which};
use zeroize::Zeroizing;

use crate::keyslot::{self, KeyslotError, VolumeKey};

/// Bytes of the longest secret that a TPM seals (part 2, 11.1.14).
const MAX_SECRET: usize = 128;
/// Characters of that in base64.
const MAX_PASSPHRASE: usize = 172;

/// The device that a volume lies on.
pub trait Disk {
    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on, which are all there.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError>;
}

/// The device did not give what it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The kernel's error number; 0 if it gave less than there is.
    pub errno: i32,
}

/// Why a volume cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeError {
    /// The device does not give its bytes.
    Read {
        /// From where on.
        offset: u64,
        /// Why.
        error: ReadError,
    },
    /// The header is refused, or what it says.
    Header(luks2::Error),
    /// The keyslot stays shut.
    Keyslot(KeyslotError),
    /// The secret is longer than a TPM seals.
    Secret {
        /// Its bytes.
        found: usize,
    },
}

impl From<luks2::Error> for VolumeError {
    fn from(error: luks2::Error) -> Self {
        Self::Header(error)
    }
}

impl From<KeyslotError> for VolumeError {
    fn from(error: KeyslotError) -> Self {
        Self::Keyslot(error)
    }
}

impl fmt::Display for VolumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { offset, error } => write!(f, "read at byte {offset}: errno {}", error.errno),
            Self::Header(error) => error.fmt(f),
            Self::Keyslot(error) => error.fmt(f),
            Self::Secret { found } => write!(f, "secret of {found} bytes, at most 128"),
        }
    }
}

impl core::error::Error for VolumeError {}

/// The copies of a volume's header, as far as they could be read.
#[derive(Debug)]
pub struct Copies {
    primary: Result<Vec<u8>, VolumeError>,
    secondary: Option<(u64, Vec<u8>)>,
}

impl Copies {
    /// Reads both. Which of them are good is for [`Copies::header`] to say; a secondary copy that is nowhere to be found, or cannot be
    /// read, is left out.
    pub fn read(disk: &impl Disk) -> Self {
        let primary = read(disk, 0, BINARY_HEADER as u64).and_then(|first| {
            let size = luks2::size_of(&first, Which::Primary)?;
            read(disk, 0, size)
        });
        let is_good = |bytes: &Vec<u8>| luks2::parse_header(bytes, Which::Primary).is_ok();
        let secondary = match &primary {
            // As long as the first one, and behind it.
            Ok(bytes) if is_good(bytes) => find_secondary(disk, &[bytes.len() as u64]),
            // It may be anywhere that one can be.
            _ => find_secondary(disk, &SECONDARY_OFFSETS),
        };
        Self { primary, secondary }
    }

    /// The header that counts.
    ///
    /// # Errors
    /// What is wrong with the primary copy, if none is good: [`VolumeError::Read`], or [`VolumeError::Header`], also for a device that is
    /// shorter than a header.
    pub fn header(&self) -> Result<Header<'_>, VolumeError> {
        let parsed = |bytes, which| luks2::parse_header(bytes, which).map_err(VolumeError::Header);
        let primary = self.primary.as_ref().map_err(|error| *error).and_then(|bytes| parsed(bytes, Which::Primary));
        match &self.secondary {
            Some((offset, bytes)) => luks2::choose(primary, parsed(bytes, Which::Secondary { offset: *offset })),
            None => primary,
        }
    }
}

/// The first of these places that a secondary copy says that it lies at, and all of it.
fn find_secondary(disk: &impl Disk, offsets: &[u64]) -> Option<(u64, Vec<u8>)> {
    // Behind the end of a small volume there is none.
    let mut inside = offsets.iter().take_while(|offset| offset.saturating_mul(2) <= disk.bytes());
    inside.find_map(|&offset| {
        let first = read(disk, offset, BINARY_HEADER as u64).ok()?;
        let size = luks2::size_of(&first, Which::Secondary { offset }).ok()?;
        Some((offset, read(disk, offset, size).ok()?))
    })
}

/// The passphrase that systemd makes of what a TPM unsealed: its base64.
///
/// # Errors
/// [`VolumeError::Secret`].
pub fn passphrase(secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, VolumeError> {
    let too_long = VolumeError::Secret { found: secret.len() };
    if secret.len() > MAX_SECRET {
        return Err(too_long);
    }
    let mut text = Zeroizing::new([0; MAX_PASSPHRASE]);
    let text = Base64::encode(secret, text.as_mut_slice()).map_err(|_| too_long)?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

/// A keyslot, and what tells whether the key in it is the volume's.
#[derive(Debug)]
pub struct Lock {
    keyslot: Keyslot,
    /// The number of the digest.
    id: u8,
    digest: Digest,
}

impl Lock {
    /// A keyslot by its number.
    ///
    /// # Errors
    /// [`VolumeError::Header`].
    pub fn of(metadata: &Metadata<'_>, keyslot: u8) -> Result<Self, VolumeError> {
        let (id, digest) = metadata.digest(keyslot)?;
        Ok(Self { keyslot: metadata.keyslot(keyslot)?, id, digest })
    }

    /// Reads the keyslot's area, for [`Lock::open`].
    ///
    /// # Errors
    /// [`VolumeError::Read`], [`VolumeError::Header`].
    pub fn read_area(&self, disk: &impl Disk) -> Result<Vec<u8>, VolumeError> {
        read(disk, self.keyslot.area.offset, self.keyslot.area.len)
    }

    /// The volume key, and the number of the digest that it has.
    ///
    /// # Errors
    /// [`VolumeError::Keyslot`].
    pub fn open(&self, mut area: Vec<u8>, passphrase: &[u8]) -> Result<(u8, VolumeKey), VolumeError> {
        let key = keyslot::open(&self.keyslot, &self.digest, &mut area, passphrase)?;
        Ok((self.id, key))
    }
}

fn read(disk: &impl Disk, offset: u64, len: u64) -> Result<Vec<u8>, VolumeError> {
    let available = disk.bytes().saturating_sub(offset);
    let outside = VolumeError::Header(OutOfRange { offset, needed: len, available }.into());
    if len > available {
        return Err(outside);
    }
    // At most that of a header, 4 MiB: what calls this has seen to it.
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| outside)?];
    disk.read(offset, &mut bytes).map_err(|error| VolumeError::Read { offset, error })?;
    Ok(bytes)
}
