// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody between us and the TPM changes what it says.

use tpm_unlock::unseal::Unsealed;
use tpm_unlock::wire::{CommandCode, Malformed, ResponseCode};
use tpm_unlock::{Error, UnsealError, unseal};

use crate::literal::SECRET;
use crate::machine::{Machine, Spoil, Wire, tpm};
use crate::owner::{Enrolled, left_over, set_up, start_up};

fn attempt(wire: &mut Wire, enrolled: &Enrolled, spoil: Spoil) -> Result<Vec<u8>, UnsealError> {
    wire.forget();
    wire.spoil = spoil;
    let mut out = Unsealed::default();
    let result = unseal(&mut tpm(wire), &enrolled.key(), None, &mut out).map(|()| out.to_vec());
    wire.spoil = Box::new(|_, _, _| ());
    assert!(result.is_ok() || out.is_empty());
    result
}

fn is(command: &[u8], code: CommandCode) -> bool {
    command[6..10] == code.value().to_be_bytes()
}

fn only(code: CommandCode, mut change: impl FnMut(&mut Vec<u8>) + 'static) -> Spoil {
    Box::new(move |_, command, response| {
        if is(command, code) {
            change(response);
        }
    })
}

#[test]
fn every_byte_of_the_secrets_answer_is_protected() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11]);
    assert_eq!(attempt(&mut wire, &enrolled, Box::new(|_, _, _| ())).unwrap(), SECRET);
    let len = wire.received[3].len();
    assert!(len > 100, "{len}");
    for at in 0..len {
        let change = move |response: &mut Vec<u8>| response[at] ^= 0x40;
        let error = attempt(&mut wire, &enrolled, only(CommandCode::Unseal, change)).unwrap_err();
        let command = CommandCode::Unseal;
        let expected = match at {
            // Tag, sizes and the response code are seen to be wrong by themselves.
            0..14 => matches!(error, UnsealError::Tpm(Error::Malformed { .. } | Error::Refused { .. })),
            _ => {
                error == UnsealError::Tpm(Error::Tampered { command })
                    || matches!(error, UnsealError::Tpm(Error::Malformed { command: CommandCode::Unseal, .. }))
            }
        };
        assert!(expected, "byte {at}: {error:?}");
    }
    // The secret itself: 2 bytes of size behind the header and the size of the parameters.
    for at in 16..16 + SECRET.len() {
        let change = move |response: &mut Vec<u8>| response[at] ^= 1;
        let error = attempt(&mut wire, &enrolled, only(CommandCode::Unseal, change)).unwrap_err();
        assert_eq!(error, UnsealError::Tpm(Error::Tampered { command: CommandCode::Unseal }), "byte {at}");
    }
    assert_eq!(left_over(&mut wire), []);
}

/// Every answer, cut at every length: refused by where it ends, and nothing stays in the TPM but what the lost answer was about.
#[test]
fn every_answer_that_is_cut_is_refused() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11]);
    attempt(&mut wire, &enrolled, Box::new(|_, _, _| ())).unwrap();
    let lengths: Vec<usize> = wire.received.iter().map(Vec::len).collect();
    for (number, len) in lengths.into_iter().enumerate() {
        for cut in 0..len {
            let fixed_up = cut % 2 == 0;
            let spoil: Spoil = Box::new(move |at, _, response| {
                if at == number {
                    response.truncate(cut);
                    // A clever one says the right size.
                    if fixed_up && cut >= 6 {
                        response[2..6].copy_from_slice(&u32::try_from(cut).unwrap().to_be_bytes());
                    }
                }
            });
            let error = attempt(&mut wire, &enrolled, spoil).unwrap_err();
            assert!(
                matches!(
                    error,
                    UnsealError::Tpm(Error::Malformed {
                        error: Malformed::Truncated { .. } | Malformed::Value { .. } | Malformed::Trailing { .. },
                        ..
                    })
                ),
                "answer {number} cut to {cut} of {len}: {error:?}"
            );
            // What the TPM made, and could not tell: the owner flushes it, so that there is room for the next try.
            for handle in left_over(&mut wire) {
                crate::owner::command(&mut wire, 0x165, &[], 0, &handle.to_be_bytes());
            }
        }
    }
}

