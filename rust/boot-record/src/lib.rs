// SPDX-License-Identifier: MIT OR Apache-2.0
//! This project's own formats: what the boot is told, and what it tells.
//!
//! * [`config`]: `/etc/initoverlayfs.conf` of the mini-initramfs.
//! * [`cmdline`]: the kernel command line, and which words of it a configuration lets through.
//! * [`modules`]: the list of kernel modules that the boot stage loads.
//! * [`stage`], [`reason`], [`event`]: where the boot is, why it refuses, and one line for each thing that happens.
//! * [`log_header`]: what the log of those events begins with.
//! * [`boot_json`]: the record that the booted system finds in `/run/initoverlayfs/boot.json`.
//!
//! No I/O, no unsafe code, no panic; what is large is allocated. Unknown keys, values and members are refused. Every text has a limit
//! in bytes that is part of its type.
//!
//! What it does not do: act. Which candidate is tried next, and what becomes of a failure, storage-init decides.

#![no_std]

extern crate alloc;

pub mod boot_json;
pub mod cmdline;
pub mod config;
pub mod event;
pub mod log_header;
pub mod modules;
pub mod reason;
pub mod stage;
