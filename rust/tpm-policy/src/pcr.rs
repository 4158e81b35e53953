// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers: sets of them, and their values after events (part 1, 17.2 "Extend of a PCR").

use core::fmt;

use crate::bank::{Bank, Digest};

/// Registers that every TPM for a PC or embedded client has: 0 to 23.
pub const COUNT: u8 = 24;

/// A set of registers of one bank.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PcrMask(u32);

impl PcrMask {
    /// No register.
    pub const EMPTY: Self = Self(0);

    /// The set with these bits, bit 0 for register 0; `None` if there is one above 23.
    #[must_use]
    pub const fn of_bits(bits: u32) -> Option<Self> {
        if bits >> COUNT == 0 { Some(Self(bits)) } else { None }
    }

    /// The set of these registers; `None` if one is above 23.
    #[must_use]
    pub fn of(registers: &[u8]) -> Option<Self> {
        registers.iter().try_fold(Self::EMPTY, |mask, register| mask.with(*register))
    }

    /// This set and one register more; `None` if that is above 23.
    #[must_use]
    pub const fn with(self, register: u8) -> Option<Self> {
        if register < COUNT { Some(Self(self.0 | 1 << register)) } else { None }
    }

    /// Bit 0 for register 0.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a register is in it.
    #[must_use]
    pub const fn contains(self, register: u8) -> bool {
        register < COUNT && self.0 & 1 << register != 0
    }

    /// Its registers, lowest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..COUNT).filter(move |register| self.contains(*register))
    }

    /// `TPMS_PCR_SELECTION.pcrSelect` (part 2, 10.6.1): three bytes, register 0 is the lowest bit of the first.
    #[must_use]
    pub const fn select(self) -> [u8; 3] {
        let [first, second, third, _] = self.0.to_le_bytes();
        [first, second, third]
    }
}

impl fmt::Display for PcrMask {
    /// As people write it: `11+13`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, register) in self.iter().enumerate() {
            write!(f, "{}{register}", if place == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for PcrMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PcrMask({self})")
    }
}

/// The value of a register that began at zero, after the events whose data are `events`.
#[must_use]
pub fn after<'a>(bank: Bank, events: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    events.into_iter().fold(Digest::zero(bank), |value, data| {
        let event = bank.digest(&[data]);
        bank.digest(&[value.as_bytes(), event.as_bytes()])
    })
}
