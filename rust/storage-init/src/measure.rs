// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 7: [`SignedRoot`] -> [`Measured`].
//!
//! The place of measurement: between the signature and the first block that is read. This version has no TPM support;
//! it does nothing here, says so in boot.json, and refuses every configuration that asks for more.

use boot_record::boot_json::Measurement;
use boot_record::config::Measure;

use crate::verify::SignedRoot;

/// A signed root for which the configured measurement was carried out. Holding one says that it may be read, and
/// whether a TPM register now depends on it.
#[derive(Debug)]
pub struct Measured {
    signed: SignedRoot,
    outcome: Measurement,
}

/// Made only here: what was measured may be read.
#[derive(Debug)]
pub struct Done(());

impl Measured {
    /// Whether a register was extended, after which no other candidate may be tried.
    pub fn extended(&self) -> bool {
        match self.outcome {
            Measurement::NotConfigured => false,
        }
    }

    /// Takes it apart for the next stage.
    pub fn into_parts(self) -> (SignedRoot, Measurement, Done) {
        (self.signed, self.outcome, Done(()))
    }
}

/// Carries out what the configuration says.
pub fn measure(signed: SignedRoot, configured: Measure) -> Measured {
    let outcome = match configured {
        Measure::None => Measurement::NotConfigured,
    };
    Measured { signed, outcome }
}
