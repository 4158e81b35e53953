// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a superblock or with what it describes.

use super::superblock::ALGORITHM_BYTES;
use crate::bytes::OutOfRange;
use core::fmt;

/// Why a superblock is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than a superblock has.
    OutOfRange(OutOfRange),
    /// Not "verity\0\0".
    Signature {
        /// The eight bytes in its place.
        found: [u8; 8],
    },
    /// Any version but 1.
    Version {
        /// The version stated.
        found: u32,
    },
    /// Any hash type but 1; 0 is that of old Chrome OS.
    HashType {
        /// The type stated.
        found: u32,
    },
    /// Any algorithm but sha256.
    Algorithm {
        /// Its name, padded with NUL bytes.
        found: [u8; ALGORITHM_BYTES],
    },
    /// Not a power of two from 512 to 4096.
    DataBlockSize {
        /// Bytes of a data block.
        found: u32,
    },
    /// Not a power of two from 512 to 4096.
    HashBlockSize {
        /// Bytes of a hash block.
        found: u32,
    },
    /// Parsed, but not what a boot image must have.
    BlockSizePolicy {
        /// Bytes of a data block.
        data: u32,
        /// Bytes of a hash block.
        hash: u32,
    },
    /// A tree over nothing.
    NoDataBlocks,
    /// More salt than a superblock has room for.
    SaltSize {
        /// The size stated.
        found: u16,
    },
    /// The data the tree covers does not fit its partition.
    DataDoesNotFit {
        /// Bytes of data; `u64::MAX` if the number is larger than that.
        needed: u64,
        /// Bytes of the partition.
        available: u64,
    },
    /// Superblock and tree do not fit their partition.
    TreeDoesNotFit {
        /// Bytes of both; `u64::MAX` if the number is larger than that.
        needed: u64,
        /// Bytes of the partition.
        available: u64,
    },
    /// The file system in the data goes on behind what the tree covers.
    FileSystemDoesNotFit {
        /// Bytes of the file system.
        needed: u64,
        /// Bytes under the tree; `u64::MAX` if the number is larger than that.
        available: u64,
    },
}

impl From<OutOfRange> for Error {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("verity: ")?;
        match self {
            Self::OutOfRange(error) => error.fmt(f),
            Self::Signature { found } => {
                write!(f, "signature \"{}\", expected \"verity\\x00\\x00\"", found.escape_ascii())
            }
            Self::Version { found } => write!(f, "superblock version {found}, expected 1"),
            Self::HashType { found } => write!(f, "hash type {found}, expected 1"),
            Self::Algorithm { found } => {
                let name = found.split(|byte| *byte == 0).next().unwrap_or_default();
                write!(f, "algorithm \"{}\", expected \"sha256\"", name.escape_ascii())
            }
            Self::DataBlockSize { found } => {
                write!(f, "data block size {found}, expected 512, 1024, 2048 or 4096")
            }
            Self::HashBlockSize { found } => {
                write!(f, "hash block size {found}, expected 512, 1024, 2048 or 4096")
            }
            Self::BlockSizePolicy { data, hash } => {
                write!(f, "block sizes {data} and {hash}, a boot image has 4096 and 4096")
            }
            Self::NoDataBlocks => f.write_str("no data blocks"),
            Self::SaltSize { found } => write!(f, "salt of {found} bytes, at most 256"),
            Self::DataDoesNotFit { needed, available } => {
                write!(f, "{needed} bytes of data in a partition of {available}")
            }
            Self::TreeDoesNotFit { needed, available } => {
                write!(f, "{needed} bytes of superblock and hash tree in a partition of {available}")
            }
            Self::FileSystemDoesNotFit { needed, available } => {
                write!(f, "file system of {needed} bytes, the tree covers {available}")
            }
        }
    }
}

impl core::error::Error for Error {}
