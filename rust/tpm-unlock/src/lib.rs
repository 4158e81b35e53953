// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TPM's half of the boot stage: measures, and unseals what a policy over the measurements protects.
//!
//! * One process owns the TPM. Commands go to it one at a time, are counted by hand ([`unseal`] has the list), and none waits
//!   without a deadline.
//! * What comes back is not believed: lengths, tags and handles are checked, and what a session protects has to have its HMAC.
//! * A secret crosses the bus encrypted, and lies in memory that is zeroed when it is dropped; it has no `Debug`. What working with it left
//!   on the stack is overwritten where the process is done with a volume ([`stack`]). Registers, and what the kernel keeps, are
//!   not ours to clear.
//! * What was loaded or begun in the TPM is flushed, also where something failed.
//! * A LUKS2 volume is read as strictly as [`boot_formats::luks2`] does; [`token`] says how its key is sealed, [`keyslot`] takes
//!   the volume key out by what was unsealed, [`volume`] reads what that takes, [`unlock`] does all of it, and [`mapping`] has the
//!   kernel make a device of it. What needs no register is done before one is measured, for one of the [`volumes`] after the other.
//! * Every refusal is typed: a locked TPM, another register, another key, no storage root key, a spoilt answer.
//! * As a process of its own ([`child`]) it does what PID 1 asks it to ([`messages`]), and logs nothing: PID 1 does.
//!
//! What it does not do: make primary keys, define anything in the TPM's memory, or decide what
//! is measured.
//!
//! Section numbers are those of the TCG's TPM 2.0 Library Specification, revision 1.59.

pub mod banks;
pub mod child;
pub mod commands;
mod kdf;
pub mod keyslot;
pub mod mapping;
pub mod measure_log;
pub mod messages;
pub mod pcr;
pub mod session;
pub mod srk;
pub mod stack;
pub mod token;
pub mod tpm;
pub mod transport;
pub mod unlock;
pub mod unseal;
pub mod volume;
pub mod volumes;
pub mod wire;

pub use pcr::extend;
pub use tpm::{Error, Tpm};
pub use transport::{Transport, TransportError};
pub use unseal::{SealedKey, SignedPolicy, UnsealError, unseal};
