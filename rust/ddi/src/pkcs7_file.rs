// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PKCS#7 signature in a file: DER, or PEM as `openssl smime -outform pem` (`PKCS7`) and `openssl cms` (`CMS`) write it.

use std::path::Path;

use crate::pem;

/// Why a file gives no signature.
pub type Error = pem::Error;

/// The DER of the only signature in a file.
///
/// # Errors
/// See [`Error`]. Whether it is a signature at all is for who reads the DER.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = pem::read(path)?;
    // A sequence, of a length that does not fit one byte: no text has such a second byte.
    if matches!(bytes.as_slice(), [0x30, 0x80..=0xff, ..]) {
        return Ok(bytes.to_vec());
    }
    let text = pem::text(path, &bytes)?;
    let block = pem::sole_block(path, text, "PKCS7", |label| matches!(label, "PKCS7" | "CMS"))?;
    pem::decode(path, &block).map(|der| der.to_vec())
}
