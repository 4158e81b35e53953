// SPDX-License-Identifier: MIT OR Apache-2.0
//! `TPM2_PCR_Extend` (part 3, 22.2): measures.

use tpm_policy::Digests;

use crate::tpm::{Authorization, Command, Error, Tpm};
use crate::transport::Transport;
use crate::wire::{CommandCode, Full, Writer};

/// Extends a register, in each bank that there is a digest of, by one command.
///
/// # Errors
/// [`Error`]. After one that is not `Refused`, nobody knows whether the register was extended.
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

/// `TPML_DIGEST_VALUES` (part 2, 10.9.6).
fn parameters(digests: &Digests) -> Result<Writer, Full> {
    let mut parameters = Writer::new();
    parameters.u32(u32::try_from(digests.len()).map_err(|_| Full)?)?;
    for digest in digests {
        parameters.u16(digest.bank().algorithm())?.raw(digest.as_bytes())?;
    }
    Ok(parameters)
}
