// SPDX-License-Identifier: MIT OR Apache-2.0
//! Key derivation by SHA-256 (part 1, 11.4.10): `KDFa` from a shared secret, `KDFe` from a point.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 32 bytes that are zeroed when they are dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// HMAC-SHA256 over `parts` as if they were one.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether `expected` is the HMAC-SHA256 over `parts`; takes the same time whatever is wrong.
#[must_use]
pub fn hmac_is(key: &[u8], parts: &[&[u8]], expected: &[u8]) -> bool {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(expected).is_ok()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length, so this type's only error cannot be.
    Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()))
}

/// `KDFa(SHA-256, key, label, context_u, context_v, 256)`: one round of the counter.
#[must_use]
pub fn kdfa(key: &[u8], label: &str, context_u: &[u8], context_v: &[u8]) -> Secret {
    let (counter, bits) = (1_u32.to_be_bytes(), 256_u32.to_be_bytes());
    Zeroizing::new(hmac(key, &[&counter, label.as_bytes(), &[0], context_u, context_v, &bits]))
}

/// `KDFe(SHA-256, z, use, party_u, party_v, 256)`: one round of the counter.
#[must_use]
pub fn kdfe(z: &[u8], usage: &str, party_u: &[u8], party_v: &[u8]) -> Secret {
    let mut hash = Sha256::new();
    for part in [&1_u32.to_be_bytes(), z, usage.as_bytes(), &[0], party_u, party_v] {
        hash.update(part);
    }
    Zeroizing::new(hash.finalize().into())
}
