// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the configuration makes of each result.

#![allow(clippy::panic)]

use super::*;
use tpm_policy::Bank;
use tpm_unlock::messages::Banks;

const EVENT: DdiEvent = DdiEvent { root_hash: [1; 32], signer: [2; 32] };

fn failed(state: State) -> Option<Result<(Extended, DdiEvent), Failed>> {
    Some(Err(Failed { state, detail: "as scripted".into() }))
}

fn judged(
    configured: Measure,
    result: Option<Result<(Extended, DdiEvent), Failed>>,
) -> (Result<(Outcome, bool), Refused>, usize) {
    let mut journal = Journal::new();
    let judged = judge(configured, 13, result, "vda2", &mut journal);
    (judged, journal.refused.len())
}

#[test]
fn what_is_not_configured_asks_nobody() {
    let (Ok((outcome, extended)), 0) = judged(Measure::None, None) else { panic!() };
    assert_eq!((outcome.measurement, outcome.measured.is_some(), extended), (Measurement::NotConfigured, false, false));
    assert_eq!(outcome.to_string(), "not configured");
}

#[test]
fn what_was_measured_is_recorded_and_binds_the_boot_to_its_candidate() {
    for configured in [Measure::Prefer, Measure::Require] {
        let extended = Extended { banks: Banks::of(&[Bank::Sha256, Bank::Sha1]), logged: true };
        let (Ok((outcome, true)), 0) = judged(configured, Some(Ok((extended, EVENT)))) else { panic!() };
        assert_eq!(outcome.measurement, Measurement::Measured);
        assert_eq!(outcome.to_string(), "register 13: sha1 sha256");
        let unlogged = Outcome { logged: false, ..outcome.clone() };
        assert_eq!(unlogged.to_string(), "register 13: sha1 sha256, not in systemd's log");
        assert_eq!(outcome.measured.map(|measured| measured.event.as_str().to_owned()), Some(EVENT.to_string()));
    }
}

#[test]
fn without_a_measurement_prefer_goes_on_and_says_so() {
    for (state, measurement, spent) in [
        (State::Missing, Measurement::TpmMissing, false),
        (State::Untouched, Measurement::TpmFailed, false),
        (State::Unknown, Measurement::TpmFailed, true),
    ] {
        let (Ok((outcome, extended)), 0) = judged(Measure::Prefer, failed(state)) else { panic!() };
        assert_eq!((outcome.measurement, outcome.measured, extended), (measurement, None, spent), "{state:?}");
    }
}

#[test]
fn without_a_measurement_require_refuses() {
    for (state, reason) in [(State::Missing, Reason::TpmMissing), (State::Untouched, Reason::TpmFailed)] {
        let (Err(Refused::Untouched(failure)), 1) = judged(Measure::Require, failed(state)) else {
            panic!("{state:?}")
        };
        assert_eq!(failure, Failure::new(reason, "vda2", "as scripted"));
    }
    let (Err(Refused::Spent(failure)), 1) = judged(Measure::Require, failed(State::Unknown)) else { panic!() };
    assert_eq!(failure.reason, Reason::TpmFailed);
    // A loop that forgot to start the process: no measurement is never taken for one.
    let (Err(Refused::Untouched(failure)), 1) = judged(Measure::Require, None) else { panic!() };
    assert_eq!(failure.reason, Reason::TpmFailed);
}
