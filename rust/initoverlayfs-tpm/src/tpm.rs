// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TPM of the running system, beside whoever else uses it.

use std::time::Duration;

use kernel_edge::Errno;
use kernel_edge::tpm::{Device, NODE, SHARED_NODE};
use tpm_unlock::tpm::kernel_entropy;
use tpm_unlock::{Tpm, Transport, TransportError};

/// How long all commands of one run may take, and each of them. A TPM on SPI takes seconds for a self-test, and tens of milliseconds for
/// what is asked here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Its device.
#[derive(Debug)]
pub struct Kernel(Device);

/// There is none, or it cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node}: {errno}")]
pub struct Error {
    /// The node that was tried.
    pub node: &'static str,
    /// What the kernel said.
    pub errno: Errno,
}

impl Transport for Kernel {
    fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        self.0.exchange(command, response, PATIENCE).map_err(|error| TransportError::of_device(error, PATIENCE))
    }
}

/// Opens it: by the kernel's resource manager where there is one, else alone.
///
/// # Errors
/// [`Error`].
pub fn open() -> Result<Tpm<Kernel>, Error> {
    let device = match Device::open_shared() {
        Err(Errno::NOENT) => Device::open().map_err(|errno| Error { node: NODE, errno }),
        opened => opened.map_err(|errno| Error { node: SHARED_NODE, errno }),
    };
    Ok(Tpm::new(Kernel(device?), kernel_entropy, PATIENCE))
}
