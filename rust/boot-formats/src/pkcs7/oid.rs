// SPDX-License-Identifier: MIT OR Apache-2.0
//! Object identifiers for messages (X.690, section 8.19).

use core::fmt;

/// Most bytes that are kept; every algorithm's identifier that is in use is shorter.
const MAX: usize = 16;

/// An object identifier that was found, to be printed as numbers with dots. Only the first 16 bytes of its contents are
/// kept; `...` stands for what does not fit, so print it, and compare the contents themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oid {
    bytes: [u8; MAX],
    len: usize,
}

impl Oid {
    /// From the contents of the DER value.
    #[must_use]
    pub fn new(contents: &[u8]) -> Self {
        let mut bytes = [0; MAX];
        for (to, from) in bytes.iter_mut().zip(contents) {
            *to = *from;
        }
        Self { bytes, len: contents.len() }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Seven bits in each byte; 16 bytes of them fit.
        let (mut number, mut is_first) = (0_u128, true);
        for byte in self.bytes.iter().take(self.len) {
            number = number << 7 | u128::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if is_first {
                // The first two numbers are one: 40 times the first, which is 0, 1 or 2, and the second.
                let root = (number / 40).min(2);
                write!(f, "{root}.{}", number.saturating_sub(root.saturating_mul(40)))?;
            } else {
                write!(f, ".{number}")?;
            }
            (number, is_first) = (0, false);
        }
        if self.len > MAX { f.write_str("...") } else { Ok(()) }
    }
}
