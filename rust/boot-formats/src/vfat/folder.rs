// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names in a folder: the entries of a long name, and behind them the short one, which says where the file lies.
//!
//! Only what every reader understands in the same way. Short names are in a code page and come in several spellings; what is damaged the
//! kernel shows one way or another: both are [`Unclear`], and left to it.
//!
//! See the FAT specification (fatgen103), "FAT Long Directory Entries", and fs/fat/dir.c, `fat_parse_long` and `__fat_readdir`.

use super::ENTRY;
use heapless::String;

/// Characters of a long name's entry. A name of exactly so many ends without a NUL.
const NAME: usize = 13;
/// The bytes of an entry at which its characters begin, in order, two bytes each.
const CHARACTERS: [usize; NAME] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const ATTRIBUTES: usize = 11;
const LONG_NAME: u8 = 0x0f;
const FOLDER: u8 = 0x10;
const VOLUME: u8 = 0x08;
/// In the first byte: no entry is behind this one.
const END: u8 = 0;
/// In the first byte: an entry that was deleted.
const DELETED: u8 = 0xe5;
/// In the first byte of a long name's entry: the last of the name, which comes first.
const LAST: u8 = 0x40;
/// Most entries of a long name.
const MOST: u8 = 20;
/// Most characters of a long name.
const CHARACTERS_OF_ALL: usize = NAME * MOST as usize;
/// The byte of a long name's entry that has the checksum of the short one.
const CHECKSUM: usize = 13;
/// What stands behind the NUL that ends a name.
const FILLER: u16 = 0xffff;
/// Bytes of a short name before its extension.
const BASE: usize = 8;
/// The extension of images, in a short name.
const EXTENSION: &[u8; 3] = b"RAW";

/// A regular file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, printable ASCII.
    pub name: String<CHARACTERS_OF_ALL>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its first cluster.
    pub first: u32,
    /// The length of a file in bytes.
    pub bytes: u32,
}

/// Something that is for the kernel to read: see the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear;

/// What is in a folder under a long name, in its order.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: core::slice::Iter<'a, [u8; ENTRY]>,
}

/// What these entries, from a folder's first on, name by long names. Nothing of ours has only a short name, but for a file that ends in `.RAW`,
/// which is [`Unclear`]; so are entries behind the end of the folder, which some read and some do not, and a folder that does not end here.
#[must_use]
pub fn entries(folder: &[u8]) -> Entries<'_> {
    Entries { rest: folder.as_chunks().0.iter() }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Unclear>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(entry) = self.rest.next() else { return Some(Err(Unclear)) };
            let (base, extension) = entry.get(..ATTRIBUTES).and_then(|name| name.split_at_checked(BASE))?;
            match (entry[0], entry[ATTRIBUTES]) {
                (END, _) => return if self.rest.all(|behind| behind[0] == END) { None } else { Some(Err(Unclear)) },
                (DELETED, _) => {}
                (_, LONG_NAME) => return Some(self.long(entry)),
                (_, attributes) if attributes & (VOLUME | FOLDER) != 0 => {}
                // The kernel takes trailing spaces for the end, and a full stop for a character of the name.
                _ if extension.eq_ignore_ascii_case(EXTENSION) || base.contains(&b'.') => return Some(Err(Unclear)),
                _ => {}
            }
        }
    }
}

impl Entries<'_> {
    /// What a long name names that begins with `entry`.
    fn long(&mut self, entry: &[u8; ENTRY]) -> Result<Entry, Unclear> {
        let count = entry[0].wrapping_sub(LAST);
        if !(1..=MOST).contains(&count) {
            return Err(Unclear);
        }
        let mut characters = [0_u8; CHARACTERS_OF_ALL];
        let mut end = 0_usize;
        let mut entry = entry;
        for number in (1..=count).rev() {
            let from = usize::from(number).saturating_sub(1).saturating_mul(NAME);
            let place = characters.get_mut(from..from.saturating_add(NAME)).ok_or(Unclear)?;
            let len = ascii(entry, place).ok_or(Unclear)?;
            if number == count {
                end = from.saturating_add(len);
            } else if len != NAME || entry[0] != number {
                return Err(Unclear);
            }
            let next = self.rest.next().ok_or(Unclear)?;
            let is_long = next[ATTRIBUTES] == LONG_NAME;
            let sum = if is_long { next.get(CHECKSUM).copied() } else { Some(checksum(next)) };
            if is_long != (number > 1) || entry.get(CHECKSUM).copied() != sum {
                return Err(Unclear);
            }
            entry = next;
        }
        if end == 0 || matches!(entry[0], END | DELETED) || entry[ATTRIBUTES] & VOLUME != 0 {
            return Err(Unclear);
        }
        let name = characters.get(..end).and_then(|name| core::str::from_utf8(name).ok());
        Ok(Entry {
            name: name.and_then(|name| String::try_from(name).ok()).ok_or(Unclear)?,
            is_folder: entry[ATTRIBUTES] & FOLDER != 0,
            first: u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]]),
            bytes: u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]),
        })
    }
}

/// The characters of a long name's entry; how many there are before the end of the name.
fn ascii(entry: &[u8; ENTRY], into: &mut [u8]) -> Option<usize> {
    let mut len = 0_usize;
    let mut ended = false;
    for (at, place) in CHARACTERS.into_iter().zip(into) {
        let character = u16::from_le_bytes([*entry.get(at)?, *entry.get(at.checked_add(1)?)?]);
        match (character, ended) {
            (0, false) => ended = true,
            (FILLER, true) => {}
            // A slash is no character of a name, to the kernel.
            (0x20..=0x2e | 0x30..=0x7e, false) => {
                *place = u8::try_from(character).ok()?;
                len = len.saturating_add(1);
            }
            _ => return None,
        }
    }
    Some(len)
}

/// The checksum of a short name.
fn checksum(entry: &[u8; ENTRY]) -> u8 {
    entry.iter().take(ATTRIBUTES).fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}
