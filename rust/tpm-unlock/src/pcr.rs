// SPDX-License-Identifier: MIT OR Apache-2.0
//! `TPM2_PCR_Extend` (part 3, 22.2): measures.

use tpm_policy::{Bank, Digests, digests};

use crate::measure_log;
use crate::tpm::{Authorization, Command, Error, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, Full, Writer};

/// Extends a register, in each bank that there is a digest of, by one command.
///
/// # Errors
/// [`Error`]; [`Error::was_not_carried_out`] says whether the register may have been extended.
pub fn extend<T: Transport>(tpm: &mut Tpm<T>, pcr: u8, digests: &Digests) -> Result<(), Error> {
    let command = CommandCode::PcrExtend;
    let parameters = parameters(digests).map_err(|Full| Error::TooLong { command })?;
    let response = tpm.run(&Command {
        code: command,
        // The handle of a register is its number (part 2, 7.5).
        handles: &[u32::from(pcr)],
        authorization: Authorization::EmptyPassword,
        parameters: parameters.as_bytes(),
        gives_handle: false,
    })?;
    if response.parameters.is_empty() {
        Ok(())
    } else {
        let error = crate::wire::Malformed::Trailing { offset: 0, len: response.parameters.len() };
        Err(Error::Malformed { command, error })
    }
}

/// Measures an event into a register, and writes that down in systemd's log; whether it is written down.
///
/// What cannot be written down is measured all the same: a log that lacks a record shows it, and a register that lacks an event opens
/// what it should keep shut.
///
/// # Errors
/// As [`extend`]; then nothing is written down, and the log is marked if the register may have been extended.
pub fn measure<T: Transport>(
    tpm: &mut Tpm<T>,
    pcr: u8,
    banks: &[Bank],
    event: &str,
    log: Result<measure_log::Open, measure_log::Error>,
) -> Result<bool, Error> {
    let digests = digests(banks, event.as_bytes());
    match extend(tpm, pcr, &digests) {
        // Where it cannot be appended the mark stays, and says that a record is missing.
        Ok(()) => Ok(log.is_ok_and(|log| log.append(pcr, &digests, event).is_ok())),
        Err(error) => {
            if error.was_not_carried_out()
                && let Ok(log) = log
            {
                // The error that is reported is the first.
                let _ = log.unmark();
            }
            Err(error)
        }
    }
}

/// `TPML_DIGEST_VALUES` (part 2, 10.9.6).
fn parameters(digests: &Digests) -> Result<Writer, Full> {
    let mut parameters = Writer::new();
    parameters.u32(u32::try_from(digests.len()).map_err(|_| Full)?)?;
    for digest in digests {
        parameters.u16(digest.bank().algorithm())?.raw(digest.as_bytes())?;
    }
    Ok(parameters)
}
