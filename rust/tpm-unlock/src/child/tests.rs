// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TPM that is there, comes late, or does not come.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use super::*;
use std::cell::Cell;

/// A TPM that appears after this long, on a machine where something else happens every 20 ms. Gives how often it was looked for too.
fn awaited(appears: Duration, patience: Duration, absent: Errno) -> (Result<(), Failed>, u32) {
    let (begun, looks) = (Instant::now(), Cell::new(0));
    let open = || {
        looks.set(looks.get() + 1);
        if begun.elapsed() >= appears { Ok(()) } else { Err(absent) }
    };
    let wait = |left: Duration| {
        std::thread::sleep(left.min(Duration::from_millis(20)));
        Ok(())
    };
    (await_device(patience, open, wait), looks.get())
}

#[test]
fn tpm_that_appears_after_three_seconds_is_taken() {
    for absent in [Errno::NOENT, Errno::NODEV, Errno::NXIO] {
        let (result, looks) = awaited(Duration::from_millis(300), Duration::from_secs(20), absent);
        assert_eq!(result, Ok(()));
        assert!(looks > 2, "{looks}");
    }
    let (result, _) = awaited(Duration::from_secs(3), Duration::from_secs(5), Errno::NOENT);
    assert_eq!(result, Ok(()));
    assert_eq!(awaited(Duration::ZERO, Duration::ZERO, Errno::NOENT), (Ok(()), 1), "one that is there needs no time");
}

#[test]
fn tpm_that_does_not_come_is_missing_at_the_deadline() {
    let begun = Instant::now();
    let (result, _) = awaited(Duration::MAX, Duration::from_millis(100), Errno::NOENT);
    assert_eq!(result, Err(Failed::new(State::Missing, format_args!("no /dev/tpm0 within 100 ms"))));
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn tpm_that_somebody_else_has_is_not_waited_for() {
    let (result, looks) = awaited(Duration::MAX, Duration::from_secs(20), Errno::BUSY);
    let busy = Failed::new(State::Untouched, format_args!("/dev/tpm0: {}", Errno::BUSY));
    assert_eq!((result, looks), (Err(busy), 1));
}
