// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to a TPM: one command there, one response back.

use core::fmt;
use core::time::Duration;

use kernel_edge::tpm;

/// Where commands go. `/dev/tpm0` is `kernel_edge::tpm::Device`; tests have a socket, or answers of their own.
pub trait Transport {
    /// Sends one command and writes the response to the start of `response`; gives the number of its bytes.
    ///
    /// # Errors
    /// [`TransportError`]. What the TPM itself answers, a refusal included, is a response.
    fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TransportError>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        (**self).exchange(command, response)
    }
}

/// Why a command has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The command was not taken: write(2).
    Send {
        /// The kernel's error number.
        errno: i32,
    },
    /// The response was not given: read(2).
    Receive {
        /// The kernel's error number.
        errno: i32,
    },
    /// The command was not taken whole.
    Short {
        /// Bytes of the command.
        needed: usize,
        /// Bytes that were taken.
        available: usize,
    },
    /// No response in time.
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// The other end is gone.
    Closed,
}

impl TransportError {
    /// What the kernel's device said, which was given `patience` for an answer.
    #[must_use]
    pub const fn of_device(error: tpm::Error, patience: Duration) -> Self {
        match error {
            tpm::Error::Write(errno) => Self::Send { errno: errno.raw_os_error() },
            tpm::Error::Short { needed, available } => Self::Short { needed, available },
            tpm::Error::TimedOut => Self::TimedOut { after: patience },
            tpm::Error::Poll(errno) | tpm::Error::Read(errno) => Self::Receive { errno: errno.raw_os_error() },
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { errno } => write!(f, "command not sent (os error {errno})"),
            Self::Receive { errno } => write!(f, "response not received (os error {errno})"),
            Self::Short { needed, available } => write!(f, "{available} bytes of a command of {needed} were taken"),
            Self::TimedOut { after } => write!(f, "no response in {} ms", after.as_millis()),
            Self::Closed => f.write_str("no TPM at the other end"),
        }
    }
}

impl core::error::Error for TransportError {}
