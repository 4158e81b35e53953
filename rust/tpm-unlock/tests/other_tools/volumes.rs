// SPDX-License-Identifier: MIT OR Apache-2.0
//! A volume, a TPM, and what comes of the two.

use boot_formats::hex::Hex;
use tpm_policy::PcrMask;
use tpm_policy::event::{DdiEvent, LATCH};
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signing_key::Exponent;
use tpm_unlock::stack::scrubbed;
use tpm_unlock::unlock::{Opened, Rules, UnlockError, unlock};
use tpm_unlock::volume::passphrase;

use crate::machine::{Machine, Wire, measure, tpm};
use crate::owner::{clear, left_over, literal_policy, make_ecc_srk, make_other_srk, remove_srk, seal};
use crate::signer::{Signer, json};
use crate::workshop::{MINIMAL, Volume};

pub const SECRET: &[u8; 32] = b"the secret of thirty-two bytes..";
pub const RULES: Rules = Rules { measured: 13, any_registers: false };

/// A TPM, and its storage root key.
pub fn set_up(machine: &mut Machine) -> (Wire, Vec<u8>) {
    let mut wire = machine.connect();
    let srk = make_ecc_srk(&mut wire);
    (wire, srk)
}

/// A volume whose only keyslot is that of a token.
pub fn enrolled(wire: &mut Wire, srk: &[u8], pcrs: &[u8]) -> Volume {
    enrolled_with(wire, srk, pcrs, "--sector-size=4096")
}

fn enrolled_with(wire: &mut Wire, srk: &[u8], pcrs: &[u8], option: &str) -> Volume {
    let volume = Volume::make(&passphrase(SECRET).unwrap(), &[&[option][..], &MINIMAL].concat());
    volume.import_token(&token(wire, srk, pcrs, SECRET));
    volume
}

pub fn token(wire: &mut Wire, srk: &[u8], pcrs: &[u8], secret: &[u8]) -> String {
    let policy = match pcrs {
        [] => PolicyDigest::new(),
        _ => literal_policy(wire, PcrMask::of(pcrs).unwrap()),
    };
    token_of(wire, srk, pcrs, secret, &policy)
}

/// A token of this policy over these registers.
pub fn token_of(wire: &mut Wire, srk: &[u8], pcrs: &[u8], secret: &[u8], policy: &PolicyDigest) -> String {
    let blob = seal(wire, secret, policy);
    format!(
        r#"{{"type":"systemd-tpm2","keyslots":["0"],"tpm2-blob":"{}","tpm2-pcrs":{pcrs:?},"tpm2-pcr-bank":"sha256",
        "tpm2-primary-alg":"ecc","tpm2-policy-hash":"{}","tpm2_srk":"{}"}}"#,
        base64(&blob),
        Hex(policy.as_bytes()),
        base64(srk),
    )
}

/// A token of the policy that this signer signs for registers 11 and 13.
pub fn signed_token(wire: &mut Wire, srk: &[u8], signer: &Signer) -> String {
    let policy = PolicyDigest::authorize(&signer.key().name(Exponent::Number).unwrap(), &[]);
    let blob = seal(wire, SECRET, &policy);
    format!(
        r#"{{"type":"systemd-tpm2","keyslots":["0"],"tpm2-blob":"{}","tpm2-pcrs":[],"tpm2-pcr-bank":"sha256",
        "tpm2-policy-hash":"{}","tpm2_srk":"{}","tpm2_pubkey_pcrs":[11,13],"tpm2_pubkey":"{}"}}"#,
        base64(&blob),
        Hex(policy.as_bytes()),
        base64(srk),
        base64(&signer.pem),
    )
}

fn base64(bytes: &[u8]) -> String {
    <base64ct::Base64 as base64ct::Encoding>::encode_string(bytes)
}

fn open(wire: &mut Wire, volume: &Volume, rules: Rules) -> Result<Opened, UnlockError> {
    let opened = unlock(&mut tpm(wire), volume, rules, None);
    assert_eq!(left_over(wire), []);
    opened
}

