// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of a hash tree, as the kernel and libcryptsetup lay it out.

use super::{DIGEST_SIZE, Error};
use heapless::Vec;

/// Most levels of a tree: 2^64 - 1 data blocks and 16 digests in a hash block of 512 bytes.
pub const MAX_LEVELS: usize = 16;

/// Blocks of each level of a tree, the single block at its root first, as on the disk.
pub type Levels = Vec<u64, MAX_LEVELS>;

/// Blocks of each level of the tree over `data_blocks` blocks, in hash blocks of `hash_block_size` bytes.
///
/// Empty for a single data block: its digest is the root hash.
///
/// # Errors
/// [`Error::HashBlockSize`] unless the size is a power of two from 512 to 4096.
pub fn levels(data_blocks: u64, hash_block_size: u32) -> Result<Levels, Error> {
    if !hash_block_size.is_power_of_two() || !(512..=4096).contains(&hash_block_size) {
        return Err(Error::HashBlockSize { found: hash_block_size });
    }
    let digests_per_block = u64::from(hash_block_size / DIGEST_SIZE);
    let mut levels = Levels::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(digests_per_block);
        // Always fits: 16^16 = 2^64.
        let _ = levels.push(blocks);
    }
    levels.reverse();
    Ok(levels)
}
