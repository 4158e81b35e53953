// SPDX-License-Identifier: MIT OR Apache-2.0
//! The identity inside an image: what a boot needs of os-release(5).
//!
//! Four keys are read; a value is either bare, or in one pair of quotes: `'...'` literally, `"..."` with `\` before `$`,
//! `"`, `\` and a backquote. Anything else about a key that is read is refused, and so is the key a second time: two
//! readers must not see two identities.
//!
//! Of other lines only one thing is wanted, that they end where they seem to. systemd's parser (src/basic/env-file.c) and
//! the shell go on to the next line after a `\` and inside quotes, and systemd ends a line at a carriage return too; a
//! line where that would matter is refused, whatever its key. An apostrophe in a comment is none of these.

use crate::version::MAX_VERSION;
use core::fmt;
use heapless::String;

/// Most bytes of a file that is read.
pub const MAX_FILE: usize = 64 * 1024;

/// What an image says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `IMAGE_ID`: which image.
    pub image_id: Option<String<64>>,
    /// `IMAGE_VERSION`: which version of it.
    pub image_version: Option<String<MAX_VERSION>>,
    /// `INITOVERLAYFS_EPOCH`: raised only by a security decision.
    pub epoch: Option<u64>,
    /// `PORTABLE_PREFIXES` is there: a portable service, not a boot image.
    pub portable: bool,
}

/// A key that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `IMAGE_ID`
    ImageId,
    /// `IMAGE_VERSION`
    ImageVersion,
    /// `INITOVERLAYFS_EPOCH`
    Epoch,
    /// `PORTABLE_PREFIXES`
    PortablePrefixes,
}

impl Key {
    const ALL: [Self; 4] = [Self::ImageId, Self::ImageVersion, Self::Epoch, Self::PortablePrefixes];

