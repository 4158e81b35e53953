// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes big-endian integers and sized buffers.

use zeroize::Zeroize;

use super::MAX_MESSAGE;

/// More bytes than [`MAX_MESSAGE`]: what a caller gave is longer than any of a TPM's structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A message under construction. Zeroed when it is dropped.
pub struct Writer {
    bytes: heapless::Vec<u8, MAX_MESSAGE>,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: heapless::Vec::new() }
    }

    /// Makes it empty again.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Full`], here and below.
    pub fn u8(&mut self, value: u8) -> Result<&mut Self, Full> {
        self.raw(&[value])
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`Full`].
    pub fn u16(&mut self, value: u16) -> Result<&mut Self, Full> {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`Full`].
    pub fn u32(&mut self, value: u32) -> Result<&mut Self, Full> {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// [`Full`].
    pub fn raw(&mut self, bytes: &[u8]) -> Result<&mut Self, Full> {
        self.bytes.extend_from_slice(bytes).map_err(|_| Full)?;
        Ok(self)
    }

    /// `TPM2B`: two bytes of size, and the bytes.
    ///
    /// # Errors
    /// [`Full`], also for more bytes than the size can say.
    pub fn sized(&mut self, bytes: &[u8]) -> Result<&mut Self, Full> {
        self.u16(u16::try_from(bytes.len()).map_err(|_| Full)?)?.raw(bytes)
    }

    /// Writes over the four bytes at `offset`.
    ///
    /// # Errors
    /// [`Full`] where there are none.
    pub fn set_u32(&mut self, offset: usize, value: u32) -> Result<(), Full> {
        let place = self.bytes.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<4>()).ok_or(Full)?;
        *place = value.to_be_bytes();
        Ok(())
    }

    /// What was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written, to be changed in place.
    #[must_use]
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
