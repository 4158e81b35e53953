// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done for a volume before the image is measured, and what becomes of it if that was in vain.

use tpm_policy::event::DdiEvent;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::{Bank, PcrMask, pcr};
use tpm_unlock::unlock::Opened;
use tpm_unlock::volume::passphrase;
use tpm_unlock::volumes::{Named, OpenError, Volumes};
use tpm_unlock::wire::CommandCode;

use crate::machine::{Machine, Wire, measure, tpm};
use crate::owner::{left_over, make_other_srk, read_pcrs, remove_srk};
use crate::signer::{Signer, json};
use crate::volumes::{RULES, SECRET, enrolled, set_up, signed_token, token_of};
use crate::workshop::{MINIMAL, Volume};

const EVENT: DdiEvent = DdiEvent { root_hash: [7; 32], signer: [9; 32] };
/// For a literal policy: what comes before the extend, and after it.
const BEFORE: [CommandCode; 2] = [CommandCode::Load, CommandCode::StartAuthSession];
const AFTER: [CommandCode; 3] = [CommandCode::PolicyPcr, CommandCode::Unseal, CommandCode::FlushContext];

fn named(name: &str, volume: &Volume) -> Named {
    Named { name: name.into(), node: volume.path().to_str().unwrap().into(), rules: RULES, discards: false }
}

/// Takes them in, and prepares them until nothing is left to do; no step may be longer than a command.
fn prepare(wire: &mut Wire, volumes: &mut Volumes, named: impl IntoIterator<Item = Named>) {
    for named in named {
        volumes.name(&mut tpm(wire), named);
    }
    while !volumes.are_ready() {
        let sent = wire.sent.len();
        volumes.step(&mut tpm(wire));
        assert!(wire.sent.len() <= sent + 1, "{:x?}", wire.codes());
    }
}

fn open(wire: &mut Wire, volumes: &mut Volumes, name: &str, signatures: Option<&[u8]>) -> Result<Opened, OpenError> {
    volumes.open(&mut tpm(wire), name, signatures).map(|(_, _, opened)| opened)
}

fn assert_sent(wire: &mut Wire, expected: &[CommandCode]) {
    assert_eq!(wire.codes(), expected.iter().copied().map(CommandCode::value).collect::<Vec<_>>());
    wire.forget();
}

/// The policy over registers 11 and 13 as they will be once the image is measured.
fn coming(wire: &mut Wire) -> PolicyDigest {
    let eleven = read_pcrs(wire, Bank::Sha256, PcrMask::of(&[11]).unwrap());
    let thirteen = pcr::after(Bank::Sha256, [EVENT.data().as_bytes()]);
    PolicyDigest::new().pcr(Bank::Sha256, PcrMask::of(&[11, 13]).unwrap(), &[eleven[0], thirteen]).unwrap()
}

/// A volume that opens once the image is measured.
fn of_the_image(wire: &mut Wire, srk: &[u8]) -> Volume {
    let volume = Volume::make(&passphrase(SECRET).unwrap(), &MINIMAL);
    let policy = coming(wire);
    volume.import_token(&token_of(wire, srk, &[11, 13], SECRET, &policy));
    volume
}

#[test]
fn only_the_policy_and_the_secret_come_after_the_extend() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = of_the_image(&mut wire, &srk);
    wire.forget();
    let mut volumes = Volumes::default();
    prepare(&mut wire, &mut volumes, [named("data", &volume)]);
    assert_sent(&mut wire, &BEFORE);

    measure(&mut wire, 13, &EVENT.data());
    wire.forget();
    let opened = open(&mut wire, &mut volumes, "data", None).map_err(|error| error.to_string()).unwrap();
    assert_sent(&mut wire, &AFTER);
    assert_eq!(opened.key.as_bytes(), volume.key(&passphrase(SECRET).unwrap()));
    assert_eq!(left_over(&mut wire), []);
    let again = open(&mut wire, &mut volumes, "data", None).map(|_| ());
    assert_eq!(again, Err(OpenError::NotNamed), "it is open");
}

#[test]
fn key_that_signs_a_policy_is_loaded_before_the_extend_and_its_signature_checked_after_it() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let signer = Signer::rsa();
    let volume = Volume::make(&passphrase(SECRET).unwrap(), &MINIMAL);
    volume.import_token(&signed_token(&mut wire, &srk, &signer));
    let signatures = json(&[signer.entry(&[11, 13], &coming(&mut wire))]);
    wire.forget();
    let mut volumes = Volumes::default();
    prepare(&mut wire, &mut volumes, [named("data", &volume)]);
    assert_sent(&mut wire, &[BEFORE[0], BEFORE[1], CommandCode::LoadExternal]);

    measure(&mut wire, 13, &EVENT.data());
    wire.forget();
    let opened = open(&mut wire, &mut volumes, "data", Some(&signatures));
    assert_eq!(opened.map(|opened| opened.digest), Ok(0));
    let approved = [CommandCode::VerifySignature, CommandCode::PolicyPcr, CommandCode::FlushContext];
    let unsealed = [CommandCode::PolicyAuthorize, CommandCode::Unseal, CommandCode::FlushContext];
    assert_sent(&mut wire, &[approved, unsealed].concat());
    assert_eq!(left_over(&mut wire), []);

    // An image without a signature: all of it was in vain.
    prepare(&mut wire, &mut volumes, [named("data", &volume)]);
    let shut = open(&mut wire, &mut volumes, "data", None).map(|_| ()).unwrap_err().to_string();
    assert_eq!(shut, "token 0: wants a signed policy, and there is no signature");
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn volume_that_is_never_asked_for_leaves_nothing_behind() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let literal = enrolled(&mut wire, &srk, &[11, 13]);
    let signed = Volume::make(&passphrase(SECRET).unwrap(), &MINIMAL);
    signed.import_token(&signed_token(&mut wire, &srk, &Signer::rsa()));
    for (volume, handles) in [(&literal, &[0, 0, 1, 2, 2][..]), (&signed, &[0, 0, 1, 2, 3, 3])] {
        for (steps, expected) in handles.iter().enumerate() {
            let mut volumes = Volumes::default();
            volumes.name(&mut tpm(&mut wire), named("data", volume));
            (0..steps).for_each(|_| volumes.step(&mut tpm(&mut wire)));
            assert_eq!(volumes.are_ready(), steps + 1 == handles.len(), "after {steps} steps");
            assert_eq!(left_over(&mut wire).len(), *expected, "after {steps} steps");
            volumes.abandon(&mut tpm(&mut wire));
            assert_eq!(left_over(&mut wire), [], "after {steps} steps");
        }
    }
}

