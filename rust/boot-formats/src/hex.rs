// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as lower-case hexadecimal digits: any number of them for a log, SHA-256 digests to and fro.
//!
//! Upper case is refused: what is signed is the text of the root hash, and two texts for one hash are one too many.

use core::fmt;

/// Bytes of a SHA-256 digest.
const DIGEST: usize = 32;

/// Bytes that are printed as lower-case hexadecimal digits, two for each and nothing between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As many at once as a digest has: a byte by itself costs a formatter's hundred instructions.
        self.0.chunks(DIGEST).try_for_each(|bytes| {
            let mut text = [0; 2 * DIGEST];
            let digits =
                text.as_chunks_mut::<2>().0.iter_mut().zip(bytes).map(|(pair, byte)| *pair = digits(*byte)).count();
            let text = text.get(..digits.saturating_mul(2)).unwrap_or_default();
            // Always text: each byte is a digit.
            f.write_str(core::str::from_utf8(text).unwrap_or_default())
        })
    }
}

/// Why a text is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexError {
    /// Not 64 characters.
    Length {
        /// Bytes the text has.
        found: usize,
    },
    /// Not a lower-case hexadecimal digit.
    Digit {
        /// Byte offset in the text.
        offset: usize,
        /// The byte there.
        found: u8,
    },
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(f, "{found} characters, expected 64 hexadecimal digits"),
            Self::Digit { offset, found } => {
                write!(f, "'{}' at character {offset} is no lower-case hexadecimal digit", found.escape_ascii())
            }
        }
    }
}

impl core::error::Error for HexError {}

/// The digest that a text of exactly 64 lower-case hexadecimal digits stands for.
///
/// # Errors
/// [`HexError`].
pub fn decode(text: &str) -> Result<[u8; 32], HexError> {
    if text.len() != 64 {
        return Err(HexError::Length { found: text.len() });
    }
    let digit = |offset: usize, found: u8| match found {
        b'0'..=b'9' => Ok(found.wrapping_sub(b'0')),
        b'a'..=b'f' => Ok(found.wrapping_sub(b'a' - 10)),
        _ => Err(HexError::Digit { offset, found }),
    };
    let mut out = [0; 32];
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for ((byte, &[high, low]), offset) in out.iter_mut().zip(pairs).zip((0..).step_by(2)) {
        *byte = digit(offset, high)? << 4 | digit(offset.saturating_add(1), low)?;
    }
    Ok(out)
}

/// A digest as the ASCII text that is signed; to print it, see [`Hex`].
#[must_use]
pub fn encode(bytes: &[u8; DIGEST]) -> [u8; 2 * DIGEST] {
    let mut out = [0; 2 * DIGEST];
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = digits(*byte);
    }
    out
}

const fn digits(byte: u8) -> [u8; 2] {
    [digit(byte >> 4), digit(byte & 15)]
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0'.wrapping_add(value) } else { (b'a' - 10).wrapping_add(value) }
}
