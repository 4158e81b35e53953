// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process at the other end that answers late, or something else. The TPM's own part is tested where it is.

#![allow(clippy::unwrap_used)]

use std::ffi::CString;
use std::time::Instant;

use super::*;

/// `take` waits for one request.
fn tpm(script: &str) -> Tpm {
    let begin = "exec 2>/dev/null\ntake() { dd bs=512 count=1 of=/dev/null 2>&1 <&0; }\ntake >&2";
    let script = CString::new(format!("{begin}\n{script}")).unwrap();
    Tpm::by(Code::Linked, Worker::run(c"/bin/sh", &[c"sh", c"-c", &script]), Duration::from_millis(50)).unwrap()
}

/// Extended in SHA-256, written down.
const EXTENDED: &str = r"printf '\201\002\001' >&0";
const UNLOCKED: &str = r"printf '\203\000\001u' >&0";

fn failed(state: State, detail: &str) -> Failed {
    Failed { state, detail: detail.into() }
}

#[test]
fn answer_in_time_is_taken() {
    let mut tpm = tpm(&format!("take >&2; {EXTENDED}; take >&2; {UNLOCKED}; take >&2"));
    let banks = Banks::of(&[tpm_policy::Bank::Sha256]);
    assert_eq!(tpm.measure(13, "x", || ()), Ok(Extended { banks, logged: true }));
    tpm.unlock("data").unwrap();
    assert_eq!(tpm.unlocked(|| ()).as_deref(), Ok("u"));
    assert_eq!(tpm.finish(|| ()), Ok(()));
}

/// The latch would pass for done, by the answer to the measurement.
#[test]
fn late_answer_is_not_taken_for_that_to_the_next_request() {
    let mut tpm = tpm(&format!("take >&2; sleep 1; {EXTENDED}; exec sleep 60"));
    let begun = Instant::now();
    let late = failed(State::Unknown, "tpm-unlock: no answer in time");
    assert_eq!(tpm.measure(13, "x", || ()), Err(late));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    std::thread::sleep(Duration::from_millis(1200));
    let ended = failed(State::Untouched, "tpm-unlock: ended, since it owed an answer");
    assert_eq!(tpm.latch(13, || ()), Err(ended.clone()));
    assert_eq!(tpm.unlock("data"), Err(ended));
    assert_eq!(tpm.finish(|| ()), Ok(()), "it was killed, and is gone");
}

#[test]
fn answer_to_another_request_ends_the_process() {
    let mut tpm = tpm(&format!("take >&2; {UNLOCKED}; {EXTENDED}; exec sleep 60"));
    let other = failed(State::Unknown, "tpm-unlock: an answer to another request");
    assert_eq!(tpm.measure(13, "x", || ()), Err(other));
    assert!(tpm.latch(13, || ()).is_err_and(|failed| failed.state == State::Untouched));
}

#[test]
fn process_that_is_gone_is_named() {
    let mut tpm = tpm("take >&2; exit 0");
    let gone = failed(State::Unknown, "tpm-unlock: the process is gone");
    assert_eq!(tpm.measure(13, "x", || ()), Err(gone));
    assert_eq!(tpm.finish(|| ()), Ok(()));
}

#[test]
fn process_that_the_kernel_does_not_let_go_of_is_reported_at_the_end() {
    let tpm = Tpm { worker: None, patience: Duration::ZERO, stuck: true, _code: Code::Linked };
    assert_eq!(tpm.finish(|| ()), Err(Stuck));
}
