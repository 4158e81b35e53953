// SPDX-License-Identifier: MIT OR Apache-2.0
//! `DM_TABLE_LOAD "crypt"` with a key out of the kernel's keyring: the volume key is in no table string, and no process can read it
//! back (`dmsetup table --showkeys` prints the key's name).
//!
//! See Documentation/admin-guide/device-mapper/dm-crypt.rst and drivers/md/dm-crypt.c.

use core::fmt::{self, Write};

use crate::block::DeviceNumber;
use crate::keyring::LogonKey;
use crate::{Errno, dm};

/// Longest table line, in bytes: a cipher, the name of a key (`cryptsetup:UUID-dN`, 53 characters), three numbers, options.
const LINE: usize = 256;
/// Bytes of a sector in tables, whatever the sectors of the device are.
const SECTOR: u64 = 512;

/// A volume of `aes-xts-plain64`.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The device that holds it.
    pub device: DeviceNumber,
    /// Bytes before it on that device; whole sectors of 512 bytes.
    pub offset: u64,
    /// Its bytes; whole sectors of `sector_size`.
    pub len: u64,
    /// Bytes of the key: 32 or 64.
    pub key_bytes: usize,
    /// Added to the number of each 512-byte sector for its tweak.
    pub iv_offset: u64,
    /// Bytes that are encrypted at once: 512 to 4096.
    pub sector_size: u32,
    /// Whether discards go through to the device, where they show which sectors are in use.
    pub discards: bool,
}

/// Why a table was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// EINVAL: the kernel has no dm-crypt, or one that does not know what the table asks for.
    NotTaken(Errno),
    /// ENOENT: the kernel has no AES-XTS.
    NoCipher(Errno),
    /// Any other refusal.
    Table(dm::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTaken(errno) => write!(f, "the kernel has no dm-crypt for this volume: {errno}"),
            Self::NoCipher(errno) => write!(f, "the kernel lacks the cipher aes-xts: {errno}"),
            Self::Table(error) => error.fmt(f),
        }
    }
}

/// Loads the table over `device`, which stays suspended. dm-crypt has its own copy of the key after that.
///
/// # Errors
/// See [`Error`].
pub fn load(device: &dm::Device, table: &Table, key: &LogonKey<'_>) -> Result<(), Error> {
    let too_long = Error::Table(dm::Error { call: dm::Call::Layout, errno: Errno::NAMETOOLONG });
    let name = key.description().to_str().map_err(|_| too_long)?;
    let line = line(table, name).ok_or(too_long)?;
    let sectors = table.len / SECTOR;
    device.load_writable(sectors, "crypt", &line).map_err(|error| match error.errno {
        _ if error.call != dm::Call::Load => Error::Table(error),
        Errno::INVAL => Error::NotTaken(error.errno),
        Errno::NOENT => Error::NoCipher(error.errno),
        _ => Error::Table(error),
    })
}

/// The arguments of the target; `None` if they do not fit.
fn line(table: &Table, key: &str) -> Option<heapless::String<LINE>> {
    let mut line = heapless::String::new();
    let Table { device, offset, key_bytes, iv_offset, sector_size, discards, .. } = table;
    let offset = offset / SECTOR;
    write!(line, "aes-xts-plain64 :{key_bytes}:logon:{key} {iv_offset} {device} {offset}").ok()?;
    // In libcryptsetup's order.
    let sector = u64::from(*sector_size) != SECTOR;
    match usize::from(*discards).saturating_add(usize::from(sector)) {
        0 => return Some(line),
        options => write!(line, " {options}").ok()?,
    }
    if *discards {
        line.push_str(" allow_discards").ok()?;
    }
    if sector {
        write!(line, " sector_size:{sector_size}").ok()?;
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cryptsetup:0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e-d0";

    #[test]
    fn a_table_is_that_of_libcryptsetup() {
        let table = Table {
            device: DeviceNumber { major: 254, minor: 3 },
            offset: 16 << 20,
            len: 1 << 30,
            key_bytes: 64,
            iv_offset: 0,
            sector_size: 512,
            discards: false,
        };
        let text = |table| line(&table, KEY).map(|line| line.as_str().to_owned());
        let plain = format!("aes-xts-plain64 :64:logon:{KEY} 0 254:3 32768");
        assert_eq!(text(table), Some(plain.clone()));
        assert_eq!(text(Table { discards: true, ..table }), Some(format!("{plain} 1 allow_discards")));
        assert_eq!(text(Table { sector_size: 4096, ..table }), Some(format!("{plain} 1 sector_size:4096")));
        let both = Table { sector_size: 4096, discards: true, ..table };
        assert_eq!(text(both), Some(format!("{plain} 2 allow_discards sector_size:4096")));
        assert_eq!(line(&table, &"x".repeat(LINE)), None);
    }
}
