// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events logged as PID 1 logs them, and read back: this test program is linked as the boot binary is, and its own log
//! strings are the table.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed, as it should"
)]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use boot_record::event::Event;
use boot_record::log_header::{BuildId, Header};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use bootlog::entry::{Broken, Decoded, Error, OtherBuild, decode};
use bootlog::log::Log;
use bootlog::string_table::{self, ElfError, StringTable, path_below};
use kernel_edge::{boot_log, build_id};
use proptest::prelude::*;

/// One of each kind.
const EVENTS: [Event<'_>; 11] = [
    Event::StageBegan { stage: Stage::Select },
    Event::Waiting { what: "a disk", at_most_ms: u64::MAX },
    Event::WaitEnded { what: "a disk" },
    Event::BackupTable { device: "vda" },
    Event::Refused { device: "vda1: x=y", reason: Reason::SignatureRejected, detail: "{=str} \0 device=\u{e9}\n" },
    Event::StageEnded { stage: Stage::Select, detail: "" },
    Event::NotMeasured { reason: Reason::TpmMissing, detail: "no /dev/tpm0" },
    Event::TpmCommand { command: "TPM2_Unseal", answer: "TPM_RC_SUCCESS", start_us: u64::MAX, took_us: 7 },
    Event::Condemned { device: "vda1:/x_1+0-3.raw" },
    Event::HandOver { init: "/sbin/init", device: "vda2", version: "1.0", signer: "me", development: true },
    Event::Failed { reason: Reason::Panic, device: "storage-init", detail: "why" },
];

fn own_elf() -> Vec<u8> {
    fs::read(std::env::current_exe().unwrap()).unwrap()
}

/// Read once: a program with debug information is large.
fn own_strings() -> &'static StringTable {
    static STRINGS: LazyLock<StringTable> = LazyLock::new(|| StringTable::from_elf(&own_elf()).unwrap());
    &STRINGS
}

fn own_build_id() -> BuildId {
    BuildId::new(build_id::of_this_program().unwrap()).unwrap()
}

/// The log of this thread: a test has one, and so a ring of its own.
fn written() -> Vec<u8> {
    let file = tempfile::tempfile().unwrap();
    boot_log::write_to(&file).unwrap();
    let mut frames = Vec::new();
    std::io::Seek::rewind(&mut &file).unwrap();
    std::io::Read::read_to_end(&mut &file, &mut frames).unwrap();
    let header = Header { build_id: own_build_id(), lost: boot_log::lost() };
    [header.item().as_bytes(), &frames].concat()
}

fn read(bytes: &[u8]) -> Decoded {
    decode(&Log::find(bytes).unwrap(), own_strings()).unwrap()
}

fn events(decoded: &Decoded) -> Vec<Event<'_>> {
    decoded.entries.iter().map(|entry| entry.event().unwrap()).collect()
}

#[test]
fn every_event_is_read_as_it_was_logged() {
    let before = kernel_edge::clock::now_us();
    EVENTS.iter().for_each(Event::emit);
    let after = kernel_edge::clock::now_us();
    let decoded = read(&written());
    assert_eq!(events(&decoded), EVENTS);
    assert_eq!(decoded.broken, []);
    let times: Vec<u64> = decoded.entries.iter().map(|entry| entry.at_us).collect();
    assert!(times.is_sorted() && times[0] >= before && times[7] <= after, "{before} {times:?} {after}");
}

/// The build ID that the program finds in its memory is the one in its file.
#[test]
fn the_program_knows_its_own_build_id() {
    assert_eq!(string_table::build_id(&own_elf()).unwrap(), own_build_id());
}

#[test]
fn a_full_ring_loses_the_oldest_events_and_says_how_many() {
    let detail = "x".repeat(200);
    let count: u64 = 200;
    for at_most_ms in 0..count {
        Event::Waiting { what: &detail, at_most_ms }.emit();
    }
    let decoded = read(&written());
    let lost = u64::from(decoded.header.lost);
    assert!(lost > 100 && lost < count, "{lost}");
    let expected: Vec<Event<'_>> =
        (lost..count).map(|at_most_ms| Event::Waiting { what: &detail, at_most_ms }).collect();
    assert_eq!(events(&decoded), expected);
}

