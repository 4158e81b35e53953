// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a boot log: which build wrote it.
//!
//! A log, in `/run/initoverlayfs/boot.defmt` as in pstore, is a sequence of items, each ended by a byte 0: first this header, then
//! defmt frames (rzCOBS, which has no 0 of its own), and empty items anywhere. So the log is found inside a memory that holds
//! other things before and after it, and a broken item costs only itself.
//!
//! The header is text: `initoverlayfs-log 1 BUILD-ID LOST`, the build ID in lower-case hexadecimal digits, and how many of
//! the oldest frames the log had no room for. The frames say nothing without the string table of exactly that build.

use core::fmt;

use boot_formats::hex::Hex;
use heapless::{String, Vec};

/// What every header begins with.
pub const MAGIC: &str = "initoverlayfs-log ";
/// The format that this crate writes and reads.
pub const FORMAT: u32 = 1;
/// Most bytes of a build ID; SHA-1 has 20.
pub const MAX_BUILD_ID: usize = 32;
/// Most bytes of a header with the zeros around it.
pub const MAX_HEADER: usize = 120;

/// The build that a program is, as its linker numbered it: the descriptor of the note `NT_GNU_BUILD_ID`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BuildId(Vec<u8, MAX_BUILD_ID>);

impl BuildId {
    /// The build ID of these bytes; `None` for none, or more than [`MAX_BUILD_ID`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Vec::from_slice(bytes).ok().filter(|bytes| !bytes.is_empty()).map(Self)
    }

    /// The build ID of these hexadecimal digits.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !digits.bytes().all(lower) {
            return None;
        }
        let mut bytes: Vec<u8, MAX_BUILD_ID> = Vec::new();
        for pair in digits.as_bytes().chunks(2) {
            let byte = core::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            bytes.push(u8::from_str_radix(byte, 16).ok()?).ok()?;
        }
        Self::new(&bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The build that wrote the log.
    pub build_id: BuildId,
    /// Frames that the log no longer has, its oldest.
    pub lost: u32,
}

/// Why a header was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin with [`MAGIC`].
    NotALog,
    /// Another format than [`FORMAT`].
    Format {
        /// The format stated.
        found: u32,
    },
    /// A field is missing or not of its kind.
    Field {
        /// Which: format, build ID, lost frames.
        name: &'static str,
    },
    /// More behind the last field.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("header of the log: ")?;
        match self {
            Self::NotALog => f.write_str("there is none"),
            Self::Format { found } => write!(f, "format {found}, expected {FORMAT}"),
            Self::Field { name } => write!(f, "no {name}"),
            Self::Trailing => f.write_str("more than its fields"),
        }
    }
}

impl core::error::Error for Error {}

impl Header {
    /// The header as it is written, with a zero on either side: the first ends what may stand before it.
    #[must_use]
    pub fn item(&self) -> String<MAX_HEADER> {
        let mut item = String::new();
        // MAX_HEADER holds the longest: 18 + 10 + 64 + 10 digits, and four separators.
        let _ = fmt::write(&mut item, format_args!("\0{MAGIC}{FORMAT} {} {}\0", self.build_id, self.lost));
        item
    }

    /// Reads an item, without its zeros.
    ///
    /// # Errors
    /// Each of [`Error`].
    pub fn parse(item: &[u8]) -> Result<Self, Error> {
        let text = core::str::from_utf8(item).ok().and_then(|text| text.strip_prefix(MAGIC)).ok_or(Error::NotALog)?;
        let mut fields = text.split(' ');
        let mut field = |name| fields.next().ok_or(Error::Field { name });
        let format = field("format")?.parse().map_err(|_| Error::Field { name: "format" })?;
        if format != FORMAT {
            return Err(Error::Format { found: format });
        }
        let build_id = BuildId::from_hex(field("build ID")?).ok_or(Error::Field { name: "build ID" })?;
        let lost = field("lost frames")?.parse().map_err(|_| Error::Field { name: "lost frames" })?;
        match fields.next() {
            None => Ok(Self { build_id, lost }),
            Some(_) => Err(Error::Trailing),
        }
    }
}
