// SPDX-License-Identifier: MIT OR Apache-2.0
//! The salt of the hash tree, as given on the command line.

use boot_formats::verity::{MAX_SALT, Superblock};

/// At most 256 bytes, which is what a verity superblock has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salt(Vec<u8>);

/// Why a text is no salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two digits make a byte.
    #[error("expected an even number of hexadecimal digits, found {found}")]
    Odd {
        /// Digits given.
        found: usize,
    },
    /// More than fits the superblock.
    #[error("expected at most {MAX_SALT} bytes, found {found}")]
    TooLong {
        /// Bytes given.
        found: usize,
    },
    /// Something that is no digit.
    #[error("expected hexadecimal digits, found '{}' at character {offset}", found.escape_ascii())]
    Digit {
        /// Where in the text.
        offset: usize,
        /// What is there.
        found: u8,
    },
}

impl Salt {
    /// A derived salt.
    #[must_use]
    pub fn derived(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// The salt of an image that is there.
    #[must_use]
    pub fn of(superblock: &Superblock) -> Self {
        Self(superblock.salt.to_vec())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::str::FromStr for Salt {
    type Err = Error;

    /// Hexadecimal digits; `-` for no salt at all, as `veritysetup` has it.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "-" {
            return Ok(Self(Vec::new()));
        }
        let digits = text
            .bytes()
            .enumerate()
            .map(|(offset, found)| match char::from(found).to_digit(16).map(u8::try_from) {
                Some(Ok(value)) => Ok(value),
                _ => Err(Error::Digit { offset, found }),
            })
            .collect::<Result<Vec<u8>, _>>()?;
        let (pairs, rest) = digits.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Error::Odd { found: digits.len() });
        }
        if pairs.len() > MAX_SALT {
            return Err(Error::TooLong { found: pairs.len() });
        }
        Ok(Self(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Salt};

    #[test]
    fn texts_and_their_salts() {
        assert_eq!("0aFf".parse(), Ok(Salt(vec![0x0a, 0xff])));
        assert_eq!("-".parse(), Ok(Salt(vec![])));
        assert_eq!("".parse(), Ok(Salt(vec![])));
        assert_eq!("abc".parse::<Salt>(), Err(Error::Odd { found: 3 }));
        assert_eq!("0x12".parse::<Salt>(), Err(Error::Digit { offset: 1, found: b'x' }));
        assert_eq!("00".repeat(257).parse::<Salt>(), Err(Error::TooLong { found: 257 }));
    }
}
