// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the boot stage measures: one event for the DDI that it is about to read from.

use core::fmt::{self, Write};

use boot_formats::hex::Hex;
use heapless::String;

/// What the event's data begin with.
pub const PREFIX: &str = "initoverlayfs-ddi:";
/// Bytes of the event's data.
pub const LEN: usize = 147;

/// A DDI as it is measured. Nothing in it but what is known when it is signed: not where it lies, nor its slot, nor the
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DdiEvent {
    /// The root hash of its hash tree.
    pub root_hash: [u8; 32],
    /// SHA-256 of the certificate of its signer.
    pub signer: [u8; 32],
}

impl DdiEvent {
    /// The event's data, which is text: `initoverlayfs-ddi:ROOT-HASH:SIGNER` in lower-case hexadecimal digits. It stands in the
    /// log as it is, and whoever replays the log hashes it.
    #[must_use]
    pub fn data(&self) -> String<LEN> {
        let mut data = String::new();
        // It fits: LEN is its length, which a test sees to.
        let _ = write!(data, "{self}");
        data
    }
}

impl fmt::Display for DdiEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", Hex(&self.root_hash), Hex(&self.signer))
    }
}

/// What is measured last, so that nothing can unseal any more what depends on the register: no digest of a DDI is ever this one.
pub const LATCH: &str = "initoverlayfs-latch";
