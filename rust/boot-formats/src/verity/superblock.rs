// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verity superblock (cryptsetup's lib/verity/verity.c, `struct verity_sb`):
//! signature, version, hash type, UUID, algorithm, block sizes, number of data blocks, salt.

use super::Error;
use super::tree::levels;
use crate::bytes;
use crate::range::ByteRange;
use heapless::Vec;

/// Bytes of a superblock.
pub const SUPERBLOCK_SIZE: usize = 512;

/// Most bytes of salt a superblock has room for.
pub const MAX_SALT: usize = 256;

const SIGNATURE: [u8; 8] = *b"verity\0\0";
const VERSION: u32 = 1;
/// "Normal": the salt comes before the data, digests are padded to a power of two.
const HASH_TYPE: u32 = 1;
/// Bytes of the algorithm's name, NUL bytes behind it included.
pub(super) const ALGORITHM_BYTES: usize = 32;

/// What a superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// UUID of the hash tree, in the order of its text (RFC 9562).
    pub uuid: [u8; 16],
    /// Bytes of a data block: a power of two from 512 to 4096.
    pub data_block_size: u32,
    /// Bytes of a hash block: a power of two from 512 to 4096.
    pub hash_block_size: u32,
    /// Data blocks the tree covers, at least one.
    pub data_blocks: u64,
    /// Salt of every digest.
    pub salt: Vec<u8, MAX_SALT>,
}

/// The superblock's fields as they are on the disk, nothing checked.
struct Raw {
    signature: [u8; 8],
    version: u32,
    hash_type: u32,
    uuid: [u8; 16],
    algorithm: [u8; ALGORITHM_BYTES],
    data_block_size: u32,
    hash_block_size: u32,
    data_blocks: u64,
    salt_size: u16,
    salt: [u8; MAX_SALT],
}

fn layout(block: &[u8]) -> Result<Raw, Error> {
    // Whole, although the last bytes are padding.
    let block = bytes::slice(block, 0, SUPERBLOCK_SIZE)?;
    Ok(Raw {
        signature: bytes::array(block, 0)?,
        version: bytes::le_u32(block, 8)?,
        hash_type: bytes::le_u32(block, 12)?,
        uuid: bytes::array(block, 16)?,
        algorithm: bytes::array(block, 32)?,
        data_block_size: bytes::le_u32(block, 64)?,
        hash_block_size: bytes::le_u32(block, 68)?,
        data_blocks: bytes::le_u64(block, 72)?,
        salt_size: bytes::le_u16(block, 80)?,
        salt: bytes::array(block, 88)?,
    })
}

const fn is_block_size(size: u32) -> bool {
    size.is_power_of_two() && size >= 512 && size <= 4096
}

/// Parses the superblock at the start of `first_bytes`, at least [`SUPERBLOCK_SIZE`] bytes of the verity partition.
///
/// # Errors
/// See [`Error`]; never the four about policy and fit.
pub fn parse(first_bytes: &[u8]) -> Result<Superblock, Error> {
    let raw = layout(first_bytes)?;
    if raw.signature != SIGNATURE {
        return Err(Error::Signature { found: raw.signature });
    }
    if raw.version != VERSION {
        return Err(Error::Version { found: raw.version });
    }
    if raw.hash_type != HASH_TYPE {
        return Err(Error::HashType { found: raw.hash_type });
    }
    if raw.algorithm.strip_prefix(b"sha256").is_none_or(|rest| rest.iter().any(|byte| *byte != 0)) {
        return Err(Error::Algorithm { found: raw.algorithm });
    }
    if !is_block_size(raw.data_block_size) {
        return Err(Error::DataBlockSize { found: raw.data_block_size });
    }
    if !is_block_size(raw.hash_block_size) {
        return Err(Error::HashBlockSize { found: raw.hash_block_size });
    }
    if raw.data_blocks == 0 {
        return Err(Error::NoDataBlocks);
    }
    let salt_size = Error::SaltSize { found: raw.salt_size };
    let salt = raw.salt.get(..usize::from(raw.salt_size)).ok_or(salt_size)?;
    Ok(Superblock {
        uuid: raw.uuid,
        data_block_size: raw.data_block_size,
        hash_block_size: raw.hash_block_size,
        data_blocks: raw.data_blocks,
        salt: Vec::from_slice(salt).map_err(|_| salt_size)?,
    })
}

impl Superblock {
    /// First block of the hash tree, in hash blocks from the start of the verity partition: the one after the
    /// superblock, where libcryptsetup puts it.
    #[must_use]
    pub fn hash_start_block(&self) -> u64 {
        // 512 bytes fit one block of any size that parses.
        1
    }

    /// Bytes of data the tree covers, `None` above 2^64 - 1.
    #[must_use]
    pub const fn data_bytes(&self) -> Option<u64> {
        self.data_blocks.checked_mul(self.data_block_size as u64)
    }

    /// Bytes of superblock and hash tree, `None` above 2^64 - 1.
    #[must_use]
    pub fn tree_bytes(&self) -> Option<u64> {
        levels(self.data_blocks, self.hash_block_size)
            .ok()?
            .iter()
            .try_fold(self.hash_start_block(), |sum, blocks| sum.checked_add(*blocks))?
            .checked_mul(u64::from(self.hash_block_size))
    }

    /// Whether the partitions are large enough for what the superblock says.
    ///
    /// # Errors
    /// [`Error::DataDoesNotFit`], [`Error::TreeDoesNotFit`].
    pub fn check_fits(&self, root: ByteRange, verity: ByteRange) -> Result<(), Error> {
        let (needed, available) = (self.data_bytes().unwrap_or(u64::MAX), root.len);
        if needed > available {
            return Err(Error::DataDoesNotFit { needed, available });
        }
        let (needed, available) = (self.tree_bytes().unwrap_or(u64::MAX), verity.len);
        if needed > available {
            return Err(Error::TreeDoesNotFit { needed, available });
        }
        Ok(())
    }

    /// Whether the tree covers the whole file system, whose size its own superblock says. The kernel does not compare the
    /// two: what lies behind the tree would be an I/O error for who reads it, after the boot.
    ///
    /// # Errors
    /// [`Error::FileSystemDoesNotFit`].
    pub fn check_covers(&self, file_system_bytes: u64) -> Result<(), Error> {
        let (needed, available) = (file_system_bytes, self.data_bytes().unwrap_or(u64::MAX));
        if needed > available { Err(Error::FileSystemDoesNotFit { needed, available }) } else { Ok(()) }
    }

    /// The policy for boot images: blocks of 4096 bytes, the page size, so that a read is one digest and one request.
    ///
    /// # Errors
    /// [`Error::BlockSizePolicy`].
    pub fn require_4k(&self) -> Result<(), Error> {
        match (self.data_block_size, self.hash_block_size) {
            (4096, 4096) => Ok(()),
            (data, hash) => Err(Error::BlockSizePolicy { data, hash }),
        }
    }
}
