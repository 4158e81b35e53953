// SPDX-License-Identifier: MIT OR Apache-2.0
//! CRC-32 as GPT uses it (ISO 3309, reflected 0xedb88320).
//!
//! A byte a step, and [`RUN`] where they are zeros: the two entry arrays of a boot are 32 KiB, nearly all of them unused entries.

use crate::bytes::are_zero;

/// Zeros that are one step: an unused partition entry.
const RUN: usize = 128;

static TABLE: [u32; 256] = table();

/// The CRC of each byte.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler: an index or a number out of range fails the build"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

static AFTER_ZEROS: [[u32; 256]; 4] = after_zeros();

/// `AFTER_ZEROS[k][b]` is what [`RUN`] zero bytes make of the running value that has `b` in byte `k` and zeros elsewhere.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler: an index or a number out of range fails the build"
)]
const fn after_zeros() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut place = 0;
    while place < 4 {
        // A CRC is linear: the value of each bit is enough to make those of all bytes.
        let mut bit = 0;
        while bit < 8 {
            let mut crc: u32 = 1 << (8 * place + bit);
            let mut zeros = 0;
            while zeros < RUN {
                crc = crc >> 8 ^ TABLE[(crc & 0xff) as usize];
                zeros += 1;
            }
            let mut byte = 0;
            while byte < 256 {
                if byte >> bit & 1 == 1 {
                    tables[place][byte] ^= crc;
                }
                byte += 1;
            }
            bit += 1;
        }
        place += 1;
    }
    tables
}

fn look_up(table: &[u32; 256], byte: u8) -> u32 {
    // Always there: a byte has 256 values.
    table.get(usize::from(byte)).copied().unwrap_or(0)
}

/// The running value of a CRC over several slices.
#[derive(Clone, Copy)]
pub struct Crc32(u32);

impl Crc32 {
    pub const fn new() -> Self {
        Self(!0)
    }

    pub fn update(self, bytes: &[u8]) -> Self {
        let (runs, rest) = bytes.as_chunks::<RUN>();
        let all_zeros = |run: &[u8; RUN]| run.as_chunks().0.iter().all(are_zero);
        let runs =
            runs.iter().fold(self, |crc, run| if all_zeros(run) { crc.update_zeros() } else { crc.update_bytes(run) });
        runs.update_bytes(rest)
    }

    /// [`RUN`] zeros.
    fn update_zeros(self) -> Self {
        let [a, b, c, d] = self.0.to_le_bytes();
        let [t0, t1, t2, t3] = &AFTER_ZEROS;
        Self(look_up(t0, a) ^ look_up(t1, b) ^ look_up(t2, c) ^ look_up(t3, d))
    }

    fn update_bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |crc, byte| {
            let [low, ..] = crc.to_le_bytes();
            crc >> 8 ^ look_up(&TABLE, low ^ byte)
        }))
    }

    pub const fn finish(self) -> u32 {
        !self.0
    }
}

pub fn of(bytes: &[u8]) -> u32 {
    Crc32::new().update(bytes).finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
    use super::*;

    #[test]
    fn known_values() {
        // The check value of CRC-32/ISO-HDLC, then Python's zlib.crc32.
        assert_eq!(of(b"123456789"), 0xcbf4_3926);
        assert_eq!(of(b""), 0);
        assert_eq!(of(&[0; 16384]), 0xab54_d286);
        assert_eq!(of(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }

    #[test]
    fn runs_of_zeros_count_as_any_bytes() {
        // A byte a step, as the standard has it.
        let slow = |bytes: &[u8]| {
            !bytes.iter().fold(!0_u32, |crc, byte| {
                (0..8)
                    .fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
            })
        };
        for (before, zeros, after) in [(0, 128, 0), (3, 128, 1), (128, 256, 128), (130, 1000, 7), (256, 127, 129)] {
            let mut bytes = [0x5a; 1200];
            bytes[..before].fill(0xa5);
            bytes[before..before + zeros].fill(0);
            let bytes = &bytes[..before + zeros + after];
            assert_eq!(of(bytes), slow(bytes), "{before} {zeros} {after}");
        }
    }

    #[test]
    fn slices_may_be_cut_anywhere() {
        let bytes = b"The quick brown fox jumps over the lazy dog";
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(Crc32::new().update(head).update(tail).finish(), 0x414f_a339, "cut at {cut}");
        }
    }
}
