// SPDX-License-Identifier: MIT OR Apache-2.0
//! `dl_iterate_phdr`: the build ID that the linker put into the running program (`--build-id`).
//!
//! It lies in a note that is loaded with the program, so that no file has to be read for it.
//!
//! See dl_iterate_phdr(3), elf(5) and "GNU property notes" there.

use core::ffi::{c_int, c_void};

use nix::libc;

/// `n_type` of the note (elf.h: NT_GNU_BUILD_ID).
const NT_GNU_BUILD_ID: u32 = 3;
/// Owner of the note.
const OWNER: &[u8] = b"GNU\0";
/// Notes are aligned to this many bytes.
const ALIGNMENT: usize = 4;

/// The descriptor of the note; `None` in a program that was linked without it.
#[must_use]
pub fn of_this_program() -> Option<&'static [u8]> {
    let mut found: Option<&'static [u8]> = None;
    // SAFETY: `look` takes its last argument for the `Option` that is passed here, and the call returns before it goes.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}

/// Looks at the program itself, which is what comes first, and ends the iteration.
///
/// # Safety
/// To be called by dl_iterate_phdr only, which gives a valid `info`; `found` points to an `Option<&'static [u8]>`.
unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: libc::size_t, found: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr passes a structure that is valid during the call.
    let info = unsafe { &*info };
    // SAFETY: the headers it points to are those of the loaded program: so many, and never unmapped.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let note = headers.iter().filter(|header| header.p_type == libc::PT_NOTE).find_map(|header| {
        let start = usize::try_from(info.dlpi_addr.wrapping_add(header.p_vaddr)).ok()?;
        let len = usize::try_from(header.p_memsz).ok()?;
        // SAFETY: a PT_NOTE segment lies inside a loaded, readable one (elf(5)), which a program keeps to its end.
        let notes: &'static [u8] =
            unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), len) };
        build_id(notes)
    });
    // SAFETY: the caller's pointer is to an `Option<&'static [u8]>`, by this function's contract.
    unsafe { *found.cast() = note };
    1
}

/// The build ID among notes: `n_namesz`, `n_descsz`, `n_type`, each of 4 bytes, then name and descriptor, each padded.
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let ([name_len, desc_len, kind], _) = header.as_chunks::<4>() else { return None };
        let name_len = usize::try_from(u32::from_ne_bytes(*name_len)).ok()?;
        let desc_len = usize::try_from(u32::from_ne_bytes(*desc_len)).ok()?;
        let (name, rest) = rest.split_at_checked(name_len.checked_next_multiple_of(ALIGNMENT)?)?;
        let desc = rest.get(..desc_len)?;
        if name.get(..name_len) == Some(OWNER) && u32::from_ne_bytes(*kind) == NT_GNU_BUILD_ID {
            return Some(desc);
        }
        notes = rest.get(desc_len.checked_next_multiple_of(ALIGNMENT)?..)?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for field in [name.len() as u32, desc.len() as u32, kind] {
            note.extend(field.to_ne_bytes());
        }
        for part in [name, desc] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(ALIGNMENT), 0);
        }
        note
    }

    #[test]
    fn it_is_found_behind_other_notes_of_odd_length() {
        let notes = [note(b"stapsdt\0", 3, b"x"), note(OWNER, 1, b"abi"), note(OWNER, 3, &[1, 2, 3, 4, 5])].concat();
        assert_eq!(build_id(&notes), Some(&[1, 2, 3, 4, 5][..]));
    }

    #[test]
    fn notes_without_it_or_cut_short_have_none() {
        let whole = note(OWNER, NT_GNU_BUILD_ID, &[7; 20]);
        assert_eq!(build_id(&note(OWNER, 1, b"abi")), None);
        assert!((0..whole.len()).all(|len| build_id(whole.get(..len).unwrap()).is_none()));
        assert_eq!(build_id(&note(b"GNU", 3, b"not the owner")), None);
        assert_eq!(build_id(&[0xff; 64]), None);
    }
}
