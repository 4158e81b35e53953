// SPDX-License-Identifier: MIT OR Apache-2.0
//! The binary header, and which of the two copies counts (specification, 2.1 and 2.2; lib/luks2/luks2_disk_metadata.c).

use core::fmt;

use sha2::{Digest as _, Sha256};

use super::{Error, Name};
use crate::bytes;
use crate::json::{self, Value};

/// Bytes of a copy before its JSON area.
pub const BINARY_HEADER: usize = 4096;
/// Bytes of the largest copy that the specification allows: it is read whole.
pub const MAX_HEADER: u64 = 4 << 20;
/// Where the second copy can start: right behind the first, which has one of these sizes.
pub const SECONDARY_OFFSETS: [u64; 9] =
    [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];

const CHECKSUM: core::ops::Range<usize> = 448..512;

/// Which copy of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one at the start of the volume.
    Primary,
    /// The other one.
    Secondary {
        /// Where it was read.
        offset: u64,
    },
}

impl Which {
    const fn magic(self) -> [u8; 6] {
        match self {
            Self::Primary => *b"LUKS\xba\xbe",
            Self::Secondary { .. } => *b"SKUL\xba\xbe",
        }
    }

    const fn offset(self) -> u64 {
        match self {
            Self::Primary => 0,
            Self::Secondary { offset } => offset,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary header",
            Self::Secondary { .. } => "secondary header",
        })
    }
}

/// A copy whose checksum is right and whose JSON area holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which copy.
    pub which: Which,
    /// Counts its changes.
    pub sequence: u64,
    /// Bytes of a copy.
    pub size: u64,
    /// The volume's UUID: 36 characters, hexadecimal digits in lower case and dashes.
    pub uuid: &'a str,
    /// The object of the JSON area.
    pub json: Value<'a>,
}

/// Bytes of the copy whose first bytes these are, [`BINARY_HEADER`] of them. Its checksum has not been looked at.
///
/// # Errors
/// The first of these that is not so: signature, version, size, and that it lies where it was read.
pub fn size_of(binary: &[u8], which: Which) -> Result<u64, Error> {
    let (found, expected) = (bytes::array(binary, 0)?, which.magic());
    if found != expected {
        return Err(Error::Magic { found, expected });
    }
    match u16::from_be_bytes(bytes::array(binary, 6)?) {
        2 => {}
        found => return Err(Error::Version { found }),
    }
    let size = u64::from_be_bytes(bytes::array(binary, 8)?);
    if !SECONDARY_OFFSETS.contains(&size) {
        return Err(Error::HeaderSize { found: size });
    }
    let found = u64::from_be_bytes(bytes::array(binary, 256)?);
    let expected = which.offset();
    if found != expected {
        return Err(Error::HeaderOffset { found, expected });
    }
    match which {
        Which::Secondary { offset } if offset != size => Err(Error::HeaderSize { found: size }),
        _ => Ok(size),
    }
}

/// Checks a copy; `area` is all of it, [`size_of`] bytes.
///
/// # Errors
/// As [`size_of`]; then checksum and its algorithm, the UUID, and that there is an object in the JSON area, and nothing but NUL
/// bytes behind it.
pub fn parse_header(area: &[u8], which: Which) -> Result<Header<'_>, Error> {
    let size = size_of(area, which)?;
    let area = bytes::slice(area, 0, usize::try_from(size).unwrap_or(usize::MAX))?;
    check_sum(area)?;
    let (binary, json_area) = area.split_at_checked(BINARY_HEADER).unwrap_or((area, &[]));
    let (json, end) = json::parse(json_area)?;
    json.members()?;
    let rest = json_area.get(end..).unwrap_or_default();
    if let Some((at, &found)) = rest.iter().enumerate().find(|(_, byte)| **byte != 0) {
        return Err(Error::TrailingByte { offset: end.saturating_add(at), found });
    }
    Ok(Header { which, sequence: u64::from_be_bytes(bytes::array(binary, 16)?), size, uuid: uuid(binary)?, json })
}

fn check_sum(area: &[u8]) -> Result<(), Error> {
    let algorithm: [u8; 32] = bytes::array(area, 72)?;
    if algorithm.split(|byte| *byte == 0).next() != Some(b"sha256") {
        return Err(Error::ChecksumAlgorithm { found: Name::of(&algorithm) });
    }
    // Of the copy with its own field as zeros.
    let before = bytes::slice(area, 0, CHECKSUM.start)?;
    let after = area.get(CHECKSUM.end..).unwrap_or_default();
    let sum = Sha256::new().chain_update(before).chain_update([0; 64]).chain_update(after).finalize();
    let stored: [u8; 32] = bytes::array(area, CHECKSUM.start)?;
    if sum.as_slice() != stored {
        return Err(Error::Checksum { stored: bytes::array(&stored, 0)?, computed: bytes::array(&sum, 0)? });
    }
    Ok(())
}

fn uuid(binary: &[u8]) -> Result<&str, Error> {
    let field = bytes::slice(binary, 168, 40)?;
    let found = Name::of(field);
    let (uuid, rest) = field.split_at_checked(36).unwrap_or((field, &[]));
    let is_uuid = uuid.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    if !is_uuid || rest.iter().any(|byte| *byte != 0) {
        return Err(Error::Uuid { found });
    }
    core::str::from_utf8(uuid).map_err(|_| Error::Uuid { found })
}

/// The copy that counts: the one with the higher sequence number, the primary one if they are equal; the good one if the other
/// is bad.
///
/// # Errors
/// That of the primary copy, if both are bad.
pub fn choose<'a, E>(primary: Result<Header<'a>, E>, secondary: Result<Header<'a>, E>) -> Result<Header<'a>, E> {
    match (primary, secondary) {
        (Ok(primary), Ok(secondary)) if secondary.sequence > primary.sequence => Ok(secondary),
        (Err(_), Ok(secondary)) => Ok(secondary),
        (primary, _) => primary,
    }
}