#[test]
fn garbage_is_refused() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11]);
    for (garbage, expected) in [
        (vec![], Malformed::Truncated { offset: 0, needed: 2, available: 0 }),
        (vec![0xff; 64], Malformed::Value { offset: 2, found: u32::MAX, expected: 64 }),
        (vec![0; 10], Malformed::Value { offset: 2, found: 0, expected: 10 }),
        (b"\x80\x02\0\0\0\x0b\0\0\x09\x22x".to_vec(), Malformed::Trailing { offset: 10, len: 1 }),
        (b"\x80\x01\0\0\0\x0a\0\0\0\0".to_vec(), Malformed::Value { offset: 0, found: 0x8001, expected: 0x8002 }),
    ] {
        let spoil: Spoil = Box::new(move |at, _, response| {
            if at == 0 {
                response.clone_from(&garbage);
            }
        });
        let error = attempt(&mut wire, &enrolled, spoil).unwrap_err();
        assert_eq!(error, UnsealError::Tpm(Error::Malformed { command: CommandCode::Load, error: expected }));
        for handle in left_over(&mut wire) {
            crate::owner::command(&mut wire, 0x165, &[], 0, &handle.to_be_bytes());
        }
    }
}

#[test]
fn answer_of_another_session_is_refused() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11]);
    attempt(&mut wire, &enrolled, Box::new(|_, _, _| ())).unwrap();
    let recorded = wire.received[3].clone();
    let replay = move |response: &mut Vec<u8>| response.clone_from(&recorded);
    let error = attempt(&mut wire, &enrolled, only(CommandCode::Unseal, replay)).unwrap_err();
    assert_eq!(error, UnsealError::Tpm(Error::Tampered { command: CommandCode::Unseal }));
    assert_eq!(left_over(&mut wire), []);
}

/// A TPM that is locked says so in its own word.
#[test]
fn refusals_have_their_names() {
    let mut machine = Machine::start();
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11]);
    let refused = |code: u32| {
        move |response: &mut Vec<u8>| {
            *response = [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat();
        }
    };
    for (code, expected) in [
        (0x921, UnsealError::Lockout),
        (0x98e, UnsealError::AuthFail),
        (0x9a2, UnsealError::AuthFail),
        (0x99d, UnsealError::PcrMismatch),
        (0x128, UnsealError::PcrChanged),
        (0x101, UnsealError::Tpm(Error::Refused { command: CommandCode::Unseal, code: ResponseCode::of(0x101) })),
    ] {
        let error = attempt(&mut wire, &enrolled, only(CommandCode::Unseal, refused(code))).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(left_over(&mut wire), [], "{expected:?}");
    }
    let error = attempt(&mut wire, &enrolled, only(CommandCode::StartAuthSession, refused(0x903))).unwrap_err();
    let code = ResponseCode::SESSION_MEMORY;
    assert_eq!(error, UnsealError::Tpm(Error::Refused { command: CommandCode::StartAuthSession, code }));
    // The session that was made and denied is the only thing that is left.
    assert!(left_over(&mut wire).iter().all(|handle| handle >> 24 == 3 || handle >> 24 == 2));
}

/// Between any two commands, the TPM alone: with it go sessions, objects and registers. Whoever did it may start it up again.
#[test]
fn tpm_that_is_reset_in_mid_session_gives_no_key_and_says_where_it_was() {
    const NO_SUCH_OBJECT: u32 = 0x910;
    let mut machine = Machine::start();
    // Registers as they are after a reset: it is not they that keep the secret.
    let (mut wire, enrolled) = set_up(&mut machine, SECRET, &[11]);
    let refused = |command, code| UnsealError::Tpm(Error::Refused { command, code });
    let not_started = |command| (false, refused(command, ResponseCode::INITIALIZE));
    let forgotten = |command| (true, refused(command, ResponseCode::of(NO_SUCH_OBJECT)));
    for (after, (started, expected)) in [
        (CommandCode::Load, not_started(CommandCode::StartAuthSession)),
        (CommandCode::StartAuthSession, not_started(CommandCode::PolicyPcr)),
        (CommandCode::PolicyPcr, not_started(CommandCode::Unseal)),
        (CommandCode::Unseal, not_started(CommandCode::FlushContext)),
        (CommandCode::Load, forgotten(CommandCode::Unseal)),
        (CommandCode::StartAuthSession, forgotten(CommandCode::PolicyPcr)),
        (CommandCode::PolicyPcr, forgotten(CommandCode::Unseal)),
        (CommandCode::Unseal, (true, refused(CommandCode::FlushContext, ResponseCode::HANDLE))),
    ] {
        let (mut reset, mut beside) = (machine.reset_wire(), wire.beside());
        let spoil = only(after, move |_| {
            reset.pull();
            if started {
                start_up(&mut beside);
            }
        });
        assert_eq!(attempt(&mut wire, &enrolled, spoil), Err(expected), "after {after}, started: {started}");
        if !started {
            start_up(&mut wire);
        }
        assert_eq!(left_over(&mut wire), []);
    }
    assert_eq!(attempt(&mut wire, &enrolled, Box::new(|_, _, _| ())).unwrap(), SECRET);
}
