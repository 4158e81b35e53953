// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes that were enrolled, and who opens them.

use initoverlayfs_tpm::policy::Request;
use tpm_policy::event::{DdiEvent, LATCH};
use tpm_policy::{Bank, PcrMask, pcr};
use tpm_unlock::token::Token;
use tpm_unlock::unseal;
use tpm_unlock::unseal::Unsealed;
use tpm_unlock::volume::{Copies, Disk, passphrase};
use tpm_unlock::wire::CommandCode;

use crate::desk::{Desk, literal, signed};
use crate::machine::{Machine, measure, tpm};
use crate::owner::{literal_policy, make_rsa_srk, seal};
use crate::signer::{Signer, json};

/// What the first token's secret is: by the boot stage's own way to it.
fn secret(desk: &mut Desk) -> Unsealed {
    let copies = Copies::read(&desk.volume);
    let metadata = copies.header().unwrap().metadata(desk.volume.bytes()).unwrap();
    let token = Token::parse(metadata.tokens().unwrap().first().unwrap()).unwrap();
    let mut secret = Unsealed::default();
    unseal(&mut tpm(&mut desk.wire), &token.sealed_key(), None, &mut secret).unwrap();
    secret
}

#[test]
fn volume_enrolled_to_registers_opens_as_long_as_they_are_so() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    measure(&mut desk.wire, 11, "a kernel");
    measure(&mut desk.wire, 13, "an image");
    let enrolled = desk.enroll(&literal("11+13")).unwrap();
    assert_eq!((enrolled.token, enrolled.keyslot), (0, 1));
    let policy = literal_policy(&mut desk.wire, PcrMask::of(&[11, 13]).unwrap());
    assert_eq!(
        enrolled.to_string(),
        format!("{}: token 0, keyslot 1: registers 11+13 as they are, bank sha256, policy {policy}", desk.device())
    );
    desk.opens(None);
    measure(&mut desk.wire, 13, LATCH);
    assert_eq!(desk.shut(None), "token 0: the registers are not as the policy wants them");
}

#[test]
fn neither_secret_nor_passphrase_nor_volume_key_is_on_the_bus() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.enroll(&literal("11+13")).unwrap();
    let expected = [
        CommandCode::PcrRead,
        CommandCode::ReadPublic,
        CommandCode::StartAuthSession,
        CommandCode::Create,
        // What was sealed is unsealed once.
        CommandCode::Load,
        CommandCode::StartAuthSession,
        CommandCode::PolicyPcr,
        CommandCode::Unseal,
        CommandCode::FlushContext,
    ];
    assert_eq!(desk.wire.codes(), expected.map(CommandCode::value));
    let sent = (desk.wire.sent.clone(), desk.wire.received.clone());
    let secret = secret(&mut desk);
    let key = desk.volume.key(crate::desk::REMEMBERED);
    let text = passphrase(&secret).unwrap();
    (desk.wire.sent, desk.wire.received) = sent;
    for plain in [secret.as_slice(), &text, &key] {
        assert!(!desk.wire.has_seen(&plain[..8]), "a part of a secret went over the wire in the clear");
    }
    // Who seals without a session shows it: the look at the wire finds what is there.
    let policy = literal_policy(&mut desk.wire, PcrMask::of(&[11, 13]).unwrap());
    seal(&mut desk.wire, &secret, &policy);
    assert!(desk.wire.has_seen(&secret[..8]));
}

#[test]
fn volume_enrolled_to_a_key_opens_with_every_release_that_it_signs() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let (signer, other) = (Signer::rsa(), Signer::rsa());
    let enrolled = desk.enroll(&signed(&signer)).unwrap();
    assert!(enrolled.to_string().contains("registers 11+13 as the key signs, bank sha256, policy "), "{enrolled}");
    assert_eq!(desk.shut(None), "token 0: wants a signed policy, and there is no signature");
    for release in ["release 1", "release 2"] {
        measure(&mut desk.wire, 13, release);
        let policy = literal_policy(&mut desk.wire, PcrMask::of(&[11, 13]).unwrap());
        desk.opens(Some(&json(&[signer.entry(&[11, 13], &policy)])));
        let foreign = json(&[other.entry(&[11, 13], &policy)]);
        assert_eq!(desk.shut(Some(&foreign)), "token 0: no signature for this key, bank and registers");
    }
}

#[test]
fn registers_of_both_kinds_go_into_one_policy() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let signer = Signer::rsa();
    let both = Request { literals: "7".parse().unwrap(), ..signed(&signer) };
    let enrolled = desk.enroll(&both).unwrap();
    assert_eq!((enrolled.pcrs.as_slice(), enrolled.signed_pcrs.as_slice()), (&[7][..], &[11, 13][..]));
    let policy = literal_policy(&mut desk.wire, PcrMask::of(&[11, 13]).unwrap());
    let signatures = json(&[signer.entry(&[11, 13], &policy)]);
    desk.opens(Some(&signatures));
    measure(&mut desk.wire, 7, "other keys of Secure Boot");
    assert_eq!(desk.shut(Some(&signatures)), "token 0: the registers are not as the policy wants them");
}

/// As `ddi sign-policy` predicts them: the system that runs when it is enrolled has measured more.
#[test]
fn values_that_registers_will_have_are_enrolled_without_being_there() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let image = DdiEvent { root_hash: [1; 32], signer: [2; 32] }.data();
    let value = |event: &str| pcr::after(Bank::Sha256, [event.as_bytes()]);
    desk.enroll(&literal(&format!("13={}+11={}", value(&image), value("a kernel")))).unwrap();
    assert_eq!(desk.shut(None), "token 0: the registers are not as the policy wants them");
    measure(&mut desk.wire, 11, "a kernel");
    measure(&mut desk.wire, 13, &image);
    desk.opens(None);
}

/// More than one TPM2_PCR_Read gives.
#[test]
fn policy_may_be_over_more_registers_than_one_command_reads() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    measure(&mut desk.wire, 14, "the last one");
    desk.enroll(&literal("0+1+2+3+4+5+6+7+8+9+11+13+14")).unwrap();
    let reads = desk.wire.codes().iter().filter(|code| **code == CommandCode::PcrRead.value()).count();
    assert_eq!(reads, 2);
    desk.opens(None);
}

#[test]
fn rsa_storage_root_key_will_do() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    make_rsa_srk(&mut wire);
    let mut desk = Desk::without_srk(wire);
    desk.enroll(&literal("11+13")).unwrap();
    desk.opens(None);
}

#[test]
fn token_of_another_kind_stays_as_it_is() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.volume.import_token(r#"{"type":"of somebody else","keyslots":["0"],"their":"own"}"#);
    let before = desk.survey().tokens;
    let enrolled = desk.enroll(&literal("11+13")).unwrap();
    assert_eq!((enrolled.token, enrolled.keyslot), (1, 1));
    let after = desk.survey().tokens;
    assert_eq!((after.len(), &after[..1]), (2, &before[..]));
    desk.opens(None);
}