fn words(wire: &mut Wire, volume: &Volume) -> String {
    open(wire, volume, RULES).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn volume_opens_to_the_key_that_cryptsetup_finds() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = enrolled(&mut wire, &srk, &[11, 13]);
    wire.forget();
    let opened = unlock(&mut tpm(&mut wire), &volume, RULES, None).map_err(|error| error.to_string()).unwrap();
    assert_eq!(wire.sent.len(), 5, "{:x?}", wire.codes());
    assert_eq!(opened.key.as_bytes(), volume.key(&passphrase(SECRET).unwrap()));
    assert_eq!((opened.digest, opened.segment.sector_size, opened.segment.range.offset), (0, 4096, 1 << 20));
    assert_eq!(opened.uuid.len(), 36);
    let text = passphrase(SECRET).unwrap();
    for secret in [SECRET.as_slice(), &text, opened.key.as_bytes()] {
        assert!(!wire.has_seen(&secret[..8]), "a part of a secret went over the wire in the clear");
    }
}

#[test]
fn volume_with_sectors_of_512_bytes_opens() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = enrolled_with(&mut wire, &srk, &[11, 13], "--sector-size=512");
    let opened = open(&mut wire, &volume, RULES).map_err(|error| error.to_string()).unwrap();
    assert_eq!(opened.key.as_bytes(), volume.key(&passphrase(SECRET).unwrap()));
    assert_eq!((opened.segment.sector_size, opened.segment.range.offset), (512, 1 << 20));
}

/// Once the kernel has it, there is no copy of the volume key in the process.
#[test]
fn volume_key_is_nowhere_in_memory_when_the_work_is_done() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = enrolled(&mut wire, &srk, &[11, 13]);
    let mut complement = volume.key(&passphrase(SECRET).unwrap());
    complement.iter_mut().for_each(|byte| *byte = !*byte);
    let seen = scrubbed(|| {
        let opened = unlock(&mut tpm(&mut wire), &volume, RULES, None).map_err(|error| error.to_string()).unwrap();
        let seen = copies_of(&complement);
        drop(opened);
        seen
    });
    assert!(seen > 0, "the key that is in use was not found: nor would others be");
    assert_eq!(copies_of(&complement), 0);
}

/// How often the bytes stand in this process's memory whose complement is given, so that it is not found itself.
fn copies_of(complement: &[u8]) -> usize {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut copy = vec![0_u8; 1 << 20];
    let own = copy.as_ptr_range();
    let own = own.start as u64..own.end as u64;
    let is_here = |bytes: &[u8]| bytes.iter().zip(complement).all(|(byte, complement)| *byte == !complement);
    let mut copies = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let mut at = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        while at < end {
            let most = copy.len().min((end - at) as usize);
            // What another thread has just given back cannot be read.
            let Ok(read @ 1..) = memory.read_at(&mut copy[..most], at) else { break };
            for (offset, bytes) in (at..).zip(copy[..read].windows(complement.len())) {
                if !own.contains(&offset) && is_here(bytes) {
                    copies += 1;
                }
            }
            // So that one that lies across two steps is whole in the next.
            at += if read < most || at + read as u64 == end { read } else { read - complement.len() } as u64;
        }
    }
    copy.fill(0);
    copies
}

#[test]
fn policy_signed_by_another_key_opens_nothing() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let (signer, other) = (Signer::rsa(), Signer::rsa());
    let registers = literal_policy(&mut wire, PcrMask::of(&[11, 13]).unwrap());
    let volume = Volume::make(&passphrase(SECRET).unwrap(), &MINIMAL);
    volume.import_token(&signed_token(&mut wire, &srk, &signer));
    let mut attempt = |signatures: Option<&[u8]>| {
        let opened = unlock(&mut tpm(&mut wire), &volume, RULES, signatures);
        assert_eq!(left_over(&mut wire), []);
        opened.map(|_| ()).map_err(|error| error.to_string())
    };
    let refused = |words: &str| Err(format!("token 0: {words}"));
    assert_eq!(attempt(None), refused("wants a signed policy, and there is no signature"));
    let foreign = other.entry(&[11, 13], &registers);
    assert_eq!(
        attempt(Some(&json(std::slice::from_ref(&foreign)))),
        refused("no signature for this key, bank and registers")
    );
    let lie = foreign.replace(&other.fingerprint(), &signer.fingerprint());
    assert_eq!(attempt(Some(&json(&[lie]))), refused("the policy's signature is not by its key"));
    assert_eq!(attempt(Some(&json(&[signer.entry(&[11, 13], &registers)]))), Ok(()));
}

