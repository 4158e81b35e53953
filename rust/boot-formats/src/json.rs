// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON (RFC 8259), as far as it takes to read what other programs wrote about themselves: LUKS2 metadata, signed policies.
//!
//! A text is checked whole, once; a [`Value`] is a view into it. Nothing is copied, so that whatever is looked up is looked for
//! again in the text: right for some kilobytes, wrong for more. Stricter than JSON where two readers could differ: no escapes in a member's
//! name, none in a string that is read, no member twice where one is looked up, no number but plain integers where one is
//! read. A text nests at most [`MAX_DEPTH`] deep.
//!
//! By hand, because serde-json-core reads no object whose members' names are not known when the program is compiled.

use core::fmt;

mod check;

/// Deepest nesting. What is read here nests five deep; more would only be skipped.
pub const MAX_DEPTH: usize = 32;

/// Why a text, or something in it, is refused. Offsets count bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The text ends inside a value.
    Truncated {
        /// Where.
        offset: usize,
    },
    /// A byte that cannot stand there.
    Unexpected {
        /// Where.
        offset: usize,
        /// The byte.
        found: u8,
        /// What can stand there.
        expected: &'static str,
    },
    /// More than [`MAX_DEPTH`] values inside each other.
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// A backslash in a member's name, or in a string that is read.
    Escape {
        /// Where the string starts.
        offset: usize,
    },
    /// A string that is not UTF-8.
    Encoding {
        /// Where the string starts.
        offset: usize,
    },
    /// A value of another kind.
    Kind {
        /// Where it starts.
        offset: usize,
        /// The kind that is wanted.
        expected: &'static str,
    },
    /// A member for the second time.
    Duplicate {
        /// Where its value starts.
        offset: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { offset } => write!(f, "text ends at byte {offset}, inside a value"),
            Self::Unexpected { offset, found, expected } => {
                write!(f, "at byte {offset}: found '{}', expected {expected}", found.escape_ascii())
            }
            Self::TooDeep { offset } => write!(f, "at byte {offset}: more than {MAX_DEPTH} values inside each other"),
            Self::Escape { offset } => write!(f, "at byte {offset}: an escape in a string"),
            Self::Encoding { offset } => write!(f, "at byte {offset}: a string that is not UTF-8"),
            Self::Kind { offset, expected } => write!(f, "at byte {offset}: expected {expected}"),
            Self::Duplicate { offset } => write!(f, "at byte {offset}: a member for the second time"),
        }
    }
}

impl core::error::Error for Error {}

/// The value at the start of a text, and the offset of the first byte behind it, which is not looked at.
///
/// # Errors
/// Whatever keeps the value from being JSON; see [`Error`].
pub fn parse(text: &[u8]) -> Result<(Value<'_>, usize), Error> {
    let mut cursor = check::Cursor::new(text);
    let value = cursor.value()?;
    Ok((value, cursor.offset()))
}

/// A value in a text that was found to be JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// From its first byte to its last.
    text: &'a [u8],
    /// Of its first byte, in the whole text.
    offset: usize,
}

impl<'a> Value<'a> {
    /// Where it starts.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Its bytes.
    #[must_use]
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }

    const fn is_not(&self, expected: &'static str) -> Error {
        Error::Kind { offset: self.offset, expected }
    }

    /// The members of an object, in their order, also those whose name is there twice.
    ///
    /// # Errors
    /// It is no object.
    pub fn members(&self) -> Result<Members<'a>, Error> {
        match self.text {
            [b'{', inner @ .., b'}'] => Ok(Members(check::Cursor::inside(inner, self.offset))),
            _ => Err(self.is_not("an object")),
        }
    }

    /// The elements of an array.
    ///
    /// # Errors
    /// It is no array.
    pub fn elements(&self) -> Result<Elements<'a>, Error> {
        match self.text {
            [b'[', inner @ .., b']'] => Ok(Elements(check::Cursor::inside(inner, self.offset))),
            _ => Err(self.is_not("an array")),
        }
    }

    /// The member of this name, if there is one.
    ///
    /// # Errors
    /// It is no object, or has two members of this name.
    pub fn member(&self, name: &str) -> Result<Option<Value<'a>>, Error> {
        let mut found = None;
        for (_, value) in self.members()?.filter(|(member, _)| *member == name) {
            if found.replace(value).is_some() {
                return Err(Error::Duplicate { offset: value.offset });
            }
        }
        Ok(found)
    }

    /// A string's characters.
    ///
    /// # Errors
    /// It is no string, or one with an escape, or not UTF-8.
    pub fn string(&self) -> Result<&'a str, Error> {
        match self.text {
            [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => Err(Error::Escape { offset: self.offset }),
            [b'"', inner @ .., b'"'] => {
                core::str::from_utf8(inner).map_err(|_| Error::Encoding { offset: self.offset })
            }
            _ => Err(self.is_not("a string")),
        }
    }

    /// A number without sign, fraction and exponent.
    ///
    /// # Errors
    /// It is nothing of the kind, or does not fit into 64 bits.
    pub fn unsigned(&self) -> Result<u64, Error> {
        decimal(self.text).ok_or(self.is_not("an integer from 0 to 2^64 - 1"))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// It is something else.
    pub fn boolean(&self) -> Result<bool, Error> {
        match self.text {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(self.is_not("true or false")),
        }
    }
}

/// A number that is written as JSON and printf do: digits, no zero before others.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    let is_plain = match digits {
        [b'0', _, ..] | [] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    };
    if !is_plain {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0'))))
}

/// Names and values of an object's members.
#[derive(Clone, Debug)]
pub struct Members<'a>(check::Cursor<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    // The text was checked: what is no member here is its end.
    fn next(&mut self) -> Option<Self::Item> {
        self.0.skip_comma();
        let name = self.0.name().ok()?;
        Some((name, self.0.value().ok()?))
    }
}

/// Values of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a>(check::Cursor<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.skip_comma();
        self.0.value().ok()
    }
}
