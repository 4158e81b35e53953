// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enrolments that end half-way: whatever was written is taken away again, and nothing else.

use std::os::unix::fs::PermissionsExt;

use initoverlayfs_tpm::cryptsetup::Cryptsetup;
use tempfile::TempDir;

use crate::desk::{Desk, literal};
use crate::machine::Machine;
use crate::workshop::MINIMAL;

/// cryptsetup, before which this script runs; its first word is `$1`.
fn after(desk: &mut Desk, script: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix("program-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("cryptsetup");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\nexec cryptsetup \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    desk.cryptsetup = Cryptsetup::at(path);
    folder
}

fn enrol(desk: &mut Desk) -> String {
    let error = desk.enroll(&literal("11+13")).map(|_| ()).unwrap_err();
    error.to_string().replace(&desk.device(), "DEVICE")
}

#[test]
fn keyslot_whose_token_is_not_taken_is_removed() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let _program = after(&mut desk, "[ $1 = token ] && { echo no room >&2; exit 7; }");
    assert_eq!(enrol(&mut desk), "DEVICE: cryptsetup token import: exit status: 7: no room");
    let survey = desk.survey();
    assert_eq!((survey.keyslots.as_slice(), survey.tokens.as_slice()), (&[0][..], &[][..]));
}

#[test]
fn token_that_is_stored_as_another_is_removed_with_its_keyslot() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    // A PIN that nobody asked for.
    let script = "[ \"$1 $2\" = 'token import' ] && exec sh -c 'sed s/^{/{\\\"tpm2-pin\\\":true,/ | cryptsetup \"$@\"' sh \"$@\"";
    let _program = after(&mut desk, script);
    assert_eq!(enrol(&mut desk), "DEVICE: token 0, which was added: wants a PIN");
    let survey = desk.survey();
    assert_eq!((survey.keyslots.as_slice(), survey.tokens.as_slice()), (&[0][..], &[][..]));
}

#[test]
fn keyslot_that_cannot_be_removed_is_named() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let _program = after(&mut desk, "case $1 in token) exit 7;; luksKillSlot) exit 5;; esac");
    assert_eq!(
        enrol(&mut desk),
        "DEVICE: cryptsetup token import: exit status: 7; and keyslot 1, which was added for it, could not be removed (cryptsetup \
         luksKillSlot: exit status: 5): `cryptsetup luksKillSlot DEVICE 1`"
    );
    assert_eq!(desk.survey().keyslots, [0, 1]);
}

/// Interrupted when the keyslot was there already.
#[test]
fn keyslot_of_a_cryptsetup_that_failed_all_the_same_is_removed() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let _program = after(&mut desk, "[ $1 = luksAddKey ] && { cryptsetup \"$@\"; exit 4; }");
    assert_eq!(enrol(&mut desk), "DEVICE: cryptsetup luksAddKey: exit status: 4");
    assert_eq!(desk.survey().keyslots, [0]);
}

#[test]
fn keyslot_of_somebody_else_who_was_faster_stays() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let theirs = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(theirs.path(), b"theirs").unwrap();
    let add = format!(
        "[ $1 = luksAddKey ] && cryptsetup luksAddKey {} --key-slot 1 --key-file {} {} {}",
        MINIMAL.join(" "),
        desk.key_file.path().display(),
        desk.device(),
        theirs.path().display()
    );
    let _program = after(&mut desk, &add);
    let error = enrol(&mut desk);
    assert!(error.starts_with("DEVICE: cryptsetup luksAddKey: exit status: 1: Key slot 1 is full"), "{error}");
    assert_eq!(desk.survey().keyslots, [0, 1]);
    assert!(desk.volume.open(1, b"theirs").is_ok());
}

/// The area for keyslots holds two.
#[test]
fn volume_without_room_for_a_keyslot_is_left_as_it_is() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.enroll(&literal("11+13")).unwrap();
    let error = desk.refuses(&literal("7+11+13"));
    assert!(error.starts_with("DEVICE: cryptsetup luksAddKey: exit status: 1: "), "{error}");
    desk.opens(None);
}
