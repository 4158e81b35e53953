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
/// The first byte of a long name's entry that is the first and the last of its name.
const SOLE: u8 = 0x41;
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
/// The extension of images, in a short name.
const EXTENSION: &[u8; 3] = b"RAW";

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, printable ASCII.
    pub name: String<CHARACTERS_OF_ALL>,
    /// Its first cluster.
    pub first: u32,
    /// Its length in bytes.
    pub bytes: u32,
}

/// Something that is for the kernel to read: see the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear;

/// The files of a folder that have long names, in its order.
#[derive(Clone, Debug)]
pub struct Files<'a> {
    entries: core::slice::Iter<'a, [u8; ENTRY]>,
}

/// The files among the entries of a folder, from its first. Those that have only a short name are none of ours, but for one that ends in
/// `.RAW`, which is [`Unclear`]; so is a folder that does not end here.
#[must_use]
pub fn files(entries: &[u8]) -> Files<'_> {
    Files { entries: entries.as_chunks().0.iter() }
}

impl Iterator for Files<'_> {
    type Item = Result<File, Unclear>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(entry) = self.entries.next() else { return Some(Err(Unclear)) };
            let file = match (entry[0], entry[ATTRIBUTES]) {
                (END, _) => return None,
                (DELETED, _) => continue,
                (_, LONG_NAME) => self.long(entry),
                (_, attributes) if attributes & (VOLUME | FOLDER) != 0 => continue,
                _ if entry.get(8..ATTRIBUTES).is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION)) => {
                    Err(Unclear)
                }
                _ => continue,
            };
            if let Some(file) = file.transpose() {
                return Some(file);
            }
        }
    }
}

impl Files<'_> {
    /// What a long name names that begins with `entry`, if it is a regular file.
    fn long(&mut self, entry: &[u8; ENTRY]) -> Result<Option<File>, Unclear> {
        let count = entry[0].wrapping_sub(LAST);
        if !(1..=MOST).contains(&count) {
            return Err(Unclear);
        }
        let mut characters = [0_u8; CHARACTERS_OF_ALL];
        let mut end = usize::from(count).saturating_mul(NAME);
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
            let next = self.entries.next().ok_or(Unclear)?;
            let is_long = next[ATTRIBUTES] == LONG_NAME;
            if is_long != (number > 1) || is_long && next.get(CHECKSUM) != entry.get(CHECKSUM) {
                return Err(Unclear);
            }
            if !is_long && entry.get(CHECKSUM) != Some(&checksum(next)) {
                return Err(Unclear);
            }
            entry = next;
        }
        if matches!(entry[0], END | DELETED) || entry[ATTRIBUTES] & VOLUME != 0 {
            return Err(Unclear);
        }
        if entry[ATTRIBUTES] & FOLDER != 0 {
            return Ok(None);
        }
        let name = characters.get(..end).and_then(|name| core::str::from_utf8(name).ok());
        Ok(Some(File {
            name: name.and_then(|name| String::try_from(name).ok()).ok_or(Unclear)?,
            first: first_cluster(entry),
            bytes: u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]),
        }))
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
            (0x20..=0x7e, false) => {
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

fn first_cluster(entry: &[u8; ENTRY]) -> u32 {
    u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]])
}

/// The first cluster of the folder called `name`, an ASCII name of 13 characters, among these entries of the folder above it.
/// Case is not compared: vfat has none.
#[must_use]
pub fn find_folder(entries: &[u8], name: &[u8; NAME]) -> Option<u32> {
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let mut named = false;
    for entry in entries {
        let attributes = entry[ATTRIBUTES];
        if attributes == LONG_NAME {
            named = entry[0] == SOLE && is_name(entry, name);
        } else if named && attributes & FOLDER != 0 {
            return Some(first_cluster(entry));
        } else {
            named = false;
        }
    }
    None
}

fn is_name(entry: &[u8; ENTRY], name: &[u8; NAME]) -> bool {
    CHARACTERS.iter().zip(name).all(|(at, wanted)| {
        let low = entry.get(*at).is_some_and(|found| found.eq_ignore_ascii_case(wanted));
        low && at.checked_add(1).and_then(|high| entry.get(high)) == Some(&0)
    })
}
