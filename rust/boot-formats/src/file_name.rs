// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of images: `NAME_VERSION[+LEFT[-DONE]].raw` as a file (UAPI.3 "Naming", UAPI.1 "Boot counting"), the same
//! without `.raw` as the label of a DDI partition.
//!
//! The last `_` divides, because a version in a name has none and a name may. So `x_1.0_arm64.raw`, systemd's form with
//! an architecture, is version `arm64` of an image `x_1.0`, whose name nobody configures.
//!
//! A name is a hint for the order of candidates: what an image is, its own os-release says.

use crate::version::{self, MAX_VERSION};
use core::fmt;

/// Most characters of an image's name (`IMAGE_ID`).
pub const MAX_NAME: usize = 64;

const SUFFIX: &str = ".raw";

/// A name taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageName<'a> {
    /// Which image: compare it with the configured one.
    pub name: &'a str,
    /// Which version it claims to be.
    pub version: &'a str,
    /// Boot counting, if the name takes part in it.
    pub tries: Option<Tries>,
}

/// Boot counting in a name (UAPI.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Boots still to be tried; 0 is an image known to be bad.
    pub left: u32,
    /// Boots tried without success.
    pub done: u32,
}

/// Why a name is not an image's. Offsets count bytes of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Does not end in `.raw`.
    Suffix,
    /// No `_` between name and version.
    NoVersion,
    /// Nothing before the `_`, or more than [`MAX_NAME`] characters.
    NameLength {
        /// Characters it has.
        found: usize,
    },
    /// A character that an image's name cannot have there: letters, digits, `.`, `_`, `-`, and no `.` first.
    NameCharacter {
        /// Where.
        offset: usize,
    },
    /// No version after the `_`, or one above [`MAX_VERSION`] characters.
    VersionLength {
        /// Characters it has.
        found: usize,
    },
    /// A character that a version in a name cannot have: letters, digits, `-`, `.`, `~`, `^`.
    VersionCharacter {
        /// Where.
        offset: usize,
    },
    /// What follows the `+` is not LEFT or LEFT-DONE, decimal and below 2^32.
    Tries {
        /// Where the `+` is.
        offset: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("image name: ")?;
        match self {
            Self::Suffix => f.write_str("does not end in .raw"),
            Self::NoVersion => f.write_str("no '_' before a version"),
            Self::NameLength { found } => write!(f, "name of {found} characters, expected 1 to {MAX_NAME}"),
            Self::NameCharacter { offset } => write!(f, "at character {offset}: not allowed in a name"),
            Self::VersionLength { found } => {
                write!(f, "version of {found} characters, expected 1 to {MAX_VERSION}")
            }
            Self::VersionCharacter { offset } => write!(f, "at character {offset}: not allowed in a version"),
            Self::Tries { offset } => write!(f, "at character {offset}: expected +LEFT or +LEFT-DONE"),
        }
    }
}

impl core::error::Error for Error {}

/// Whether a text can be an image's name (`IMAGE_ID`): one to [`MAX_NAME`] letters, digits, `.`, `_`, `-`, and no `.`
/// first, since that hides a file.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    check_name(name).is_ok()
}

fn check_name(name: &str) -> Result<(), Error> {
    if !(1..=MAX_NAME).contains(&name.len()) {
        return Err(Error::NameLength { found: name.len() });
    }
    let allowed = |(offset, byte): (usize, u8)| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && offset > 0)
    };
    match name.bytes().enumerate().find(|at| !allowed(*at)) {
        Some((offset, _)) => Err(Error::NameCharacter { offset }),
        None => Ok(()),
    }
}

/// Parses the name of a file, without directories. The suffix may be of any case, as vfat may give it back.
///
/// # Errors
/// See [`Error`].
pub fn parse(file_name: &str) -> Result<ImageName<'_>, Error> {
    let start = file_name.len().checked_sub(SUFFIX.len()).ok_or(Error::Suffix)?;
    match file_name.split_at_checked(start) {
        Some((stem, suffix)) if suffix.eq_ignore_ascii_case(SUFFIX) => parse_label(stem),
        _ => Err(Error::Suffix),
    }
}

/// Parses the label of a DDI partition.
///
/// # Errors
/// See [`Error`]; never [`Error::Suffix`].
pub fn parse_label(label: &str) -> Result<ImageName<'_>, Error> {
    let (name, rest) = label.rsplit_once('_').ok_or(Error::NoVersion)?;
    check_name(name)?;
    let version_start = name.len().saturating_add(1);
    let (version, counters) = match rest.split_once('+') {
        Some((version, counters)) => (version, Some(counters)),
        None => (rest, None),
    };
    if let Some(at) = version.bytes().position(|byte| !version::is_version_byte(byte)) {
        return Err(Error::VersionCharacter { offset: version_start.saturating_add(at) });
    }
    if !version::is_valid(version) {
        return Err(Error::VersionLength { found: version.len() });
    }
    let tries = match counters {
        Some(counters) => {
            let offset = version_start.saturating_add(version.len());
            Some(parse_tries(counters).ok_or(Error::Tries { offset })?)
        }
        None => None,
    };
    Ok(ImageName { name, version, tries })
}

fn parse_tries(counters: &str) -> Option<Tries> {
    // FromStr would take a second '+'.
    let number = |text: &str| if text.starts_with('+') { None } else { text.parse().ok() };
    let (left, done) = match counters.split_once('-') {
        Some((left, done)) => (number(left)?, number(done)?),
        None => (number(counters)?, 0),
    };
    Some(Tries { left, done })
}
