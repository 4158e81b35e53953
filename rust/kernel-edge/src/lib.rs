// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel calls of the boot stage.
//!
//! * One file per kernel family. Each says in its first line which call it wraps and in its last which page of the
//!   manual or of the kernel's documentation describes it.
//! * The only crate of the boot binary with unsafe code: the ioctls and system calls that rustix and nix have no safe
//!   form of. Everything it hands out is safe to use in any order.
//! * errno becomes meaning here: each family has an error that names the call and keeps the errno. Above, only "it is not
//!   there" and "the medium refused" are told apart.
//! * It owns what it makes: a [`dm::Device`] or [`loop_device::LoopDevice`] that is dropped is taken down;
//!   only [`loop_device::LoopDevice::hold`] leaves something, on purpose.
//! * It decides nothing: what is mounted, verified or booted, and in which order, is storage-init's.
//! * No panic, and no wait for an event without a deadline.

pub mod arena;
pub mod block;
pub mod boot_log;
pub mod build_id;
pub mod clock;
pub mod crypt;
pub mod dm;
mod entry;
pub mod file;
pub mod file_map;
pub mod keyring;
pub mod kmsg;
pub mod loop_device;
pub mod module;
pub mod mounts;
mod poll;
pub mod power;
pub mod process;
pub mod random;
pub mod stdio;
pub mod tpm;
pub mod uevents;
pub mod verity;
pub mod watchdog;

/// The kernel's error number, kept by every error of this crate.
pub use rustix::io::Errno;
