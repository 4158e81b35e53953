// SPDX-License-Identifier: MIT OR Apache-2.0
//! ECDSA (FIPS 186-5, section 6.4.2) over a digest; a signature is the DER of two numbers (RFC 3279, section 2.2.3).
//!
//! A digest longer than the curve's order is cut, a shorter one is taken as the number it is: as the kernel does. Both s and
//! the order less s are good, as for the kernel.

use p256::ecdsa::signature::hazmat::PrehashVerifier;

use crate::Error;

/// By a key on P-256: an uncompressed point.
pub fn check_p256(point: &[u8], digest: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| Error::KeyUnusable)?;
    let signature = p256::ecdsa::Signature::from_der(signature).map_err(|_| Error::EcdsaForm)?;
    key.verify_prehash(digest, &signature).map_err(|_| Error::Rejected)
}

/// By a key on P-384: an uncompressed point.
pub fn check_p384(point: &[u8], digest: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| Error::KeyUnusable)?;
    let signature = p384::ecdsa::Signature::from_der(signature).map_err(|_| Error::EcdsaForm)?;
    key.verify_prehash(digest, &signature).map_err(|_| Error::Rejected)
}
