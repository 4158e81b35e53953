// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel uevents (lib/kobject_uevent.c): what a NETLINK_KOBJECT_UEVENT socket delivers, and what the `uevent` file
//! of a device in sysfs holds.
//!
//! A message is `ACTION@DEVPATH`, then `KEY=VALUE` pairs, each ended by a NUL byte. Keys not named in [`Uevent`] are
//! skipped. Who sent a message is the socket's business: take only those from port 0, the kernel.

use core::fmt;

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is there.
    Add,
    /// It is another now, such as a loop device that got its file.
    Change,
    /// It is gone.
    Remove,
    /// Anything else: move, online, offline, bind, unbind.
    Other,
}

impl Action {
    fn of(name: &str) -> Self {
        match name {
            "add" => Self::Add,
            "change" => Self::Change,
            "remove" => Self::Remove,
            _ => Self::Other,
        }
    }
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uevent<'a> {
    /// What happened.
    pub action: Action,
    /// The device's path below `/sys`.
    pub devpath: &'a str,
    /// Its subsystem, `block` for disks; not in a sysfs `uevent` file.
    pub subsystem: Option<&'a str>,
    /// Its name below `/dev`.
    pub devname: Option<&'a str>,
    /// `disk` or `partition` for block devices.
    pub devtype: Option<&'a str>,
    /// Device number, major part.
    pub major: Option<u32>,
    /// Device number, minor part.
    pub minor: Option<u32>,
    /// Number of the disk since boot, never used twice.
    pub diskseq: Option<u64>,
    /// Number of the partition, from 1.
    pub partn: Option<u32>,
}

/// Why a message is refused. Offsets count bytes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Sent by udev and not by the kernel.
    Libudev,
    /// Does not end in a NUL byte: cut off.
    Truncated {
        /// Bytes it has.
        found: usize,
    },
    /// Does not start with `ACTION@DEVPATH`.
    Header,
    /// Not UTF-8.
    Text {
        /// Where.
        offset: usize,
    },
    /// No `=` where a pair should be.
    Pair {
        /// Where the pair starts.
        offset: usize,
    },
    /// A number that is none, or too large.
    Number {
        /// Where the pair starts.
        offset: usize,
    },
    /// `ACTION` or `DEVPATH` says other than the header.
    Contradiction {
        /// Where the pair starts.
        offset: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uevent: ")?;
        match self {
            Self::Libudev => f.write_str("sent by udev, expected one of the kernel's"),
            Self::Truncated { found } => write!(f, "cut off after {found} bytes"),
            Self::Header => f.write_str("does not start with ACTION@DEVPATH"),
            Self::Text { offset } => write!(f, "at byte {offset}: not UTF-8"),
            Self::Pair { offset } => write!(f, "at byte {offset}: expected KEY=VALUE"),
            Self::Number { offset } => write!(f, "at byte {offset}: expected a number"),
            Self::Contradiction { offset } => write!(f, "at byte {offset}: contradicts the header"),
        }
    }
}

impl core::error::Error for Error {}

/// Parses a kernel message from the socket.
///
/// # Errors
/// See [`Error`].
pub fn parse(message: &[u8]) -> Result<Uevent<'_>, Error> {
    if message.starts_with(b"libudev\0") {
        return Err(Error::Libudev);
    }
    let body = message.strip_suffix(b"\0").ok_or(Error::Truncated { found: message.len() })?;
    let mut lines = Lines { rest: Some(text(body)?), separator: '\0', offset: 0 };
    let (_, header) = lines.next().ok_or(Error::Header)?;
    let (action, devpath) = header.split_once('@').ok_or(Error::Header)?;
    if action.is_empty() || !devpath.starts_with('/') {
        return Err(Error::Header);
    }
    let mut event = Uevent::new(Action::of(action), devpath);
    for (offset, line) in lines {
        let (key, value) = line.split_once('=').ok_or(Error::Pair { offset })?;
        match key {
            "ACTION" if value != action => return Err(Error::Contradiction { offset }),
            "DEVPATH" if value != devpath => return Err(Error::Contradiction { offset }),
            _ => event.set(key, value).ok_or(Error::Number { offset })?,
        }
    }
    Ok(event)
}

/// Parses the `uevent` file of the device at `devpath`; the event is an [`Action::Add`], for a device that was there
/// before anyone listened. Its subsystem is where its `subsystem` link leads, and `None` here.
///
/// # Errors
/// [`Error::Text`], [`Error::Pair`], [`Error::Number`].
pub fn parse_sysfs<'a>(devpath: &'a str, file: &'a [u8]) -> Result<Uevent<'a>, Error> {
    let mut event = Uevent::new(Action::Add, devpath);
    let file = text(file)?;
    let rest = file.strip_suffix('\n').unwrap_or(file);
    let rest = if rest.is_empty() { None } else { Some(rest) };
    for (offset, line) in (Lines { rest, separator: '\n', offset: 0 }) {
        let (key, value) = line.split_once('=').ok_or(Error::Pair { offset })?;
        event.set(key, value).ok_or(Error::Number { offset })?;
    }
    Ok(event)
}

impl<'a> Uevent<'a> {
    const fn new(action: Action, devpath: &'a str) -> Self {
        Self {
            action,
            devpath,
            subsystem: None,
            devname: None,
            devtype: None,
            major: None,
            minor: None,
            diskseq: None,
            partn: None,
        }
    }

    /// `None` if a number is none.
    fn set(&mut self, key: &str, value: &'a str) -> Option<()> {
        match key {
            "SUBSYSTEM" => self.subsystem = Some(value),
            "DEVNAME" => self.devname = Some(value),
            "DEVTYPE" => self.devtype = Some(value),
            "MAJOR" => self.major = Some(value.parse().ok()?),
            "MINOR" => self.minor = Some(value.parse().ok()?),
            "DISKSEQ" => self.diskseq = Some(value.parse().ok()?),
            "PARTN" => self.partn = Some(value.parse().ok()?),
            _ => {}
        }
        Some(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    core::str::from_utf8(bytes).map_err(|error| Error::Text { offset: error.valid_up_to() })
}

/// Pieces of a text and where each starts.
struct Lines<'a> {
    rest: Option<&'a str>,
    separator: char,
    offset: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let (line, tail) = match rest.split_once(self.separator) {
            Some((line, tail)) => (line, Some(tail)),
            None => (rest, None),
        };
        let offset = self.offset;
        // One more for the separator, a single byte.
        self.offset = offset.saturating_add(line.len()).saturating_add(1);
        self.rest = tail;
        Some((offset, line))
    }
}
