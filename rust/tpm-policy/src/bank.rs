// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hash algorithms of PCR banks, and their digests.

use core::fmt;

use boot_formats::hex::Hex;

/// Bytes of the longest digest.
const LONGEST: usize = 64;

/// A bank of registers, by its hash algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bank {
    /// SHA-1: extended where a TPM has it, so that no register stays unused; never part of a policy of ours.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Bank {
    /// Every bank.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// As sysfs, systemd and tpm2-tools call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The bank of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.name() == name)
    }

    /// Its `TPM_ALG_ID` (part 2, 6.3).
    #[must_use]
    pub const fn algorithm(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }

    /// Bytes of its digests.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `parts` as if they were one.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        match self {
            Self::Sha1 => of_parts::<sha1::Sha1>(self, parts),
            Self::Sha256 => of_parts::<sha2::Sha256>(self, parts),
            Self::Sha384 => of_parts::<sha2::Sha384>(self, parts),
            Self::Sha512 => of_parts::<sha2::Sha512>(self, parts),
        }
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn of_parts<H: sha2::Digest>(bank: Bank, parts: &[&[u8]]) -> Digest {
    let mut hash = H::new();
    for part in parts {
        hash.update(part);
    }
    Digest::of_bytes(bank, &hash.finalize()).unwrap_or(Digest::zero(bank))
}

/// One digest for each of several banks, none twice: what a register is extended by.
pub type Digests = heapless::Vec<Digest, { Bank::ALL.len() }>;

/// The digests of `data` for these banks, in their order; one that is named again is left out.
#[must_use]
pub fn digests(banks: &[Bank], data: &[u8]) -> Digests {
    let mut digests = Digests::new();
    for bank in banks {
        if !digests.iter().any(|digest| digest.bank() == *bank) {
            // There is room for each bank once.
            let _ = digests.push(bank.digest(&[data]));
        }
    }
    digests
}

/// A digest of a bank's algorithm, also the value of one of its registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    bank: Bank,
    // Zero behind the digest, so that equal digests are equal.
    bytes: [u8; LONGEST],
}

impl Digest {
    /// All bytes zero: the value of a register that nothing was measured into.
    #[must_use]
    pub const fn zero(bank: Bank) -> Self {
        Self { bank, bytes: [0; LONGEST] }
    }

    /// Takes over a digest's bytes; `None` if their number is not that of the algorithm.
    #[must_use]
    pub fn of_bytes(bank: Bank, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != bank.digest_len() {
            return None;
        }
        let mut digest = Self::zero(bank);
        digest.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(digest)
    }

    /// Of which bank.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.bank.digest_len()).unwrap_or_default()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.bank)
    }
}
