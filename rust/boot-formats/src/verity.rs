// SPDX-License-Identifier: MIT OR Apache-2.0
//! dm-verity on disk: root hash, superblock and the shape of the hash tree (cryptsetup's lib/verity/verity.c,
//! the kernel's drivers/md/dm-verity-target.c). SHA-256 only.
//!
//! Only the root hash is signed. It decides which bytes a block of the tree may have; it does not say which blocks are
//! data. What the superblock says beside it, the number of data blocks first, is held to it only as far as the depth of
//! the tree stays the same:
//! * fewer data blocks than were signed make a shorter device of good blocks, and with a depth less, blocks of the tree
//!   are read as data;
//! * more add blocks that cannot be read; but with a depth more, signed data blocks are taken for the digests of others,
//!   and whoever could choose bytes of a signed image could choose what is read.
//!
//! So whoever holds the disk, but no key, cannot change a block of a device of the signed depth, but can choose which
//! of several devices one root hash stands for. A key must therefore sign images of one purpose only, whose contents its
//! holder made.

mod error;
mod superblock;
mod tree;

pub use crate::hex::HexError;
pub use error::Error;
pub use superblock::{MAX_SALT, SUPERBLOCK_SIZE, Superblock, parse};
pub use tree::{Levels, MAX_LEVELS, levels};

use crate::hex;
use core::fmt;

/// Bytes of a digest of the tree (SHA-256), and of the place it takes in a block.
pub const DIGEST_SIZE: u32 = 32;

/// The digest that stands for a whole file system. Holding one says nothing about who signed it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootHash([u8; 32]);

impl RootHash {
    /// From the digest's bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From exactly 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`HexError`].
    pub fn parse_hex(text: &str) -> Result<Self, HexError> {
        hex::decode(text).map(Self)
    }

    /// The 64 lower-case hexadecimal digits that are signed.
    #[must_use]
    pub fn as_hex(&self) -> [u8; 64] {
        hex::encode(&self.0)
    }
}

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}
