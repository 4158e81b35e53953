// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verity superblock: what is read is what was written, and sizes are right without a limit on numbers.
//!
//! Input: sizes of two partitions, then the superblock.
#![no_main]

use boot_formats::ByteRange;
use boot_formats::verity::{self, MAX_LEVELS, RootHash, SUPERBLOCK_SIZE, Superblock};
use fuzz::{Input, hex};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let (root, verity) = (input.number()?, input.number()?);
    let bytes = input.rest();
    let superblock = verity::parse(bytes).ok()?;
    assert_eq!(verity::parse(&written(&superblock)), Ok(superblock.clone()));
    check_sizes(&superblock, root, verity);
    assert_eq!(
        superblock.require_4k().is_ok(),
        superblock.data_block_size == 4096 && superblock.hash_block_size == 4096
    );

    let digest = RootHash::new(bytes.first_chunk().copied()?);
    assert_eq!(digest.to_string(), hex(digest.as_bytes()));
    assert_eq!(RootHash::parse_hex(&digest.to_string()), Ok(digest));
    Some(())
}

fn written(of: &Superblock) -> Vec<u8> {
    let mut bytes = b"verity\0\0\x01\0\0\0\x01\0\0\0".to_vec();
    bytes.extend(of.uuid);
    bytes.extend(b"sha256");
    bytes.resize(64, 0);
    bytes.extend(of.data_block_size.to_le_bytes());
    bytes.extend(of.hash_block_size.to_le_bytes());
    bytes.extend(of.data_blocks.to_le_bytes());
    bytes.extend((of.salt.len() as u16).to_le_bytes());
    bytes.resize(88, 0);
    bytes.extend(of.salt.iter());
    bytes.resize(SUPERBLOCK_SIZE, 0);
    bytes
}

/// By numbers of 128 bits, which cannot overflow here.
fn check_sizes(superblock: &Superblock, root: u64, verity: u64) {
    let levels = verity::levels(superblock.data_blocks, superblock.hash_block_size).expect("a size that was parsed");
    assert!(levels.len() <= MAX_LEVELS);
    assert!(levels.first().is_none_or(|blocks| *blocks == 1));
    let per_block = u128::from(superblock.hash_block_size / 32);
    let mut below = u128::from(superblock.data_blocks);
    for blocks in levels.iter().rev() {
        assert_eq!(u128::from(*blocks), below.div_ceil(per_block));
        below = u128::from(*blocks);
    }
    assert_eq!(below, 1);
    let data = u128::from(superblock.data_blocks) * u128::from(superblock.data_block_size);
    let blocks: u128 = levels.iter().map(|blocks| u128::from(*blocks)).sum();
    let tree = (u128::from(superblock.hash_start_block()) + blocks) * u128::from(superblock.hash_block_size);
    assert_eq!(superblock.data_bytes(), u64::try_from(data).ok());
    assert_eq!(superblock.tree_bytes(), u64::try_from(tree).ok());
    // A number above 64 bits is given as the largest of 64, which a partition of that size would hold.
    let fits = superblock.check_fits(ByteRange { offset: 0, len: root }, ByteRange { offset: 0, len: verity });
    assert_eq!(fits.is_ok(), data <= u128::from(root) && tree <= u128::from(verity));
}
