// SPDX-License-Identifier: MIT OR Apache-2.0
//! `clock_gettime(CLOCK_MONOTONIC)`: the one clock of the boot.
//!
//! It starts with the kernel's timekeeping: what firmware and boot loader took, and the kernel's first instructions, are not
//! in it. The wall clock is never asked: there is none yet.
//!
//! See clock_gettime(2).

/// Microseconds since the kernel's timekeeping started.
#[must_use]
pub fn now_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
}