#[test]
fn another_image_and_the_latch_keep_it_shut() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = enrolled(&mut wire, &srk, &[11, 13]);
    assert!(open(&mut wire, &volume, RULES).is_ok());
    measure(&mut wire, 13, LATCH);
    let shut = "token 0: the registers are not as the policy wants them";
    assert_eq!(words(&mut wire, &volume), shut);

    let event = DdiEvent { root_hash: [1; 32], signer: [2; 32] }.data();
    let volume = enrolled(&mut wire, &srk, &[11, 13]);
    measure(&mut wire, 13, &event);
    assert_eq!(words(&mut wire, &volume), shut);
}

#[test]
fn policy_that_holds_nobody_off_is_refused_unless_that_is_asked_for() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    for (pcrs, expected) in [
        (&[13][..], "token 0: policy over register 13 alone, which any kernel can extend"),
        (&[11, 13, 16], "token 0: policy over register 16, which a running system can reset"),
        (&[11, 23], "token 0: policy over register 23, which a running system can reset"),
    ] {
        let volume = enrolled(&mut wire, &srk, pcrs);
        wire.forget();
        assert_eq!(unlock(&mut tpm(&mut wire), &volume, RULES, None).map(|_| ()).unwrap_err().to_string(), expected);
        assert_eq!(wire.sent.len(), 0, "the TPM was asked for a secret");
        assert!(open(&mut wire, &volume, Rules { any_registers: true, ..RULES }).is_ok());
    }
}

#[test]
fn storage_root_key_that_is_missing_or_another_is_named() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = enrolled(&mut wire, &srk, &[11, 13]);
    remove_srk(&mut wire);
    assert_eq!(words(&mut wire, &volume), "token 0: no storage root key at 0x81000001");
    make_other_srk(&mut wire);
    assert_eq!(words(&mut wire, &volume), "token 0: sealed under another storage root key than that at 0x81000001");
    clear(&mut wire);
    assert_eq!(words(&mut wire, &volume), "token 0: no storage root key at 0x81000001");
}

#[test]
fn second_token_opens_where_the_first_is_not_ours() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = Volume::make(&passphrase(SECRET).unwrap(), &MINIMAL);
    assert_eq!(words(&mut wire, &volume), "no token of type systemd-tpm2");
    volume.import_token(r#"{"type":"of somebody else","keyslots":["0"]}"#);
    assert_eq!(words(&mut wire, &volume), "no token of type systemd-tpm2");
    let pin = token(&mut wire, &srk, &[11, 13], SECRET).replacen("{", r#"{"tpm2-pin":true,"#, 1);
    volume.import_token(&pin);
    assert_eq!(words(&mut wire, &volume), "token 1: wants a PIN");
    let good = token(&mut wire, &srk, &[11, 13], SECRET);
    volume.import_token(&good);
    assert!(open(&mut wire, &volume, RULES).is_ok());
}

#[test]
fn secret_of_another_keyslot_does_not_open_the_volume() {
    let mut machine = Machine::start();
    let (mut wire, srk) = set_up(&mut machine);
    let volume = Volume::make(b"somebody else's", &MINIMAL);
    let wrong = token(&mut wire, &srk, &[11, 13], SECRET);
    volume.import_token(&wrong);
    assert_eq!(words(&mut wire, &volume), "token 0: the keyslot does not open by this secret");
}
