// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TPM's side of disk encryption in the running system: what `initoverlayfs-tpm` does.
//!
//! * [`enroll`](mod@enroll) binds a LUKS2 volume to the TPM by a token of systemd's type, so that the boot stage opens it, and
//!   systemd-cryptsetup too. What the boot stage would not open, or should not, is refused: its own rules are asked
//!   ([`tpm_unlock::unlock::Rules`]), and its own reading of the header.
//! * [`status`](mod@status) says what a volume has and what the boot stage makes of it, [`wipe`](mod@wipe) takes it away again,
//!   [`latch`](mod@latch) extends the register once more.
//! * The secret is made here, of the kernel's random bytes; it crosses the bus encrypted and goes to cryptsetup through a pipe. It is in no
//!   file, no argument, no environment, and is zeroed when it was used.
//! * The header is written by cryptsetup alone. What was half done is undone.
//! * A crate of its own beside tpm-unlock, so that nothing of it (a parser of command lines, a JSON writer) is in what PID 1 is built from.
//!
//! What it does not do: make a storage root key, make or open volumes, or run in the boot stage.

pub mod cli;
pub mod cryptsetup;
pub mod enroll;
pub mod latch;
pub mod measured;
pub mod policy;
pub mod seal;
pub mod status;
pub mod survey;
pub mod token;
pub mod tpm;
pub mod wipe;
