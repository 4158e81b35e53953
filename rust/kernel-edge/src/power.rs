// SPDX-License-Identifier: MIT OR Apache-2.0
//! `reboot(2)`: how a boot that does not go on ends.
//!
//! See reboot(2); reboot(RB_POWER_OFF) halts where the board has no power switch.

use nix::sys::reboot::{RebootMode, reboot};

/// Powers the machine off. Comes back only where the kernel refused, which it does to other processes than PID 1 of
/// the first PID namespace without CAP_SYS_BOOT.
pub fn power_off() {
    rustix::fs::sync();
    let _ = reboot(RebootMode::RB_POWER_OFF);
    let _ = reboot(RebootMode::RB_HALT_SYSTEM);
}

/// Resets the machine. Comes back only where the kernel refused.
pub fn restart() {
    rustix::fs::sync();
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

/// Makes Ctrl-Alt-Del a signal to PID 1 that it does not get, instead of a reset in the middle of the boot.
pub fn ignore_ctrl_alt_del() {
    let _ = nix::sys::reboot::set_cad_enabled(false);
}
