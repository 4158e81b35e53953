// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a TPM's registers and policies come to, computed without a TPM.
//!
//! * No I/O, no allocation, no unsafe code, no panic; the same code on the device and on the build host.
//! * [`pcr`] predicts registers, [`policy`] the digests of policies over them, [`name`] the names of objects: equal, byte
//!   for byte, to what a TPM computes.
//! * [`event`] says what the boot stage measures; [`log_record`] writes it down as systemd does.
//! * Whatever a TPM could do and the boot stage does not use (other hash algorithms for names and policies than SHA-256,
//!   registers above 23) is refused by type.
//!
//! What it does not do: talk to a TPM, check a signature, or decide which registers make a good policy.
//!
//! Section numbers are those of the TCG's TPM 2.0 Library Specification, revision 1.59.

#![no_std]

mod bank;
pub mod event;
pub mod log_record;
pub mod name;
pub mod pcr;
pub mod policy;
pub mod signatures;
pub mod signing_key;

pub use bank::{Bank, Digest, Digests, digests};
pub use pcr::PcrMask;
