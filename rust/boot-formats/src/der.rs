// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tag, length, value: the DER (ITU-T X.690) that certificates and signatures are made of.
//!
//! Does not interpret values, and does not check what DER says about them (order of sets, shortest integers): whoever
//! compares values compares bytes. Lengths are definite, shortest and at most [`MAX_LENGTH`]; tag numbers below 31.

use core::fmt;

/// Most bytes of a value. Everything read here is smaller, and the limit keeps lengths to two bytes.
pub const MAX_LENGTH: usize = 65535;

/// Universal tags, constructed where the type is.
pub mod tag {
    #![allow(missing_docs, reason = "each is the ASN.1 type its name says")]
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const IA5_STRING: u8 = 0x16;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// Context-specific, constructed, number 0.
    pub const CONTEXT_0: u8 = 0xa0;
    /// Context-specific, constructed, number 1.
    pub const CONTEXT_1: u8 = 0xa1;
    /// Context-specific, primitive, number 0.
    pub const CONTEXT_0_PRIMITIVE: u8 = 0x80;
}

/// Why bytes are not the DER expected there. Offsets count from the start of the outermost value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes end inside a value.
    Truncated {
        /// Where the value's contents (or its tag) start.
        offset: usize,
        /// Bytes it needs from there.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// A tag number above 30.
    HighTag {
        /// Where.
        offset: usize,
    },
    /// BER's indefinite length, which DER forbids.
    IndefiniteLength {
        /// Where the length is.
        offset: usize,
    },
    /// A length in more bytes than it needs.
    LongForm {
        /// Where the length is.
        offset: usize,
    },
    /// A length above [`MAX_LENGTH`].
    TooLong {
        /// Where the length is.
        offset: usize,
    },
    /// Another type than expected.
    Tag {
        /// Where the tag is.
        offset: usize,
        /// The tag expected.
        expected: u8,
        /// The tag there.
        found: u8,
    },
    /// Bytes after the last value expected.
    Trailing {
        /// Where they start.
        offset: usize,
        /// How many.
        len: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { offset, needed, available } => {
                write!(f, "der: out of range at byte {offset}: need {needed}, have {available}")
            }
            Self::HighTag { offset } => write!(f, "der: at byte {offset}: tag number above 30"),
            Self::IndefiniteLength { offset } => write!(f, "der: at byte {offset}: indefinite length"),
            Self::LongForm { offset } => write!(f, "der: at byte {offset}: length not in its shortest form"),
            Self::TooLong { offset } => write!(f, "der: at byte {offset}: length above {MAX_LENGTH}"),
            Self::Tag { offset, expected, found } => {
                write!(f, "der: at byte {offset}: tag {found:#04x}, expected {expected:#04x}")
            }
            Self::Trailing { offset, len } => write!(f, "der: at byte {offset}: {len} bytes too many"),
        }
    }
}

impl core::error::Error for Error {}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// Its tag.
    pub tag: u8,
    /// Where its tag lies.
    pub offset: usize,
    /// Its bytes without tag and length.
    pub contents: &'a [u8],
    /// Its bytes with tag and length.
    pub whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads the values inside.
    #[must_use]
    pub fn reader(&self) -> Reader<'a> {
        let header = self.whole.len().saturating_sub(self.contents.len());
        Reader { bytes: self.contents, base: self.offset.saturating_add(header) }
    }
}

/// Reads one value after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    base: usize,
}

impl<'a> Reader<'a> {
    /// Over a whole file.
    #[must_use]
    pub const fn new(der: &'a [u8]) -> Self {
        Self { bytes: der, base: 0 }
    }

    /// Over a part of a file that begins at byte `offset` of it, so that errors name the file's bytes.
    #[must_use]
    pub const fn at(der: &'a [u8], offset: usize) -> Self {
        Self { bytes: der, base: offset }
    }

    /// Where the next value is.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.base
    }

    /// Whether no value is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The tag of the next value.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    fn truncated(&self, at: usize, needed: usize) -> Error {
        let offset = self.base.saturating_add(at);
        Error::Truncated { offset, needed, available: self.bytes.len().saturating_sub(at) }
    }

    /// Length of the contents and of tag and length.
    fn header(&self) -> Result<(usize, usize), Error> {
        let at = |index: usize| self.bytes.get(index).copied().ok_or_else(|| self.truncated(index, 1));
        let offset = self.base.saturating_add(1);
        if at(0)? & 0x1f == 0x1f {
            return Err(Error::HighTag { offset: self.base });
        }
        match at(1)? {
            short @ 0..=0x7f => Ok((usize::from(short), 2)),
            0x80 => Err(Error::IndefiniteLength { offset }),
            0x81 => match at(2)? {
                0..=0x7f => Err(Error::LongForm { offset }),
                length => Ok((usize::from(length), 3)),
            },
            0x82 => match u16::from_be_bytes([at(2)?, at(3)?]) {
                0..=0xff => Err(Error::LongForm { offset }),
                length => Ok((usize::from(length), 4)),
            },
            _ => Err(Error::TooLong { offset }),
        }
    }

    /// The next value, of any type.
    ///
    /// # Errors
    /// All but [`Error::Tag`] and [`Error::Trailing`].
    pub fn any(&mut self) -> Result<Value<'a>, Error> {
        let (length, header) = self.header()?;
        // Below 64 KiB and 4.
        let end = header.saturating_add(length);
        let (Some(whole), Some(rest)) = (self.bytes.get(..end), self.bytes.get(end..)) else {
            return Err(self.truncated(header, length));
        };
        let (tag, contents) = (whole.first().copied().unwrap_or(0), whole.get(header..).unwrap_or_default());
        let value = Value { tag, offset: self.base, contents, whole };
        self.base = self.base.saturating_add(end);
        self.bytes = rest;
        Ok(value)
    }

    /// The next value, which must be of this type.
    ///
    /// # Errors
    /// All but [`Error::Trailing`].
    pub fn expect(&mut self, expected: u8) -> Result<Value<'a>, Error> {
        match self.peek() {
            Some(found) if found != expected => Err(Error::Tag { offset: self.base, expected, found }),
            _ => self.any(),
        }
    }

    /// The next value if it is of this type.
    ///
    /// # Errors
    /// All but [`Error::Tag`] and [`Error::Trailing`].
    pub fn optional(&mut self, tag: u8) -> Result<Option<Value<'a>>, Error> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`Error::Trailing`] if a value is left.
    pub const fn end(&self) -> Result<(), Error> {
        match self.bytes.len() {
            0 => Ok(()),
            len => Err(Error::Trailing { offset: self.base, len }),
        }
    }
}