    const fn name(self) -> &'static str {
        match self {
            Self::ImageId => "IMAGE_ID",
            Self::ImageVersion => "IMAGE_VERSION",
            Self::Epoch => "INITOVERLAYFS_EPOCH",
            Self::PortablePrefixes => "PORTABLE_PREFIXES",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More bytes than [`MAX_FILE`].
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not UTF-8.
    Text {
        /// Where.
        offset: usize,
    },
    /// A line with a carriage return, which ends it for some readers.
    CarriageReturn {
        /// Line, from 1.
        line: u32,
    },
    /// A line that ends in a backslash, which joins it to the next for some readers.
    TrailingBackslash {
        /// Line, from 1.
        line: u32,
    },
    /// A line that ends inside quotes, which joins it to the next for some readers.
    UnterminatedQuote {
        /// Line, from 1.
        line: u32,
    },
    /// A key for the second time.
    Duplicate {
        /// Line, from 1.
        line: u32,
        /// Which.
        key: Key,
    },
    /// A value that breaks the rules of quoting, or has a control character.
    Quoting {
        /// Line, from 1.
        line: u32,
        /// Of which key.
        key: Key,
    },
    /// A value longer than there is room for.
    TooLong {
        /// Line, from 1.
        line: u32,
        /// Of which key.
        key: Key,
        /// Most bytes of its value.
        limit: usize,
    },
    /// `INITOVERLAYFS_EPOCH` is not a decimal number below 2^64.
    Epoch {
        /// Line, from 1.
        line: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("os-release: ")?;
        match self {
            Self::TooLarge { found } => write!(f, "{found} bytes, at most {MAX_FILE} are read"),
            Self::Text { offset } => write!(f, "at byte {offset}: not UTF-8"),
            Self::CarriageReturn { line } => write!(f, "line {line}: a carriage return"),
            Self::TrailingBackslash { line } => write!(f, "line {line}: ends in a backslash"),
            Self::UnterminatedQuote { line } => write!(f, "line {line}: ends inside quotes"),
            Self::Duplicate { line, key } => write!(f, "line {line}: second {key}"),
            Self::Quoting { line, key } => write!(f, "line {line}: {key} is not properly quoted"),
            Self::TooLong { line, key, limit } => {
                write!(f, "line {line}: {key} is longer than {limit} bytes")
            }
            Self::Epoch { line } => write!(f, "line {line}: INITOVERLAYFS_EPOCH is not a number"),
        }
    }
}

impl core::error::Error for Error {}

/// Parses a whole file.
///
/// # Errors
/// See [`Error`].
pub fn parse(text: &[u8]) -> Result<OsRelease, Error> {
    if text.len() > MAX_FILE {
        return Err(Error::TooLarge { found: text.len() });
    }
    let text = core::str::from_utf8(text).map_err(|error| Error::Text { offset: error.valid_up_to() })?;
    let mut found = OsRelease::default();
    for (line, content) in (1..).zip(text.split('\n')) {
        check_ends(content, line)?;
        // systemd skips leading white space; a reader that did not would miss an IMAGE_ID.
        let assignment = content.trim_start().split_once('=');
        let Some((key, value)) =
            assignment.and_then(|(name, value)| Some((Key::ALL.into_iter().find(|key| key.name() == name)?, value)))
        else {
            continue;
        };
        let duplicate = Error::Duplicate { line, key };
        match key {
            Key::ImageId => set(&mut found.image_id, unquote(value, line, key)?, duplicate)?,
            Key::ImageVersion => set(&mut found.image_version, unquote(value, line, key)?, duplicate)?,
            Key::Epoch => {
                let digits = unquote::<20>(value, line, key)?;
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
                let epoch = digits.parse().ok().filter(|_| is_number).ok_or(Error::Epoch { line })?;
                set(&mut found.epoch, epoch, duplicate)?;
            }
            Key::PortablePrefixes if found.portable => return Err(duplicate),
            Key::PortablePrefixes => found.portable = true,
        }
    }
    Ok(found)
}

/// Whether every reader sees the line end where it ends.
fn check_ends(content: &str, line: u32) -> Result<(), Error> {
    if content.contains('\r') {
        return Err(Error::CarriageReturn { line });
    }
    // In comments too: systemd before version 254 joined them.
    if content.ends_with('\\') {
        return Err(Error::TrailingBackslash { line });
    }
    if content.trim_start_matches([' ', '\t']).starts_with('#') {
        return Ok(());
    }
    // Each side by itself: quotes of a key mean nothing to systemd, and must not hide those of its value.
    let (key, value) = content.split_once('=').unwrap_or((content, ""));
    if ends_in_quotes(key) || ends_in_quotes(value) { Err(Error::UnterminatedQuote { line }) } else { Ok(()) }
}

/// As a shell reads it. systemd sees quotes only where a value or the next piece of it starts, so fewer of them.
fn ends_in_quotes(text: &str) -> bool {
    let mut open = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (open, c) {
            (None | Some('"'), '\\') => drop(rest.next()),
            (None, '"' | '\'') => open = Some(c),
            (Some(quote), _) if quote == c => open = None,
            _ => {}
        }
    }
    open.is_some()
}

fn set<T>(place: &mut Option<T>, value: T, duplicate: Error) -> Result<(), Error> {
    match place.replace(value) {
        Some(_) => Err(duplicate),
        None => Ok(()),
    }
}

fn unquote<const N: usize>(value: &str, line: u32, key: Key) -> Result<String<N>, Error> {
    let quoting = Error::Quoting { line, key };
    let mut out = String::new();
    let mut push = |c: char| match out.push(c) {
        _ if c.is_control() => Err(quoting),
        Ok(()) => Ok(()),
        Err(_) => Err(Error::TooLong { line, key, limit: N }),
    };
    let value = value.trim_end_matches([' ', '\t']);
    let mut rest = value.chars();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            rest.next();
            loop {
                match rest.next().ok_or(quoting)? {
                    c if c == quote => break,
                    '\\' if quote == '"' => match rest.next() {
                        Some(c @ ('$' | '"' | '\\' | '`')) => push(c)?,
                        _ => return Err(quoting),
                    },
                    '$' | '`' if quote == '"' => return Err(quoting),
                    c => push(c)?,
                }
            }
            match rest.next() {
                Some(_) => Err(quoting),
                None => Ok(out),
            }
        }
        _ => {
            for c in rest {
                // A shell would read more into anything else.
                let plain =
                    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '^' | '+' | ':' | '/' | ',');
                if !plain {
                    return Err(quoting);
                }
                push(c)?;
            }
            Ok(out)
        }
    }
}
