// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a LUKS2 header is refused.

use core::fmt;

use crate::bytes::OutOfRange;
use crate::json;
use crate::range::ByteRange;

/// The start of a name that is not known, for the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u8; 32]);

impl Name {
    /// Of these bytes, as far as they fit and up to a NUL byte.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(name.iter().take_while(|byte| **byte != 0)) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        write!(f, "\"{}\"", name.escape_ascii())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a header, or something in it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes that were given end too early.
    OutOfRange(OutOfRange),
    /// It does not start with the bytes of its copy.
    Magic {
        /// What is there.
        found: [u8; 6],
        /// What should be.
        expected: [u8; 6],
    },
    /// Not version 2.
    Version {
        /// The version.
        found: u16,
    },
    /// No size that the specification allows.
    HeaderSize {
        /// Bytes that it states.
        found: u64,
    },
    /// It lies elsewhere than it says.
    HeaderOffset {
        /// Where it says that it lies.
        found: u64,
        /// Where it was read.
        expected: u64,
    },
    /// A checksum other than SHA-256.
    ChecksumAlgorithm {
        /// Its name.
        found: Name,
    },
    /// The checksum is not that of the bytes.
    Checksum {
        /// The first bytes of the one in the header.
        stored: [u8; 8],
        /// The first bytes of what it should be.
        computed: [u8; 8],
    },
    /// The UUID is not of the form that libcryptsetup writes.
    Uuid {
        /// What is there.
        found: Name,
    },
    /// The JSON area does not hold JSON, or a value of another kind.
    Json(json::Error),
    /// Something other than NUL bytes behind the JSON.
    TrailingByte {
        /// Where.
        offset: usize,
        /// The byte.
        found: u8,
    },
    /// A required member is not there.
    Missing {
        /// Where the object starts.
        offset: usize,
        /// The member.
        member: &'static str,
    },
    /// A name, a number or a feature that the boot stage does not know.
    Unknown {
        /// Where the value starts.
        offset: usize,
        /// What it is about.
        what: &'static str,
        /// The value.
        found: Name,
    },
    /// A number outside what is allowed.
    Number {
        /// Where the value starts.
        offset: usize,
        /// What it is about.
        what: &'static str,
        /// The number.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Not base64, or of more bytes than anything of the kind has.
    Base64 {
        /// Where the value starts.
        offset: usize,
        /// What it is.
        what: &'static str,
    },
    /// More or fewer of something than there should be.
    Count {
        /// What.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there should be, at most or exactly.
        expected: usize,
    },
    /// A range outside what it should lie in.
    Outside {
        /// Of what.
        what: &'static str,
        /// The range.
        range: ByteRange,
        /// What it should lie in.
        within: ByteRange,
    },
    /// A range that is not made of whole sectors.
    Unaligned {
        /// Of what.
        what: &'static str,
        /// The range.
        range: ByteRange,
        /// Bytes of a sector.
        sector: u32,
    },
}

impl From<OutOfRange> for Error {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("luks2: ")?;
        match self {
            Self::OutOfRange(error) => error.fmt(f),
            Self::Magic { found, expected } => {
                write!(f, "signature \"{}\", expected \"{}\"", found.escape_ascii(), expected.escape_ascii())
            }
            Self::Version { found } => write!(f, "version {found}, expected 2"),
            Self::HeaderSize { found } => {
                write!(f, "header of {found} bytes, expected 16 KiB times a power of two, 4 MiB at most")
            }
            Self::HeaderOffset { found, expected } => write!(f, "header for byte {found}, read at byte {expected}"),
            Self::ChecksumAlgorithm { found } => write!(f, "checksum {found}, expected \"sha256\""),
            Self::Checksum { stored, computed } => {
                let (stored, computed) = (u64::from_be_bytes(*stored), u64::from_be_bytes(*computed));
                write!(f, "checksum {stored:016x}…, computed {computed:016x}…")
            }
            Self::Uuid { found } => write!(f, "UUID {found}"),
            Self::Json(error) => write!(f, "JSON: {error}"),
            Self::TrailingByte { offset, found } => {
                write!(f, "JSON: at byte {offset}: '{}' after the object", found.escape_ascii())
            }
            Self::Missing { offset, member } => write!(f, "JSON: the object at byte {offset} has no \"{member}\""),
            Self::Unknown { offset, what, found } => write!(f, "JSON: at byte {offset}: {what} {found} is not known"),
            Self::Number { offset, what, found, limit } => {
                write!(f, "JSON: at byte {offset}: {what} {found}, limit {limit}")
            }
            Self::Base64 { offset, what } => {
                write!(f, "JSON: at byte {offset}: {what} is not base64 of a fitting length")
            }
            Self::Count { what, found, expected } => write!(f, "{found} {what}, expected {expected}"),
            Self::Outside { what, range, within } => write!(f, "{what}: {range}, outside {within}"),
            Self::Unaligned { what, range, sector } => write!(f, "{what}: {range}, no whole sectors of {sector}"),
        }
    }
}

impl core::error::Error for Error {}
