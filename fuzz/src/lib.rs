// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fuzz targets share.
//!
//! * A target asserts what must be so of everything that a parser accepts: views lie inside the input, what is printed
//!   again is read as the same, a second reader sees nothing else. That nothing panics or reads outside goes without saying.
//! * A target takes any bytes; where it needs several pieces, [`Input`] cuts them off the front.
//! * No I/O, no time, no randomness: an input that was found bad is bad again.

/// Pieces of the fuzzer's input, off its front.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Over the whole input.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `N` bytes, if there are as many.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The next number, little-endian.
    pub fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Up to `len` bytes, with zeros behind them up to `len`.
    pub fn padded(&mut self, len: usize) -> Vec<u8> {
        let (head, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        let mut bytes = head.to_vec();
        bytes.resize(len, 0);
        bytes
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// The CRC of GPT, by an implementation that is not ours.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
}

/// Where `part` starts in `whole`.
///
/// # Panics
/// It does not lie inside.
pub fn position(whole: &[u8], part: &[u8]) -> usize {
    let (outer, inner) = (whole.as_ptr_range(), part.as_ptr_range());
    assert!(outer.start <= inner.start && inner.end <= outer.end, "a view of {} bytes lies outside", part.len());
    inner.start.addr() - outer.start.addr()
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_cut_off_the_front() {
        let mut input = Input::new(&[1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 8]);
        assert_eq!(input.byte(), Some(1));
        assert_eq!(input.number(), Some(2));
        assert_eq!(input.padded(3), [7, 8, 0]);
        assert_eq!((input.byte(), input.rest()), (None, &[][..]));
    }

    #[test]
    fn crc_is_that_of_gpt() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    #[should_panic(expected = "a view of 2 bytes lies outside")]
    fn a_view_outside_is_found() {
        let bytes = [0; 4];
        position(&bytes[..3], &bytes[2..]);
    }
}
