// SPDX-License-Identifier: MIT OR Apache-2.0
//! The banks of the TPM that are extended.

use core::fmt;

use kernel_edge::{Errno, tpm};
use tpm_policy::Bank;

/// Banks, none twice.
pub type ActiveBanks = heapless::Vec<Bank, { Bank::ALL.len() }>;

/// Why nothing is extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanksError {
    /// The kernel does not say which there are.
    Kernel(Errno),
    /// One that cannot be extended here: SM3.
    Unknown(heapless::String<16>),
    /// One that is there twice.
    Twice,
    /// None.
    None,
}

impl fmt::Display for BanksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(errno) => write!(f, "its banks: {errno}"),
            Self::Unknown(name) => write!(f, "its bank {name} is not known"),
            Self::Twice => f.write_str("it has one bank twice"),
            Self::None => f.write_str("it has no active bank"),
        }
    }
}

impl core::error::Error for BanksError {}

/// Every active bank that the kernel has a folder for. One of those that cannot be extended here (SM3) is refused by name.
///
/// A bank of an algorithm that the kernel does not know either (SHA-3) has no folder: the kernel names it in its own log (drivers/char/tpm/
/// tpm-sysfs.c, "unsupported bank algorithm"), and it is left alone. Its registers stay as they are, for whoever comes later to put there
/// what he likes; no policy of systemd's or of ours can be over them. To ask the TPM would be one command more at each boot.
///
/// # Errors
/// [`BanksError`].
pub fn active_banks() -> Result<ActiveBanks, BanksError> {
    let names = tpm::banks().map_err(BanksError::Kernel)?;
    let mut banks = ActiveBanks::new();
    for name in &names {
        let bank = Bank::of(name).ok_or_else(|| BanksError::Unknown(name.clone()))?;
        banks.push(bank).map_err(|_| BanksError::Twice)?;
    }
    if banks.is_empty() {
        return Err(BanksError::None);
    }
    banks.sort_unstable();
    Ok(banks)
}
