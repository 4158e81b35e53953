// SPDX-License-Identifier: MIT OR Apache-2.0
//! AES-XTS (IEEE 1619) with the tweak `plain64` (the kernel's drivers/md/dm-crypt.c): sectors of 512 bytes, counted from 0.

use aes::cipher::{BlockDecrypt, BlockEncrypt, BlockSizeUser, Key, KeyInit, typenum::U16};
use aes::{Aes128, Aes256, Block};
use boot_formats::luks2::KeySize;
use zeroize::Zeroize;

const SECTOR: usize = 512;
const BLOCKS: usize = SECTOR / 16;

/// Decrypts whole sectors in place; what is behind the last whole one stays as it is. `key` has `size` bytes.
pub fn decrypt(size: KeySize, key: &[u8], sectors: &mut [u8]) {
    match size {
        KeySize::Aes128 => decrypt_by::<Aes128>(key, sectors),
        KeySize::Aes256 => decrypt_by::<Aes256>(key, sectors),
    }
}

fn decrypt_by<C>(key: &[u8], sectors: &mut [u8])
where
    C: KeyInit + BlockEncrypt + BlockDecrypt + BlockSizeUser<BlockSize = U16>,
{
    let (data_key, tweak_key) = key.split_at_checked(key.len() / 2).unwrap_or_default();
    let (data, tweak) = (cipher::<C>(data_key), cipher::<C>(tweak_key));
    let (sectors, _) = sectors.as_chunks_mut::<SECTOR>();
    let mut blocks = [Block::default(); BLOCKS];
    let mut tweaks = [0_u128; BLOCKS];
    for (number, sector) in (0_u128..).zip(sectors) {
        let mut first = Block::from(number.to_le_bytes());
        tweak.encrypt_block(&mut first);
        let mut next = u128::from_le_bytes(first.into());
        let (bytes, _) = sector.as_chunks_mut::<16>();
        for ((block, tweak), bytes) in blocks.iter_mut().zip(&mut tweaks).zip(&*bytes) {
            *tweak = next;
            *block = Block::from((u128::from_le_bytes(*bytes) ^ next).to_le_bytes());
            next = doubled(next);
        }
        data.decrypt_blocks(&mut blocks);
        for ((block, tweak), bytes) in blocks.iter().zip(&tweaks).zip(bytes) {
            *bytes = (u128::from_le_bytes((*block).into()) ^ tweak).to_le_bytes();
        }
    }
    for block in &mut blocks {
        block.as_mut_slice().zeroize();
    }
}

/// A cipher by a key of its length; `size` of [`decrypt`] sees to that.
fn cipher<C: KeyInit>(key: &[u8]) -> C {
    let mut whole = Key::<C>::default();
    for (to, from) in whole.iter_mut().zip(key) {
        *to = *from;
    }
    let cipher = C::new(&whole);
    whole.as_mut_slice().zeroize();
    cipher
}

/// Times x in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1.
const fn doubled(tweak: u128) -> u128 {
    let carry = if tweak >> 127 == 1 { 0x87 } else { 0 };
    tweak << 1 ^ carry
}
