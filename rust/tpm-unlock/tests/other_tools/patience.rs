// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TPM that asks for patience, for a while or for ever.

use std::time::{Duration, Instant};

use tpm_policy::{Bank, digests};
use tpm_unlock::wire::{CommandCode, ResponseCode};
use tpm_unlock::{Error, Tpm, Transport, TransportError, extend};

use crate::machine::random;

/// Answers with these codes in turn, and the last one for ever.
struct Scripted {
    codes: Vec<u32>,
    commands: usize,
}

impl Transport for Scripted {
    fn exchange(&mut self, _: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        let code = self.codes[self.commands.min(self.codes.len() - 1)];
        self.commands += 1;
        let success: &[u8] = &[0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
        let refusal = [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat();
        let bytes = if code == 0 { success } else { &refusal };
        response[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

fn attempt(codes: &[u32], patience: Duration) -> (Result<(), Error>, usize) {
    let mut transport = Scripted { codes: codes.to_vec(), commands: 0 };
    let result = extend(&mut Tpm::new(&mut transport, random, patience), 13, &digests(&[Bank::Sha256], b"x"));
    (result, transport.commands)
}

#[test]
fn command_is_sent_again_until_the_tpm_has_time() {
    assert_eq!(attempt(&[0x922, 0x908, 0x90a, 0x920, 0], Duration::from_secs(10)), (Ok(()), 5));
}

#[test]
fn patience_ends_at_the_deadline() {
    let begun = Instant::now();
    let (result, commands) = attempt(&[0x90a], Duration::from_millis(100));
    let command = CommandCode::PcrExtend;
    assert_eq!(result, Err(Error::Deadline { command, code: ResponseCode::TESTING }));
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(5));
    assert!((3..=20).contains(&commands), "{commands} commands in 100 ms");
}

#[test]
fn refusal_is_not_tried_again() {
    let command = CommandCode::PcrExtend;
    assert_eq!(
        attempt(&[0x921], Duration::from_secs(10)),
        (Err(Error::Refused { command, code: ResponseCode::LOCKOUT }), 1)
    );
}
