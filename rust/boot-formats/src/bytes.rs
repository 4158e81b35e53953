// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bounded, little-endian access to a byte slice: layout and nothing else.

use core::fmt;

/// A read reached past the end of the slice it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// First byte of the read, counted from the start of the slice.
    pub offset: u64,
    /// Bytes the read needs.
    pub needed: u64,
    /// Bytes the slice has from `offset` on; 0 if `offset` lies outside.
    pub available: u64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, needed, available } = self;
        write!(f, "out of range at byte {offset}: need {needed}, have {available}")
    }
}

impl core::error::Error for OutOfRange {}

/// `len` bytes from `offset` on.
pub fn slice(bytes: &[u8], offset: usize, len: usize) -> Result<&[u8], OutOfRange> {
    offset.checked_add(len).and_then(|end| bytes.get(offset..end)).ok_or_else(|| OutOfRange {
        offset: offset as u64,
        needed: len as u64,
        available: bytes.len().saturating_sub(offset) as u64,
    })
}

/// `N` bytes from `offset` on, by value.
pub fn array<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], OutOfRange> {
    let mut out = [0; N];
    // The slice has exactly N bytes, so the copy cannot panic.
    out.copy_from_slice(slice(bytes, offset, N)?);
    Ok(out)
}

/// A little-endian 16-bit number at `offset`.
pub fn le_u16(bytes: &[u8], offset: usize) -> Result<u16, OutOfRange> {
    array(bytes, offset).map(u16::from_le_bytes)
}

/// A little-endian 32-bit number at `offset`.
pub fn le_u32(bytes: &[u8], offset: usize) -> Result<u32, OutOfRange> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// A little-endian 64-bit number at `offset`.
pub fn le_u64(bytes: &[u8], offset: usize) -> Result<u64, OutOfRange> {
    array(bytes, offset).map(u64::from_le_bytes)
}

/// Bytes that [`are_zero`] looks at: nearly all of an entry array, and of a signature partition, is zeros.
pub(crate) const STEP: usize = 64;

/// Whether all of them are zero. In few instructions, where a C library without vectors compares byte by byte.
pub(crate) fn are_zero(step: &[u8; STEP]) -> bool {
    let or = |all: u128, part: &[u8; 16]| all | u128::from_ne_bytes(*part);
    matches!(step.as_chunks().0, [a, b, c, d] if or(or(or(or(0, a), b), c), d) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(le_u16(&bytes, 1), Ok(0x0302));
        assert_eq!(le_u32(&bytes, 1), Ok(0x0504_0302));
        assert_eq!(le_u64(&bytes, 1), Ok(0x0908_0706_0504_0302));
    }

    #[test]
    fn a_read_past_the_end_says_where_and_how_much() {
        let bytes = [0; 4];
        assert_eq!(le_u32(&bytes, 2), Err(OutOfRange { offset: 2, needed: 4, available: 2 }));
        assert_eq!(le_u64(&bytes, 9), Err(OutOfRange { offset: 9, needed: 8, available: 0 }));
        assert_eq!(slice(&bytes, usize::MAX, 2), Err(OutOfRange { offset: u64::MAX, needed: 2, available: 0 }));
    }
}
