// SPDX-License-Identifier: MIT OR Apache-2.0
//! `clock_gettime(CLOCK_MONOTONIC)`: the one clock of the boot.
//!
//! It starts with the kernel's timekeeping: what firmware and boot loader took, and the kernel's first instructions, are not
//! in it. The wall clock is never asked: there is none yet.
//!
//! See clock_gettime(2).

use core::time::Duration;

use rustix::time::{ClockId, Timespec};

/// Microseconds since the kernel's timekeeping started.
#[must_use]
pub fn now_us() -> u64 {
    read(ClockId::Monotonic)
}

/// As [`now_us`], with the time in which the machine slept: what systemd's logs count in (CLOCK_BOOTTIME).
#[must_use]
pub fn boottime_us() -> u64 {
    read(ClockId::Boottime)
}

fn read(clock: ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
}

/// A span as the kernel's calls take it.
pub(crate) fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(span.subsec_nanos()) }
}
