// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of objects (part 1, 16 "Names"): the algorithm and digest of a public area.

use core::fmt;

use boot_formats::hex::Hex;

use crate::bank::Bank;

/// Bytes of a name: an algorithm and a SHA-256.
pub const LEN: usize = 34;

/// The name of an object whose name algorithm is SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u8; LEN]);

impl Name {
    /// The name of the object with this `TPMT_PUBLIC`; `None` if its name algorithm is another than SHA-256.
    #[must_use]
    pub fn of_public_area(public_area: &[u8]) -> Option<Self> {
        let algorithm = Bank::Sha256.algorithm().to_be_bytes();
        // TPMT_PUBLIC (part 2, 12.2.4): type, then nameAlg.
        if public_area.get(2..4)? != algorithm {
            return None;
        }
        let mut name = [0; LEN];
        let (head, digest) = name.split_at_mut_checked(algorithm.len())?;
        head.copy_from_slice(&algorithm);
        digest.copy_from_slice(Bank::Sha256.digest(&[public_area]).as_bytes());
        Some(Self(name))
    }

    /// As it goes over the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}
