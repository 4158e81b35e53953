// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads big-endian integers and sized buffers.

use core::fmt;

/// Why bytes are not what was expected there. Offsets count from the start of the response or structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before what has to be there.
    Truncated {
        /// Where.
        offset: usize,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// Bytes that nothing asks for.
    Trailing {
        /// Where they start.
        offset: usize,
        /// How many.
        len: usize,
    },
    /// A number that has to be another.
    Value {
        /// Where.
        offset: usize,
        /// The number there.
        found: u32,
        /// The number that has to be there.
        expected: u32,
    },
    /// A buffer that is longer than any of its kind.
    TooLong {
        /// Where.
        offset: usize,
        /// Bytes it has.
        found: usize,
        /// Most bytes.
        limit: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { offset, needed, available } => {
                write!(f, "out of range at byte {offset}: need {needed}, have {available}")
            }
            Self::Trailing { offset, len } => write!(f, "at byte {offset}: {len} bytes too many"),
            Self::Value { offset, found, expected } => {
                write!(f, "at byte {offset}: {found:#x}, expected {expected:#x}")
            }
            Self::TooLong { offset, found, limit } => {
                write!(f, "at byte {offset}: a buffer of {found} bytes, at most {limit}")
            }
        }
    }
}

impl core::error::Error for Malformed {}

/// Reads one thing after the other.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// From the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Where the next thing is.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], here and below.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let truncated = Malformed::Truncated { offset: self.offset, needed: len, available: self.bytes.len() };
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(truncated)?;
        self.bytes = rest;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.raw(1)?.iter().fold(0, |_, byte| *byte))
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(self.raw(2)?.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(self.raw(4)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// `TPM2B`: two bytes of size, and as many bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u16()?;
        self.raw(usize::from(len))
    }

    /// A `TPM2B` of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Malformed::TooLong`], [`Malformed::Truncated`].
    pub fn sized_to(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let offset = self.offset;
        let found = self.sized()?;
        if found.len() > limit { Err(Malformed::TooLong { offset, found: found.len(), limit }) } else { Ok(found) }
    }

    /// Two bytes that have to be `expected`.
    ///
    /// # Errors
    /// [`Malformed::Value`], [`Malformed::Truncated`].
    pub fn expect_u16(&mut self, expected: u16) -> Result<(), Malformed> {
        let offset = self.offset;
        let found = u32::from(self.u16()?);
        let expected = u32::from(expected);
        if found == expected { Ok(()) } else { Err(Malformed::Value { offset, found, expected }) }
    }

    /// Everything up to the end.
    #[must_use]
    pub fn rest(&mut self) -> &'a [u8] {
        self.offset = self.offset.saturating_add(self.bytes.len());
        core::mem::take(&mut self.bytes)
    }

    /// The end.
    ///
    /// # Errors
    /// [`Malformed::Trailing`] where it is not reached.
    pub const fn end(&self) -> Result<(), Malformed> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing { offset: self.offset, len: self.bytes.len() })
        }
    }
}
