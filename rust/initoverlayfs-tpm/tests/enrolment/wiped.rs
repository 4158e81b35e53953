// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a volume is said to have, and what is taken away from it.

use initoverlayfs_tpm::cryptsetup::Cryptsetup;
use initoverlayfs_tpm::status::Status;
use initoverlayfs_tpm::wipe::{Wiped, wipe};

use crate::desk::{Desk, REMEMBERED, RULES, literal, signed};
use crate::machine::Machine;
use crate::signer::Signer;
use crate::workshop::{MINIMAL, Volume};

fn status(desk: &Desk) -> String {
    let status = Status::of(&desk.device(), RULES).unwrap();
    let text = status.to_string().replace(&desk.device(), "DEVICE").replace(&status.uuid, "UUID");
    assert_eq!(status.is_enrolled(), text.contains(", bank "), "{text}");
    text
}

fn wiped(desk: &Desk, tokens: &[u8]) -> Result<Wiped, String> {
    let wiped = wipe(&desk.device(), tokens, RULES, &Cryptsetup::default());
    wiped.map_err(|error| error.to_string().replace(&desk.device(), "DEVICE"))
}

/// As large as cryptsetup makes it by itself: with room for more than two keyslots.
fn roomy(desk: &mut Desk) {
    desk.volume = Volume::make(REMEMBERED, &MINIMAL);
    let more =
        ["luksFormat", "--batch-mode", "--type", "luks2", "--luks2-metadata-size=16k", "--luks2-keyslots-size=2m"];
    desk.volume.cryptsetup(REMEMBERED, &more, &MINIMAL);
}

#[test]
fn status_says_of_each_token_what_the_boot_makes_of_it() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    roomy(&mut desk);
    assert_eq!(status(&desk), "DEVICE: LUKS2 UUID, keyslots 0\nno token");
    desk.volume.import_token(r#"{"type":"of somebody else","keyslots":["0"]}"#);
    assert_eq!(
        status(&desk),
        "DEVICE: LUKS2 UUID, keyslots 0\n\
         token 0: of somebody else, keyslot 0: not used by the boot stage: another type than the boot stage knows"
    );
    desk.enroll(&literal("11+13")).unwrap();
    desk.enroll(&signed(&Signer::rsa())).unwrap();
    desk.volume.import_token(r#"{"type":"systemd-tpm2","keyslots":["0"],"tpm2-blob":"AA==","tpm2-pcrs":[11],"tpm2-pin":true,"tpm2-policy-hash":"00"}"#);
    assert_eq!(
        status(&desk),
        "DEVICE: LUKS2 UUID, keyslots 0 1 2\n\
         token 0: of somebody else, keyslot 0: not used by the boot stage: another type than the boot stage knows\n\
         token 1: systemd-tpm2, keyslot 1: registers 11+13 as they were, bank sha256\n\
         token 2: systemd-tpm2, keyslot 2: registers 11+13 as the key signs, bank sha256\n\
         token 3: systemd-tpm2, keyslot 0: not used by the boot stage: wants a PIN"
    );
    let json = serde_json::to_value(Status::of(&desk.device(), RULES).unwrap()).unwrap();
    assert_eq!(json["tokens"][1]["pcrs"], serde_json::json!([11, 13]));
    assert_eq!(json["tokens"][3]["refused"], "wants a PIN");
}

/// A policy that is too weak for the boot, and a keyslot by Argon2 that it does not open.
#[test]
fn status_names_what_is_too_weak_or_too_slow() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let rules = tpm_unlock::unlock::Rules { any_registers: true, ..RULES };
    desk.enroll(&initoverlayfs_tpm::policy::Request { rules, ..literal("7") }).unwrap();
    assert!(
        status(&desk).ends_with(
            "token 0: systemd-tpm2, keyslot 1: not used by the boot stage: policy without register 13, so open to every image and not \
             closed by the latch"
        ),
        "{}",
        status(&desk)
    );
    desk.volume = Volume::make(REMEMBERED, &MINIMAL);
    let text = String::from_utf8(token_of(&mut desk)).unwrap();
    desk.volume =
        Volume::make(REMEMBERED, &["--pbkdf", "argon2id", "--pbkdf-force-iterations=4", "--pbkdf-memory=1024"]);
    desk.volume.import_token(&text.replace("[\"1\"]", "[\"0\"]"));
    assert!(status(&desk).contains("not used by the boot stage: luks2: JSON: at byte"), "{}", status(&desk));
    assert!(status(&desk).ends_with("kdf \"argon2id\" is not known"), "{}", status(&desk));
}

/// The text of the token that is enrolled here.
fn token_of(desk: &mut Desk) -> Vec<u8> {
    desk.enroll(&literal("11+13")).unwrap();
    let file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let export = ["token", "export", "--token-id", "0", "--json-file"];
    let status = std::process::Command::new("cryptsetup").args(export).arg(file.path()).arg(desk.device()).status();
    assert!(status.unwrap().success());
    std::fs::read(file.path()).unwrap()
}

#[test]
fn tokens_go_with_their_keyslots_and_the_rest_stays() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    roomy(&mut desk);
    desk.volume.import_token(r#"{"type":"of somebody else","keyslots":["0"]}"#);
    desk.enroll(&literal("11+13")).unwrap();
    desk.enroll(&signed(&Signer::rsa())).unwrap();
    desk.enroll(&literal("7+13")).unwrap();
    let one = wiped(&desk, &[2]).unwrap();
    assert_eq!((one.tokens.as_slice(), one.keyslots.as_slice()), (&[2][..], &[2][..]));
    assert_eq!(desk.survey().keyslots, [0, 1, 3]);
    desk.opens(None);
    let all = wiped(&desk, &[]).unwrap();
    assert_eq!((all.tokens.as_slice(), all.keyslots.as_slice()), (&[1, 3][..], &[1, 3][..]));
    assert_eq!(desk.shut(None), "no token of type systemd-tpm2");
    assert_eq!(desk.survey().keyslots, [0]);
    assert_eq!(desk.survey().tokens.len(), 1);
    assert_eq!(desk.volume.open(0, REMEMBERED), Ok(desk.volume.key(REMEMBERED)));
    assert_eq!(wiped(&desk, &[]), Err("DEVICE: no token of type systemd-tpm2".to_owned()));
}

#[test]
fn last_keyslot_is_kept() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.enroll(&literal("11+13")).unwrap();
    desk.cryptsetup.remove_keyslot(&desk.device(), 0).unwrap();
    assert_eq!(desk.survey().keyslots, [1]);
    assert_eq!(
        wiped(&desk, &[]),
        Err("DEVICE: keyslots [1] are the last ones: nothing would open the volume any more; add a passphrase first (`cryptsetup \
             luksAddKey`)"
            .to_owned())
    );
    assert!(desk.open(None).is_ok());
}

#[test]
fn tokens_of_others_and_keyslots_that_they_share_are_kept() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.enroll(&literal("11+13")).unwrap();
    desk.volume.import_token(r#"{"type":"of somebody else","keyslots":["1"]}"#);
    assert_eq!(
        wiped(&desk, &[1]),
        Err("DEVICE: token 1 is of type of somebody else, which is not ours to take away".to_owned())
    );
    assert_eq!(wiped(&desk, &[7]), Err("DEVICE: no token 7".to_owned()));
    assert_eq!(wiped(&desk, &[]), Err("DEVICE: keyslot 1 is also that of token 1, which stays".to_owned()));
    desk.opens(None);
}
