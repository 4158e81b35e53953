// SPDX-License-Identifier: MIT OR Apache-2.0
//! A salt by RSA-2048 with OAEP and SHA-256 (part 1, B.10.2; RFC 8017, 7.1.1), for machines whose storage root key systemd made as
//! RSA.

use p256::elliptic_curve::bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use p256::elliptic_curve::bigint::{Encoding, U2048, Word};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Salt, SaltError, random_secret};
use crate::tpm::NoEntropy;

/// Bytes of a modulus.
const LEN: usize = 256;
/// Bytes of a digest.
const HASH: usize = 32;
/// 65537, the only exponent of a parent.
const EXPONENT: Word = 65537;
const EXPONENT_BITS: usize = 17;
/// What the padding is for (part 1, B.4): a zero ends it.
const LABEL: &[u8] = b"SECRET\0";
const LIMBS: usize = U2048::LIMBS;

/// An odd number of 2048 bits.
#[derive(Clone)]
pub(super) struct Modulus(U2048);

impl Modulus {
    /// `None` for other numbers.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let is_full = bytes.first().is_some_and(|first| *first >= 0x80);
        let is_odd = bytes.last().is_some_and(|last| last & 1 == 1);
        (is_full && is_odd).then(|| Self(U2048::from_be_slice(bytes)))
    }

    pub fn salt(&self, random: &mut dyn FnMut(&mut [u8]) -> Result<(), NoEntropy>) -> Result<Salt, SaltError> {
        let secret = random_secret(random)?;
        let seed = random_secret(random)?;
        let padded = padded(&secret, &seed).ok_or(SaltError::TooLong)?;
        let message =
            DynResidue::<LIMBS>::new(&U2048::from_be_slice(padded.as_slice()), DynResidueParams::new(&self.0));
        let encrypted = message.pow_bounded_exp(&U2048::from_word(EXPONENT), EXPONENT_BITS).retrieve();
        let encrypted = heapless::Vec::from_slice(&encrypted.to_be_bytes()).map_err(|_| SaltError::TooLong)?;
        Ok(Salt { secret, encrypted })
    }
}

/// `00 || maskedSeed || maskedDB`, where DB is `hash of the label, zeros, 01, secret`.
fn padded(secret: &[u8; HASH], seed: &[u8; HASH]) -> Option<Zeroizing<[u8; LEN]>> {
    let mut padded = Zeroizing::new([0; LEN]);
    let (_, rest) = padded.split_first_mut()?;
    let (masked_seed, block) = rest.split_at_mut_checked(HASH)?;
    block.first_chunk_mut::<HASH>()?.copy_from_slice(&Sha256::digest(LABEL));
    let (one, message) = block.get_mut(block.len().checked_sub(HASH.checked_add(1)?)?..)?.split_first_mut()?;
    *one = 1;
    message.copy_from_slice(secret);
    mask(block, seed);
    masked_seed.copy_from_slice(seed);
    mask(masked_seed, block);
    Some(padded)
}

/// Exclusive or with `MGF1(SHA-256, seed)` (RFC 8017, B.2.1).
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(HASH)) {
        let pad = Zeroizing::new(<[u8; HASH]>::from(
            Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize(),
        ));
        for (byte, pad) in chunk.iter_mut().zip(pad.iter()) {
            *byte ^= pad;
        }
    }
}
