// SPDX-License-Identifier: MIT OR Apache-2.0
//! The anti-forensic splitter, backwards (LUKS1 On-Disk Format Specification, 2.4; libcryptsetup's lib/luks1/af.c).

use boot_formats::luks2::{Hash, STRIPES};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroize;

/// Merges the pieces in `area`, each as long as `key`, into `key`, which is zero before. What is behind the last piece is padding.
pub fn merge(hash: Hash, area: &[u8], key: &mut [u8]) {
    let last = (STRIPES as usize).saturating_sub(1);
    for (number, piece) in area.chunks_exact(key.len().max(1)).take(STRIPES as usize).enumerate() {
        for (byte, of_piece) in key.iter_mut().zip(piece) {
            *byte ^= of_piece;
        }
        if number < last {
            match hash {
                Hash::Sha256 => diffuse::<Sha256>(key),
                Hash::Sha512 => diffuse::<Sha512>(key),
            }
        }
    }
}

/// Hashes each run of bytes as long as a digest, with its number before it.
fn diffuse<H: Digest>(bytes: &mut [u8]) {
    let len = <H as Digest>::output_size().max(1);
    for (number, run) in (0_u32..).zip(bytes.chunks_mut(len)) {
        let mut digest = H::new().chain_update(number.to_be_bytes()).chain_update(&*run).finalize();
        for (byte, of_digest) in run.iter_mut().zip(digest.iter()) {
            *byte = *of_digest;
        }
        digest.zeroize();
    }
}
