// SPDX-License-Identifier: MIT OR Apache-2.0
//! Policies over registers as they were.

use tpm_policy::event::{DdiEvent, LATCH};
use tpm_policy::{Bank, PcrMask, digests, pcr};
use tpm_unlock::unseal::{Preparation, Unsealed};
use tpm_unlock::wire::CommandCode;
use tpm_unlock::{UnsealError, extend, unseal};

use crate::machine::{Machine, measure, tpm};
use crate::owner::{Enrolled, left_over, lock_out, make_ecc_srk, read_pcrs, set_up};

pub const SECRET: &[u8] = b"the secret of thirty-two bytes..";
const EVENT: DdiEvent = DdiEvent { root_hash: [7; 32], signer: [9; 32] };

#[test]
fn literal_policy_unseals_in_five_commands() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11, 13]);
    let mut out = Unsealed::default();
    unseal(&mut tpm(&mut wire), &enrolled.key(), None, &mut out).unwrap();
    assert_eq!(out.as_slice(), SECRET);
    let expected = [
        CommandCode::Load,
        CommandCode::StartAuthSession,
        CommandCode::PolicyPcr,
        CommandCode::Unseal,
        CommandCode::FlushContext,
    ];
    assert_eq!(wire.codes(), expected.map(CommandCode::value));
    assert!(!wire.has_seen(&SECRET[..8]), "a part of the secret went over the wire in the clear");
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn literal_policy_costs_seven_commands_with_extend_and_latch_and_none_unseals_after_it() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    let srk = make_ecc_srk(&mut wire);
    // What register 13 will be, computed without a TPM.
    let mask = PcrMask::of(&[11, 13]).unwrap();
    let eleven = read_pcrs(&mut wire, Bank::Sha256, PcrMask::of(&[11]).unwrap());
    let thirteen = pcr::after(Bank::Sha256, [EVENT.data().as_bytes()]);
    let policy = tpm_policy::policy::PolicyDigest::new().pcr(Bank::Sha256, mask, &[eleven[0], thirteen]).unwrap();
    let enrolled = Enrolled {
        blob: crate::owner::seal(&mut wire, SECRET, &policy),
        policy,
        pcrs: mask,
        srk: Some(srk),
        public_key: Vec::new(),
        signed_pcrs: PcrMask::EMPTY,
        signatures: Vec::new(),
    };
    wire.forget();

    let mut out = Unsealed::default();
    let mut tpm = tpm(&mut wire);
    let mut key = Preparation::begin(&enrolled.key()).unwrap();
    while !key.is_ready() {
        key = key.step(&mut tpm).unwrap();
    }
    extend(&mut tpm, 13, &digests(&[Bank::Sha256], EVENT.data().as_bytes())).unwrap();
    key.finish(&mut tpm, None, &mut out).unwrap();
    assert_eq!(out.as_slice(), SECRET);
    drop(tpm);
    measure(&mut wire, 13, LATCH);
    let expected = [
        CommandCode::Load,
        CommandCode::StartAuthSession,
        CommandCode::PcrExtend,
        CommandCode::PolicyPcr,
        CommandCode::Unseal,
        CommandCode::FlushContext,
        CommandCode::PcrExtend,
    ];
    assert_eq!(wire.codes(), expected.map(CommandCode::value));

    let again = unseal(&mut crate::machine::tpm(&mut wire), &enrolled.key(), None, &mut out);
    assert_eq!(again, Err(UnsealError::PcrMismatch));
    assert!(out.is_empty());
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn another_image_gets_no_key_and_leaves_nothing_behind() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11, 13]);
    let mut out = Unsealed::default();
    measure(&mut wire, 13, &EVENT.data());
    assert_eq!(unseal(&mut tpm(&mut wire), &enrolled.key(), None, &mut out), Err(UnsealError::PcrMismatch));
    assert!(out.is_empty());
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn register_that_changes_between_assertion_and_unsealing_is_noticed() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11, 13]);
    let mut out = Unsealed::default();
    let mut extended = false;
    let extend_13 = {
        let mut message =
            vec![0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 13, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
        message.extend([0, 0, 0, 1, 0, 0x0b]);
        message.extend([5; 32]);
        message
    };
    // Somebody else on the machine measures as soon as the policy was asserted: by a second way to the TPM.
    struct Intruder<'a>(&'a mut crate::machine::Wire, &'a mut bool, Vec<u8>);
    impl tpm_unlock::Transport for Intruder<'_> {
        fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, tpm_unlock::TransportError> {
            if command[6..10] == CommandCode::Unseal.value().to_be_bytes() && !*self.1 {
                *self.1 = true;
                let len = self.0.exchange(&self.2, &mut *response)?;
                assert_eq!((len, &response[6..10]), (19, &[0; 4][..]));
            }
            self.0.exchange(command, response)
        }
    }
    let intruder = Intruder(&mut wire, &mut extended, extend_13);
    let mut tpm = tpm_unlock::Tpm::new(intruder, crate::machine::random, std::time::Duration::from_secs(5));
    assert_eq!(unseal(&mut tpm, &enrolled.key(), None, &mut out), Err(UnsealError::PcrChanged));
    drop(tpm);
    assert!(extended && out.is_empty());
    assert_eq!(left_over(&mut wire), []);
}

/// The lock is on passwords, and the policy has none: whoever guesses at passwords does not keep the machine from its disk.
#[test]
fn tpm_that_is_locked_after_wrong_passwords_unseals_what_has_none() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11, 13]);
    lock_out(&mut wire);
    let mut out = Unsealed::default();
    assert_eq!(unseal(&mut tpm(&mut wire), &enrolled.key(), None, &mut out), Ok(()));
    assert_eq!(out.as_slice(), SECRET);
    assert_eq!(left_over(&mut wire), []);
}

#[test]
fn key_that_is_abandoned_after_any_step_leaves_nothing_behind() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11, 13]);
    for (steps, flushed) in [(0, 0), (1, 1), (2, 2)] {
        wire.forget();
        let mut tpm = tpm(&mut wire);
        let mut key = Preparation::begin(&enrolled.key()).unwrap();
        for _ in 0..steps {
            assert!(!key.is_ready());
            key = key.step(&mut tpm).unwrap();
        }
        assert_eq!(key.is_ready(), steps == 2);
        key.abandon(&mut tpm);
        drop(tpm);
        assert_eq!(wire.sent.len(), steps + flushed, "{:x?}", wire.codes());
        assert_eq!(left_over(&mut wire), []);
    }
}

#[test]
fn every_bank_is_extended_by_one_command() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    let banks = [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512];
    extend(&mut tpm(&mut wire), 13, &digests(&banks, EVENT.data().as_bytes())).unwrap();
    assert_eq!(wire.sent.len(), 1);
    let mut seen = 0;
    for bank in banks {
        let values = read_pcrs(&mut wire, bank, PcrMask::of(&[13]).unwrap());
        // A bank that this TPM does not have gives no value.
        for value in values {
            assert_eq!(value, pcr::after(bank, [EVENT.data().as_bytes()]));
            seen += 1;
        }
    }
    assert!(seen >= 2, "swtpm has {seen} banks");
}
