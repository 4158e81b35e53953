// SPDX-License-Identifier: MIT OR Apache-2.0
//! GUIDs as GPT stores them (UEFI 2.10, appendix A): the first three fields little-endian, the rest as in the text.

use core::fmt;

/// A GUID in the byte order of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// Why a text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not 36 characters.
    Length {
        /// Bytes the text has.
        found: usize,
    },
    /// A character that is neither the dash nor the hexadecimal digit expected there.
    Character {
        /// Byte offset in the text.
        offset: usize,
        /// The byte there.
        found: u8,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(f, "guid: {found} characters, expected 36"),
            Self::Character { offset, found } => {
                write!(f, "guid: at character {offset}: unexpected '{}'", found.escape_ascii())
            }
        }
    }
}

impl core::error::Error for Error {}

/// Between the order of the text and the order of the disk; its own inverse.
const fn swap_fields(bytes: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

impl Guid {
    /// The all-zero GUID: in GPT the type of an entry that is not in use.
    pub const ZERO: Self = Self([0; 16]);

    /// From the 16 bytes of a GPT header or entry.
    #[must_use]
    pub const fn from_disk(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of a GPT header or entry.
    #[must_use]
    pub const fn to_disk(self) -> [u8; 16] {
        self.0
    }

    /// From 16 bytes in the order of the text (RFC 9562, "network order").
    #[must_use]
    pub const fn from_uuid_bytes(bytes: [u8; 16]) -> Self {
        Self(swap_fields(bytes))
    }

    /// The 16 bytes in the order of the text (RFC 9562, "network order").
    #[must_use]
    pub const fn to_uuid_bytes(self) -> [u8; 16] {
        swap_fields(self.0)
    }

    /// For constants: the digits of the text as one number, `0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b`.
    #[must_use]
    pub const fn from_u128(digits: u128) -> Self {
        Self::from_uuid_bytes(digits.to_be_bytes())
    }

    /// From the 36 characters of the text form, either case.
    pub const fn parse(text: &str) -> Result<Self, Error> {
        let mut digits: u128 = 0;
        let mut offset: usize = 0;
        let mut rest = text.as_bytes();
        if rest.len() != 36 {
            return Err(Error::Length { found: rest.len() });
        }
        while let [byte, tail @ ..] = rest {
            let byte = *byte;
            let value = match (offset, byte) {
                (8 | 13 | 18 | 23, b'-') => None,
                (8 | 13 | 18 | 23, found) => return Err(Error::Character { offset, found }),
                (_, b'0'..=b'9') => Some(byte.wrapping_sub(b'0')),
                (_, b'a'..=b'f') => Some(byte.wrapping_sub(b'a' - 10)),
                (_, b'A'..=b'F') => Some(byte.wrapping_sub(b'A' - 10)),
                (_, found) => return Err(Error::Character { offset, found }),
            };
            if let Some(value) = value {
                digits = digits << 4 | value as u128;
            }
            offset = offset.wrapping_add(1);
            rest = tail;
        }
        Ok(Self::from_u128(digits))
    }
}

impl fmt::Display for Guid {
    /// The 36 characters in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.to_uuid_bytes().iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    extern crate std;
    use super::*;
    use std::string::ToString;

    const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
    // As sfdisk writes it.
    const ESP_ON_DISK: [u8; 16] =
        [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

    #[test]
    fn text_disk_and_number_agree() {
        let guid = Guid::parse(ESP).unwrap();
        assert_eq!(guid.to_disk(), ESP_ON_DISK);
        assert_eq!(guid, Guid::from_u128(0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b));
        assert_eq!(guid, Guid::from_uuid_bytes(guid.to_uuid_bytes()));
        assert_eq!(guid.to_string(), ESP);
        assert_eq!(Guid::parse(&ESP.to_uppercase()), Ok(guid));
    }

    #[test]
    fn bad_texts() {
        for (text, error, line) in [
            ("c12a7328", Error::Length { found: 8 }, "guid: 8 characters, expected 36"),
            (
                "c12a7328xf81f-11d2-ba4b-00a0c93ec93b",
                Error::Character { offset: 8, found: b'x' },
                "guid: at character 8: unexpected 'x'",
            ),
            (
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93\n",
                Error::Character { offset: 35, found: b'\n' },
                "guid: at character 35: unexpected '\\n'",
            ),
        ] {
            assert_eq!(Guid::parse(text), Err(error), "{text}");
            assert_eq!(error.to_string(), line);
        }
    }
}
