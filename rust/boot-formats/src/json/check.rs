// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a text is JSON: once over it, without recursion.

use super::{Error, MAX_DEPTH, Value};
use heapless::Vec;

/// What is open around the value that is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// A place in a text.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// Of the first byte of `text`, in the whole text.
    base: usize,
}

impl<'a> Cursor<'a> {
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, base: 0 }
    }

    /// Behind the first byte of the object or array at `outer`.
    pub const fn inside(text: &'a [u8], outer: usize) -> Self {
        Self { text, at: 0, base: outer.saturating_add(1) }
    }

    pub const fn offset(&self) -> usize {
        self.base.saturating_add(self.at)
    }

    /// Over the comma before a member or element that is not the first.
    pub fn skip_comma(&mut self) {
        if self.peek() == Ok(b',') {
            self.step();
        }
    }

    /// A value, whole; the cursor is behind it.
    pub fn value(&mut self) -> Result<Value<'a>, Error> {
        self.peek()?;
        let (start, offset) = (self.at, self.offset());
        let mut open: Vec<Container, MAX_DEPTH> = Vec::new();
        loop {
            if let Some(container) = self.begin()? {
                open.push(container).map_err(|_| Error::TooDeep { offset: self.offset() })?;
                continue;
            }
            // A value is over, and with it maybe those around it.
            loop {
                let Some(container) = open.last() else {
                    return Ok(Value { text: self.text.get(start..self.at).unwrap_or_default(), offset });
                };
                match (self.peek()?, container) {
                    (b',', Container::Object) => {
                        self.step();
                        self.name()?;
                        break;
                    }
                    (b',', Container::Array) => {
                        self.step();
                        break;
                    }
                    (b'}', Container::Object) | (b']', Container::Array) => {
                        self.step();
                        open.pop();
                    }
                    (_, Container::Object) => return Err(self.unexpected("',' or '}'")),
                    (_, Container::Array) => return Err(self.unexpected("',' or ']'")),
                }
            }
        }
    }

    /// Goes to the first value inside an object or array, which it gives; over any other value, and over an empty one.
    fn begin(&mut self) -> Result<Option<Container>, Error> {
        match self.peek()? {
            b'{' => {
                self.step();
                if self.peek()? == b'}' {
                    self.step();
                    return Ok(None);
                }
                self.name()?;
                Ok(Some(Container::Object))
            }
            b'[' => {
                self.step();
                if self.peek()? == b']' {
                    self.step();
                    return Ok(None);
                }
                Ok(Some(Container::Array))
            }
            b'"' => self.string().map(|_| None),
            b'-' | b'0'..=b'9' => self.number().map(|()| None),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// A member's name, and the colon behind it.
    pub fn name(&mut self) -> Result<&'a str, Error> {
        if self.peek()? != b'"' {
            return Err(self.unexpected("a member"));
        }
        let offset = self.offset();
        let name = self.string()?;
        if name.contains(&b'\\') {
            return Err(Error::Escape { offset });
        }
        let name = core::str::from_utf8(name).map_err(|_| Error::Encoding { offset })?;
        if self.peek()? != b':' {
            return Err(self.unexpected("':'"));
        }
        self.step();
        Ok(name)
    }

    /// What stands between the quotes.
    fn string(&mut self) -> Result<&'a [u8], Error> {
        self.step();
        let start = self.at;
        loop {
            // Nearly all of it needs no look of its own.
            self.at = self.at.saturating_add(plain(self.text.get(self.at..).unwrap_or_default()));
            match self.byte()? {
                b'"' => {
                    let inner = self.text.get(start..self.at).unwrap_or_default();
                    self.step();
                    return Ok(inner);
                }
                b'\\' => {
                    self.step();
                    self.escape()?;
                }
                _ => return Err(self.unexpected("a character or its escape")),
            }
        }
    }

    /// Behind the backslash.
    fn escape(&mut self) -> Result<(), Error> {
        match self.byte()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.step(),
            b'u' => {
                self.step();
                for _ in 0..4 {
                    if !self.byte()?.is_ascii_hexdigit() {
                        return Err(self.unexpected("a hexadecimal digit"));
                    }
                    self.step();
                }
            }
            _ => return Err(self.unexpected("an escape")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.byte()? == b'-' {
            self.step();
        }
        if self.byte()? == b'0' {
            self.step();
        } else {
            self.digits()?;
        }
        if self.next_is(|byte| byte == b'.') {
            self.step();
            self.digits()?;
        }
        if self.next_is(|byte| matches!(byte, b'e' | b'E')) {
            self.step();
            if self.next_is(|byte| matches!(byte, b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        if self.next_is(|byte| byte.is_ascii_digit()) { Err(self.unexpected("the end of a number")) } else { Ok(()) }
    }

    /// One or more.
    fn digits(&mut self) -> Result<(), Error> {
        if !self.byte()?.is_ascii_digit() {
            return Err(self.unexpected("a digit"));
        }
        while self.next_is(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<Option<Container>, Error> {
        for expected in word {
            if self.byte()? != *expected {
                return Err(self.unexpected("true, false or null"));
            }
            self.step();
        }
        Ok(None)
    }

    fn next_is(&self, is: impl Fn(u8) -> bool) -> bool {
        self.text.get(self.at).is_some_and(|byte| is(*byte))
    }

    /// The byte at the cursor.
    fn byte(&self) -> Result<u8, Error> {
        self.text.get(self.at).copied().ok_or(Error::Truncated { offset: self.offset() })
    }

    /// The first byte that is no white space; the cursor is at it.
    fn peek(&mut self) -> Result<u8, Error> {
        while self.next_is(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.step();
        }
        self.byte()
    }

    /// Only over a byte that was seen to be there.
    const fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn unexpected(&self, expected: &'static str) -> Error {
        let offset = self.offset();
        self.byte().map_or(Error::Truncated { offset }, |found| Error::Unexpected { offset, found, expected })
    }
}

/// How many bytes from the first on are neither the end of a string, nor an escape, nor anything that may not be in one. Eight bytes
/// a step: a signature is a string of a thousand and more.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = ONES << 7;
    /// Whether a byte of the eight is below this one, which is at most 128.
    const fn has_below(eight: u64, limit: u8) -> bool {
        eight.wrapping_sub(ONES.wrapping_mul(limit as u64)) & !eight & HIGHEST != 0
    }
    const fn has(eight: u64, byte: u8) -> bool {
        has_below(eight ^ ONES.wrapping_mul(byte as u64), 1)
    }
    let is_plain = |eight: &&[u8; 8]| {
        let eight = u64::from_ne_bytes(**eight);
        !has(eight, b'"') && !has(eight, b'\\') && !has_below(eight, b' ')
    };
    let (eights, _) = text.as_chunks::<8>();
    let whole = eights.iter().take_while(is_plain).count().saturating_mul(8);
    let rest = text.get(whole..).unwrap_or_default();
    whole.saturating_add(rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..b' ')).count())
}
