// SPDX-License-Identifier: MIT OR Apache-2.0
//! One name in a folder: a long name of a single entry, and the short one behind it that says where it lies.

use super::ENTRY;

/// Characters of a long name's entry. A name of exactly so many ends without a NUL.
const NAME: usize = 13;
/// The bytes of an entry at which its characters begin, in order, two bytes each.
const CHARACTERS: [usize; NAME] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// The first byte of a long name's entry that is the first and the last of its name.
const SOLE: u8 = 0x41;
const ATTRIBUTES: usize = 11;
const LONG_NAME: u8 = 0x0f;
const FOLDER: u8 = 0x10;

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
            return Some(u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]]));
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
