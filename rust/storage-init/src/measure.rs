// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 7: [`SignedRoot`] -> [`Measured`].
//!
//! Between the signature and the first block that is read: one event with root hash and signer, in every active bank. It holds
//! nothing that is not known when the image is signed, so that a policy can be signed with it.
//!
//! What is recorded is what the configuration asks for: nothing, the image where there is a TPM, or the image or no boot.

use boot_record::boot_json::{MeasuredRecord, Measurement};
use boot_record::config::{Config, Measure};
use boot_record::event::Event;
use boot_record::reason::Reason;
use tpm_policy::event::DdiEvent;
use tpm_unlock::messages::State;

use crate::failure::{Failure, text};
use crate::journal::Journal;
use crate::tpm::{Extended, Failed, Tpm};
use crate::verify::{Facts, SignedRoot};

/// A signed root for which the configured measurement was carried out. Holding one says that it may be read, and
/// whether a TPM register now depends on it.
#[derive(Debug)]
pub struct Measured {
    signed: SignedRoot,
    outcome: Outcome,
    extended: bool,
}

/// What came of measuring, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which of the outcomes.
    pub measurement: Measurement,
    /// Where and as what, if it was measured.
    pub measured: Option<Box<MeasuredRecord>>,
    /// Whether systemd's log has it.
    pub logged: bool,
}

/// Made only here: what was measured may be read.
#[derive(Debug)]
pub struct Done(());

/// Why a boot does not go on unmeasured.
#[derive(Debug)]
pub enum Refused {
    /// No register was touched: another candidate may be tried.
    Untouched(Failure),
    /// A register may depend on this candidate: no other may be tried.
    Spent(Failure),
}

impl Measured {
    /// Whether a register was extended, or may have been, after which no other candidate may be tried.
    pub fn extended(&self) -> bool {
        self.extended
    }

    /// What came of it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Takes it apart for the next stage.
    pub fn into_parts(self) -> (SignedRoot, Outcome, Done) {
        (self.signed, self.outcome, Done(()))
    }
}

/// Carries out what the configuration says. `tpm` is not there where the configuration wants none.
///
/// # Errors
/// [`Refused`]: `tpm-missing` or `tpm-failed`, where the configuration requires a measurement.
pub fn measure(
    signed: SignedRoot,
    config: &Config,
    tpm: Option<&mut Result<Tpm, Failed>>,
    journal: &mut Journal,
    alive: impl Fn(),
) -> Result<Measured, Refused> {
    let result = match tpm {
        None => None,
        Some(Ok(tpm)) => Some(extend(tpm, config.measure_pcr, signed.facts(), alive)),
        Some(Err(failed)) => Some(Err(failed.clone())),
    };
    let (outcome, extended) = judge(config.measure, config.measure_pcr, result, &signed.facts().label, journal)?;
    Ok(Measured { signed, outcome, extended })
}

fn extend(tpm: &mut Tpm, pcr: u8, facts: &Facts, alive: impl Fn()) -> Result<(Extended, DdiEvent), Failed> {
    let event = DdiEvent { root_hash: *facts.root_hash.as_bytes(), signer: facts.signer.sha256 };
    tpm.measure(pcr, &event.data(), alive).map(|extended| (extended, event))
}

/// What the configuration makes of the result; whether a register was extended, or may have been.
fn judge(
    configured: Measure,
    pcr: u8,
    result: Option<Result<(Extended, DdiEvent), Failed>>,
    device: &str,
    journal: &mut Journal,
) -> Result<(Outcome, bool), Refused> {
    let failed = match (configured, result) {
        (Measure::None, _) => {
            return Ok((Outcome { measurement: Measurement::NotConfigured, measured: None, logged: false }, false));
        }
        (_, Some(Ok((extended, event)))) => {
            let banks = extended.banks.iter().map(|bank| text(bank.name())).collect();
            let measured = MeasuredRecord { pcr, banks, event: text(event) };
            let (measurement, measured) = (Measurement::Measured, Some(Box::new(measured)));
            return Ok((Outcome { measurement, measured, logged: extended.logged }, true));
        }
        (_, Some(Err(failed))) => failed,
        (_, None) => Failed { state: State::Untouched, detail: "nobody was asked to measure".into() },
    };
    let (reason, measurement) = match failed.state {
        State::Missing => (Reason::TpmMissing, Measurement::TpmMissing),
        State::Untouched | State::Unknown => (Reason::TpmFailed, Measurement::TpmFailed),
    };
    let spent = failed.state == State::Unknown;
    if configured == Measure::Require {
        let failure = Failure::new(reason, device, &failed.detail);
        journal.refused(&failure);
        return Err(if spent { Refused::Spent(failure) } else { Refused::Untouched(failure) });
    }
    journal.log(&Event::NotMeasured { reason, detail: &failed.detail });
    Ok((Outcome { measurement, measured: None, logged: false }, spent))
}

/// What the stage came to, for the log.
impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (&self.measured, self.measurement) {
            (Some(measured), _) => {
                write!(f, "register {}:", measured.pcr)?;
                measured.banks.iter().try_for_each(|bank| write!(f, " {bank}"))?;
                f.write_str(if self.logged { "" } else { crate::tpm::UNLOGGED })
            }
            (None, Measurement::NotConfigured) => f.write_str("not configured"),
            (None, measurement) => measurement.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
