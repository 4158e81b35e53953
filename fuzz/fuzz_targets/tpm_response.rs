// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a TPM answers, as whoever sits on its bus would like it: no answers lead to a secret that is not the TPM's, and those that are
//! refused leave none behind. And what else of the kind is read: the storage root key out of a token, signatures of policies, the messages
//! between the two processes.
#![no_main]

use std::time::Duration;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use tpm_policy::signatures;
use tpm_policy::signing_key::{Exponent, SigningKey};
use tpm_policy::{Bank, PcrMask, digests};
use tpm_unlock::messages::{Reply, Request};
use tpm_unlock::srk::StorageRootKey;
use tpm_unlock::tpm::NoEntropy;
use tpm_unlock::unseal::Unsealed;
use tpm_unlock::{SealedKey, Tpm, Transport, TransportError, extend, unseal};

/// Answers out of the input: each has a length, and a byte that says whether its header is to be right.
struct Answers<'a>(Input<'a>);

impl Transport for Answers<'_> {
    fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        assert!(command.len() >= 10 && command.len() <= 4096);
        let size = command.get(2..6).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes);
        assert_eq!(size.and_then(|size| usize::try_from(size).ok()), Some(command.len()), "a command says its size");
        let (Some(kind), Some(len)) = (self.0.byte(), self.0.byte()) else { return Err(TransportError::Closed) };
        let body = self.0.padded(usize::from(len));
        let mut answer = Vec::new();
        if kind & 1 == 1 {
            // Well formed, and as the command was: the tag is the same.
            answer.extend(&command[..2]);
            answer.extend(u32::try_from(body.len() + 10).expect("a short answer").to_be_bytes());
            answer.extend([0; 4]);
        }
        answer.extend(body);
        response[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }
}

/// Known, so that an input that was found bad is bad again.
fn entropy(bytes: &mut [u8]) -> Result<(), NoEntropy> {
    bytes.fill(7);
    Ok(())
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat()
}

/// The generator of P-256, which is a point as good as any.
const X: [u8; 32] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d,
    0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
];
const Y: [u8; 32] = [
    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

fn storage_root_key() -> Vec<u8> {
    let mut public = vec![0, 0x23, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 0, 3, 0, 0x10];
    public.extend(sized(&X));
    public.extend(sized(&Y));
    let name = tpm_policy::name::Name::of_public_area(&public).expect("SHA-256");
    [&0x8100_0001_u32.to_be_bytes()[..], &sized(name.as_bytes()), &[0, 0, 0, 1], &sized(&public)].concat()
}

fn sealed_object() -> Vec<u8> {
    let public = [&[0, 8, 0, 0x0b, 0, 0, 0, 0x12][..], &sized(&[5; 32]), &[0, 0x10], &sized(&[3; 32])].concat();
    [sized(b"private"), sized(&public)].concat()
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 6 {
        0 => unsealing(rest, Some(&storage_root_key())),
        1 => unsealing(rest, None),
        2 => {
            let mut tpm = Tpm::new(Answers(Input::new(rest)), entropy, Duration::ZERO);
            let _ = extend(&mut tpm, 13, &digests(&Bank::ALL, b"x"));
        }
        3 => {
            if let Ok(key) = StorageRootKey::of_token(rest) {
                assert_eq!(key.handle() >> 24, 0x81, "a persistent one");
            }
        }
        4 => policy(rest),
        _ => {
            if let Ok(request) = Request::decode(rest) {
                assert_eq!(request.encode().as_slice(), rest);
            }
            if let Ok(reply) = Reply::decode(rest) {
                assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
            }
        }
    }
});

/// The HMAC of the answer cannot be guessed: nothing comes of it, whatever is answered.
fn unsealing(answers: &[u8], srk: Option<&[u8]>) {
    let blob = sealed_object();
    let key = SealedKey {
        blob: &blob,
        policy_hash: [5; 32],
        pcrs: PcrMask::of(&[11, 13]).expect("registers"),
        bank: Bank::Sha256,
        srk,
        signed: None,
    };
    let mut out = Unsealed::default();
    let mut tpm = Tpm::new(Answers(Input::new(answers)), entropy, Duration::ZERO);
    assert!(unseal(&mut tpm, &key, None, &mut out).is_err(), "a secret out of nothing");
    assert!(out.is_empty());
}

fn policy(data: &[u8]) {
    let mask = PcrMask::of(&[11]).expect("a register");
    let fingerprint = [0xab; 32];
    if let Ok(found) = signatures::find(data, Bank::Sha256, mask, &fingerprint) {
        assert!(serde_json::from_slice::<serde_json::Value>(data).is_ok(), "a second reader sees no JSON");
        assert!(found.iter().all(|entry| entry.signature.len() <= signatures::MAX_SIGNATURE));
    }
    if let Ok(key) = SigningKey::parse(data) {
        for form in [Exponent::Number, Exponent::Default] {
            let area = key.public_area(form);
            assert!(area.len() > 256 && key.name(form).is_some());
        }
    }
}
