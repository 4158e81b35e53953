// SPDX-License-Identifier: MIT OR Apache-2.0
//! `reboot(2)`: how a boot that does not go on ends.
//!
//! See reboot(2) and kernel/reboot.c.

use nix::sys::reboot::{RebootMode, reboot};

/// Powers the machine off; comes back only where the kernel refused. A board without a power switch halts or, where
/// the kernel gives PID 1 back its exit, panics and resets after CONFIG_PANIC_TIMEOUT. Nothing is synced: the boot
/// stage writes nothing, and a dead disk must not hold up the end.
pub fn power_off() {
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

/// Resets the machine. Comes back only where the kernel refused. Nothing is synced.
pub fn restart() {
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

/// Makes Ctrl-Alt-Del a signal to PID 1 that it does not get, instead of a reset in the middle of the boot.
pub fn ignore_ctrl_alt_del() {
    let _ = nix::sys::reboot::set_cad_enabled(false);
}
