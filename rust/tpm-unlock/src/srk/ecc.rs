// SPDX-License-Identifier: MIT OR Apache-2.0
//! A salt by one-pass Diffie-Hellman on P-256 (part 1, C.6.1): `KDFe` of the shared point, `SECRET` and both public x.

use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{EncodedPoint, NonZeroScalar, PublicKey, SecretKey, ecdh};

use super::{Salt, SaltError, random_secret};
use crate::kdf;
use crate::tpm::NoEntropy;

/// Tries until 32 random bytes are below the order of the curve: each fails with a chance of 2^-32.
const TRIES: usize = 4;

/// A point on the curve.
#[derive(Clone)]
pub(super) struct Point(PublicKey);

impl Point {
    /// `None` if it is not on the curve. TPMs may leave out zeros in front.
    pub fn of_coordinates(x: &[u8], y: &[u8]) -> Option<Self> {
        let (x, y) = (coordinate(x)?, coordinate(y)?);
        let encoded = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
        Option::from(PublicKey::from_encoded_point(&encoded)).map(Self)
    }

    pub fn salt(&self, random: &mut dyn FnMut(&mut [u8]) -> Result<(), NoEntropy>) -> Result<Salt, SaltError> {
        let ephemeral = ephemeral(random)?;
        let shared = ecdh::diffie_hellman(NonZeroScalar::from(&ephemeral), self.0.as_affine());
        let ours = ephemeral.public_key().to_encoded_point(false);
        let theirs = self.0.to_encoded_point(false);
        let (Some(our_x), Some(our_y), Some(their_x)) = (ours.x(), ours.y(), theirs.x()) else {
            // Only the identity has no coordinates, and no key is it.
            return Err(SaltError::NoEntropy);
        };
        let secret = kdf::kdfe(shared.raw_secret_bytes(), "SECRET", our_x, their_x);
        let mut encrypted = heapless::Vec::new();
        for part in [&[0, 32], our_x.as_slice(), &[0, 32], our_y.as_slice()] {
            encrypted.extend_from_slice(part).map_err(|_| SaltError::TooLong)?;
        }
        Ok(Salt { secret, encrypted })
    }
}

fn ephemeral(random: &mut dyn FnMut(&mut [u8]) -> Result<(), NoEntropy>) -> Result<SecretKey, NoEntropy> {
    for _ in 0..TRIES {
        let bytes = random_secret(random)?;
        if let Ok(key) = SecretKey::from_slice(bytes.as_slice()) {
            return Ok(key);
        }
    }
    Err(NoEntropy)
}

/// 32 bytes, with zeros in front.
fn coordinate(bytes: &[u8]) -> Option<[u8; 32]> {
    let mut coordinate = [0; 32];
    let start = coordinate.len().checked_sub(bytes.len())?;
    coordinate.get_mut(start..)?.copy_from_slice(bytes);
    Some(coordinate)
}
