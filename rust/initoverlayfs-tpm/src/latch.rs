// SPDX-License-Identifier: MIT OR Apache-2.0
//! Extends the register of the image once more, so that nothing unseals any longer before the next reset: for a system that opens volumes
//! by the TPM after the boot stage, once it has.
//!
//! systemd-pcrextend could not: it measures into register 11 alone, and only where systemd's stub measured the kernel
//! (src/pcrextend/pcrextend.c, `efi_measured_uki`).

use std::fmt;
use std::time::{Duration, Instant};

use boot_record::boot_json::{BootRecord, Measurement};
use kernel_edge::Errno;
use serde::Serialize;
use tpm_policy::Bank;
use tpm_policy::event::LATCH;
use tpm_unlock::banks::BanksError;
use tpm_unlock::pcr::measure;
use tpm_unlock::{Error as TpmError, Tpm, Transport, measure_log};

/// How long another writer may keep systemd's log locked: as long as an extension takes. Then the register is extended without it.
const LOCKED: Duration = Duration::from_secs(5);
/// Between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Extend this register.
    Extend(u8),
    /// Nothing: the boot stage has done it.
    Done(u8),
    /// Nothing: no image was measured, so no policy over its register can be met.
    NotMeasured(Measurement),
}

/// Why the register is not extended.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    #[error("no {}: this system was not booted by storage-init; name a register by --pcr", crate::measured::BOOT_JSON)]
    NoRecord,
    #[error("the TPM: {0}")]
    Banks(BanksError),
    #[error("{0}")]
    Tpm(TpmError),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Latched {
    /// Format of this object; it changes when a member changes its meaning.
    pub format: u32,
    /// The register, if there is one.
    pub pcr: Option<u8>,
    /// The banks that were extended; none where there was nothing to do.
    pub banks: Vec<&'static str>,
    /// Whether systemd's log has it.
    pub logged: bool,
    #[serde(skip)]
    plan: Plan,
}

impl Plan {
    /// By what the boot stage did, or for a register that somebody named.
    ///
    /// # Errors
    /// [`Error::NoRecord`].
    pub fn of(record: Option<&BootRecord>, register: Option<u8>) -> Result<Self, Error> {
        match (record, register) {
            (_, Some(register)) => Ok(Self::Extend(register)),
            (None, None) => Err(Error::NoRecord),
            (Some(record), None) => Ok(match &record.measured {
                Some(measured) if record.latched => Self::Done(measured.pcr),
                Some(measured) => Self::Extend(measured.pcr),
                None => Self::NotMeasured(record.measurement),
            }),
        }
    }
}

impl Latched {
    /// Where there was nothing to do.
    #[must_use]
    pub fn without(plan: Plan) -> Self {
        let pcr = match plan {
            Plan::Extend(pcr) | Plan::Done(pcr) => Some(pcr),
            Plan::NotMeasured(_) => None,
        };
        Self { format: 1, pcr, banks: Vec::new(), logged: false, plan }
    }
}

/// Extends a register of these banks.
///
/// # Errors
/// [`Error::Tpm`]; then nobody should go on as if it had been done.
pub fn extend<T: Transport>(
    tpm: &mut Tpm<T>,
    register: u8,
    banks: &[Bank],
    log: Result<measure_log::Open, measure_log::Error>,
) -> Result<Latched, Error> {
    let logged = measure(tpm, register, banks, LATCH, log).map_err(Error::Tpm)?;
    let banks = banks.iter().map(|bank| bank.name()).collect();
    Ok(Latched { banks, logged, ..Latched::without(Plan::Extend(register)) })
}

/// systemd's log, as soon as nobody else writes to it.
///
/// # Errors
/// As [`measure_log::Open::new`].
pub fn log() -> Result<measure_log::Open, measure_log::Error> {
    let begun = Instant::now();
    loop {
        match measure_log::Open::new() {
            Err(measure_log::Error::Call(Errno::AGAIN)) if begun.elapsed() < LOCKED => std::thread::sleep(PAUSE),
            opened => return opened,
        }
    }
}

impl fmt::Display for Latched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plan {
            Plan::Done(register) => write!(f, "register {register}: latched by the boot stage"),
            Plan::NotMeasured(why) => write!(f, "nothing to latch: {why}"),
            Plan::Extend(register) => {
                let log = if self.logged { "" } else { ", not in systemd's log" };
                write!(f, "register {register}: latched, banks {}{log}", self.banks.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn without_a_record_somebody_has_to_name_the_register() {
        assert!(matches!(Plan::of(None, None), Err(Error::NoRecord)));
        assert_eq!(Plan::of(None, Some(14)).unwrap(), Plan::Extend(14));
    }
}
