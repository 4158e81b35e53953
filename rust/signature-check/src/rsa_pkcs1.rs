// SPDX-License-Identifier: MIT OR Apache-2.0
//! RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2): the public operation and the comparison of the whole padding.

use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::digest::Digest;
use sha2::digest::const_oid::AssociatedOid;

use crate::Error;

/// A digest whose name goes into the padding.
pub trait Named: Digest + AssociatedOid {}

impl<D: Digest + AssociatedOid> Named for D {}

/// Numbers big-endian; their sizes were checked by the policy of keys.
pub fn check<D: Named>(modulus: &[u8], exponent: &[u8], digest: &[u8], signature: &[u8]) -> Result<(), Error> {
    if signature.len() != modulus.len() {
        return Err(Error::SignatureSize { needed: modulus.len(), available: signature.len() });
    }
    let key = RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent))
        .map_err(|_| Error::KeyUnusable)?;
    key.verify(Pkcs1v15Sign::new::<D>(), digest, signature).map_err(|_| Error::Rejected)
}