/// The machine was reset in the middle of a write: what is whole is shown, what is cut is named.
#[test]
fn a_log_that_is_cut_anywhere_shows_what_is_whole() {
    EVENTS.iter().for_each(Event::emit);
    let whole = written();
    let header = Header { build_id: own_build_id(), lost: 0 }.item().len();
    for len in header..whole.len() {
        let decoded = read(&whole[..len]);
        assert_eq!(events(&decoded), EVENTS[..decoded.entries.len()], "{len}");
        let complete = whole[header..len].iter().filter(|&&byte| byte == 0).count();
        assert_eq!(decoded.entries.len(), complete, "{len}");
        match decoded.broken.as_slice() {
            [] => assert_eq!(whole[len - 1], 0),
            [Broken { offset, len: left, error: Error::Cut }] => assert_eq!(offset + left, len),
            other => panic!("{len}: {other:?}"),
        }
    }
}

/// A broken byte costs its frame, never the others, and is named with its place.
#[test]
fn a_damaged_frame_is_named_and_the_rest_is_read() {
    EVENTS.iter().for_each(Event::emit);
    let mut bytes = written();
    let log = Log::find(&bytes).unwrap();
    let (offset, len) = (log.frames[2].offset, log.frames[2].bytes.len());
    // Its number, in the first byte, is one that no string has.
    bytes[offset] = 0xee;
    let decoded = read(&bytes);
    assert_eq!(events(&decoded), [&EVENTS[..2], &EVENTS[3..]].concat());
    assert_eq!(decoded.broken, [Broken { offset, len, error: Error::Damaged }]);
}

#[test]
fn a_log_of_another_build_is_refused() {
    EVENTS[0].emit();
    let other = BuildId::new(&[0xab; 20]).unwrap();
    let log = Log { header: Header { build_id: other.clone(), lost: 0 }, frames: Vec::new() };
    let refusal = decode(&log, own_strings()).unwrap_err();
    assert_eq!(refusal, OtherBuild { log: other, strings: own_build_id() });
    let said = format!("the log is of build {}, the log strings are of build {}", "ab".repeat(20), own_build_id());
    assert_eq!(refusal.to_string(), said);
}

#[test]
fn log_strings_are_found_by_build_id() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [PathBuf::from("/nonexistent"), folder.path().to_owned()];
    let id = own_build_id();
    let digits = id.to_string();
    let place = folder.path().join(&digits[..2]).join(format!("{}.debug", &digits[2..]));
    assert_eq!(place, folder.path().join(path_below(&id)));
    let missing = StringTable::find(&folders, &id).unwrap_err().to_string();
    let absent = PathBuf::from("/nonexistent").join(path_below(&id));
    assert_eq!(
        missing,
        format!("no log strings of build {digits}: looked for {}, {}", absent.display(), place.display())
    );

    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, own_elf()).unwrap();
    assert_eq!(StringTable::find(&folders, &id).unwrap().build_id(), &id);
    fs::write(&place, "not a program").unwrap();
    let refused = StringTable::find(&folders, &id).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("{}: not an ELF program: ", place.display())), "{refused}");
}

/// The program `bootlog` itself logs nothing: a program without log strings, as the boot binary is once it is stripped.
#[test]
fn a_program_without_log_strings_is_refused() {
    let elf = fs::read(env!("CARGO_BIN_EXE_bootlog")).unwrap();
    let refused = StringTable::from_elf(&elf).unwrap_err();
    assert!(matches!(refused, ElfError::NoStrings | ElfError::NoBuildId), "{refused}");
}

proptest! {
    /// Whatever stands in a memory that lost its contents: no panic, and no event that was not logged.
    #[test]
    fn garbage_behind_a_header_is_no_event(garbage in proptest::collection::vec(any::<u8>(), 0..400)) {
        let header = Header { build_id: own_build_id(), lost: 0 };
        let bytes = [header.item().as_bytes(), &garbage].concat();
        if let Ok(log) = Log::find(&bytes) {
            let decoded = decode(&log, own_strings()).unwrap();
            prop_assert_eq!(decoded.entries.len() + decoded.broken.len(), log.frames.len());
            for entry in &decoded.entries {
                prop_assert!(entry.event().is_ok());
            }
        }
    }

    /// A frame of ours with bytes changed at random: it is read as some event or named as broken.
    #[test]
    fn damage_does_not_make_the_reader_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        EVENTS.iter().for_each(Event::emit);
        let mut bytes = written();
        let header = Header { build_id: own_build_id(), lost: boot_log::lost() }.item().len();
        for (index, byte) in changes {
            let at = header + index.index(bytes.len() - header);
            bytes[at] = byte;
        }
        let decoded = read(&bytes);
        prop_assert!(!decoded.entries.is_empty());
    }
}