/// TPMs have room for three objects, and one of them is the storage root key while it is used.
#[test]
fn four_volumes_take_no_more_room_than_one() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let made = [(); 4].map(|()| enrolled(&mut wire, &srk, &[11, 13]));
    let names = ["a", "b", "c", "d"];
    let mut volumes = Volumes::default();
    wire.forget();
    prepare(&mut wire, &mut volumes, names.iter().zip(&made).map(|(name, volume)| named(name, volume)));
    assert_sent(&mut wire, &BEFORE);

    // In another order than they were named in: the first makes room, and is prepared again.
    for (name, expected) in
        [("c", [&[CommandCode::FlushContext; 2][..], &BEFORE, &AFTER].concat()), ("a", [&BEFORE[..], &AFTER].concat())]
    {
        let opened = open(&mut wire, &mut volumes, name, None);
        assert_eq!(opened.map(|opened| opened.digest), Ok(0), "{name}");
        assert_sent(&mut wire, &expected);
        assert_eq!(left_over(&mut wire), []);
        wire.forget();
    }
    prepare(&mut wire, &mut volumes, []);
    assert_sent(&mut wire, &BEFORE);
    for name in ["b", "d"] {
        assert_eq!(open(&mut wire, &mut volumes, name, None).map(|opened| opened.digest), Ok(0), "{name}");
    }
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn volume_that_is_found_elsewhere_is_opened_there() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let (old, new) = (enrolled(&mut wire, &srk, &[11, 13]), enrolled(&mut wire, &srk, &[11, 13]));
    let mut volumes = Volumes::default();
    prepare(&mut wire, &mut volumes, [named("data", &old)]);
    wire.forget();
    prepare(&mut wire, &mut volumes, [named("data", &old)]);
    assert_sent(&mut wire, &[]);
    prepare(&mut wire, &mut volumes, [named("data", &new)]);
    assert_sent(&mut wire, &[CommandCode::FlushContext, CommandCode::FlushContext, BEFORE[0], BEFORE[1]]);
    let opened = open(&mut wire, &mut volumes, "data", None).map_err(|error| error.to_string()).unwrap();
    assert_eq!(opened.key.as_bytes(), new.key(&passphrase(SECRET).unwrap()));
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn token_that_cannot_be_loaded_makes_room_for_the_next() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = enrolled(&mut wire, &srk, &[11, 13]);
    remove_srk(&mut wire);
    let srk = make_other_srk(&mut wire);
    let mut volumes = Volumes::default();
    prepare(&mut wire, &mut volumes, [named("data", &volume)]);
    let shut = open(&mut wire, &mut volumes, "data", None).map(|_| ()).unwrap_err().to_string();
    assert_eq!(shut, "token 0: sealed under another storage root key than that at 0x81000001");

    volume.import_token(&crate::volumes::token(&mut wire, &srk, &[11, 13], SECRET));
    wire.forget();
    prepare(&mut wire, &mut volumes, [named("data", &volume)]);
    assert_sent(&mut wire, &[CommandCode::Load, BEFORE[0], BEFORE[1]]);
    assert_eq!(open(&mut wire, &mut volumes, "data", None).map(|opened| opened.digest), Ok(0));
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn what_is_wrong_with_a_volume_is_said_when_it_is_asked_for() {
    let mut machine = Machine::start();
    let (mut wire, _) = set_up(&mut machine);
    let volume = Volume::make(b"secret", &MINIMAL);
    let mut nowhere = named("nowhere", &volume);
    nowhere.node = "/dev/there-is-no-such-node".into();
    let mut volumes = Volumes::default();
    wire.forget();
    prepare(&mut wire, &mut volumes, [nowhere, named("data", &volume)]);
    let mut words = |name: &str| open(&mut wire, &mut volumes, name, None).map(|_| ()).unwrap_err().to_string();
    assert_eq!(words("nowhere"), "open: No such file or directory (os error 2)");
    assert_eq!(words("data"), "no token of type systemd-tpm2");
    assert_eq!(words("other"), "a volume that was not named before");
    assert_eq!(wire.sent.len(), 0);
}
