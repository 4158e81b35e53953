// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the dm-verity hash tree of a file system on all cores, and where asked copies it in the same pass.
//!
//! The tree is what `veritysetup format` writes (format 1, sha256, 4096-byte blocks, salt before the data): one block
//! with the superblock, then the levels, root first; the last block of a level is padded with zeros. Each worker takes
//! the data of one leaf block at a time (128 blocks, 512 KiB): reads it, hashes it, and writes it if it is to be copied. Nothing is read twice.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "every number is a count or an offset inside a file that exists, so far below 2^63; slices are cut by it"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{io, thread};

use boot_formats::verity::{self, RootHash, SUPERBLOCK_SIZE};
use sha2::{Digest, Sha256};

use crate::erofs::Image;
use crate::file_error::{Action, FileError};
use crate::progress::Bytes;
use crate::salt::Salt;

/// Bytes of a data block and of a hash block.
pub const BLOCK_SIZE: usize = 4096;
/// Bytes of a digest.
pub(crate) const DIGEST_SIZE: usize = 32;
const DIGESTS_PER_BLOCK: usize = BLOCK_SIZE / DIGEST_SIZE;
/// Bytes of data under one leaf block: what a worker takes at a time.
pub(crate) const CHUNK: usize = DIGESTS_PER_BLOCK * BLOCK_SIZE;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody changes the file while it is packed.
    #[error("{}: changed while it was read: expected {needed} bytes at byte {offset}, found its end", path.display())]
    Shrank { path: PathBuf, offset: u64, needed: usize },
    /// The tree does not fit this machine's memory.
    #[error("a hash tree over {data_blocks} blocks is too large for this machine")]
    TooLarge { data_blocks: u64 },
}

/// Where the copy goes.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The image, open for writing.
    pub file: &'a File,
    /// Its name, for messages.
    pub path: &'a Path,
    /// Byte at which the file system begins.
    pub offset: u64,
}

/// A hash tree and the hash at its root.
#[derive(Debug)]
pub struct Tree {
    /// Digest of the top block, or of the data block if there is just one.
    pub root_hash: RootHash,
    /// Blocks of data under it.
    pub data_blocks: u64,
    /// All levels, root first: what follows the superblock's block on the disk.
    pub blocks: Vec<u8>,
}

/// Bytes of the verity partition for `data_blocks` blocks: superblock and all levels.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn partition_len(data_blocks: u64) -> Result<u64, Error> {
    let blocks = level_blocks(data_blocks)?.iter().sum::<usize>() + 1;
    u64::try_from(blocks * BLOCK_SIZE).map_err(|_| Error::TooLarge { data_blocks })
}

/// Hashes all of `source`, and copies it to `destination` if there is one.
///
/// # Errors
/// The first error that a worker met.
pub fn hash(
    source: &Image,
    destination: Option<Destination<'_>>,
    salt: &Salt,
    progress: &Bytes,
) -> Result<Tree, Error> {
    let hasher = Hasher::new(salt.as_bytes());
    let data_blocks = source.data_blocks();
    let levels = level_blocks(data_blocks)?;
    let total = levels.iter().sum::<usize>() * BLOCK_SIZE;
    let mut blocks = vec![0; total];
    let Some(leaf_blocks) = levels.last() else {
        // A single data block: its digest is the root hash.
        let mut digest = [0; DIGEST_SIZE];
        Chunk { source, destination, offset: 0 }.hash(&hasher, &mut vec![0; BLOCK_SIZE], &mut digest)?;
        progress.add(source.size);
        return Ok(Tree { root_hash: RootHash::new(digest), data_blocks, blocks });
    };
    let (upper, leaves) = blocks.split_at_mut(total - leaf_blocks * BLOCK_SIZE);
    hash_leaves(source, destination, &hasher, leaves, progress)?;
    let root_hash = hash_upper_levels(&hasher, &levels, upper, leaves);
    Ok(Tree { root_hash, data_blocks, blocks })
}

/// The superblock (cryptsetup's lib/verity/verity.c, `struct verity_sb`). `uuid` is in the order of its text.
#[must_use]
pub fn superblock(uuid: [u8; 16], data_blocks: u64, salt: &Salt) -> [u8; SUPERBLOCK_SIZE] {
    let salt = salt.as_bytes();
    let salt_len = u16::try_from(salt.len()).unwrap_or(u16::MAX);
    let mut block = [0; SUPERBLOCK_SIZE];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"verity\0\0");
    put(8, &1_u32.to_le_bytes()); // version
    put(12, &1_u32.to_le_bytes()); // hash type: salt before data
    put(16, &uuid);
    put(32, b"sha256");
    put(64, &4096_u32.to_le_bytes()); // data block size
    put(68, &4096_u32.to_le_bytes()); // hash block size
    put(72, &data_blocks.to_le_bytes());
    put(80, &salt_len.to_le_bytes());
    put(88, salt); // at most 256 bytes, up to 344
    block
}

/// Blocks of each level, root first.
fn level_blocks(data_blocks: u64) -> Result<Vec<usize>, Error> {
    let too_large = || Error::TooLarge { data_blocks };
    verity::levels(data_blocks, 4096)
        .map_err(|_| too_large())?
        .iter()
        .map(|blocks| usize::try_from(*blocks).map_err(|_| too_large()))
        .collect()
}

/// SHA-256 that has already eaten the salt.
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn new(salt: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(salt))
    }

    /// Digests of the blocks of `data`, one after the other.
    pub(crate) fn hash_blocks(&self, data: &[u8], digests: &mut [u8]) {
        for (block, digest) in data.chunks_exact(BLOCK_SIZE).zip(digests.chunks_exact_mut(DIGEST_SIZE)) {
            digest.copy_from_slice(&self.0.clone().chain_update(block).finalize());
        }
    }
}

/// Some of the source's data, at most [`CHUNK`] bytes.
struct Chunk<'a> {
    source: &'a Image,
    destination: Option<Destination<'a>>,
    offset: u64,
}

impl Chunk<'_> {
    fn hash(&self, hasher: &Hasher, buffer: &mut [u8], digests: &mut [u8]) -> Result<(), Error> {
        let path = &self.source.path;
        self.source.file.read_exact_at(buffer, self.offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::Shrank { path: path.clone(), offset: self.offset, needed: buffer.len() }
            }
            _ => FileError::on(path, Action::Read(self.offset))(error).into(),
        })?;
        hasher.hash_blocks(buffer, digests);
        if let Some(destination) = self.destination {
            let offset = destination.offset + self.offset;
            destination
                .file
                .write_all_at(buffer, offset)
                .map_err(FileError::on(destination.path, Action::Write(offset)))?;
        }
        Ok(())
    }
}

/// Fills the leaf level; workers draw leaf blocks from one queue, in the order of the disk.
fn hash_leaves(
    source: &Image,
    destination: Option<Destination<'_>>,
    hasher: &Hasher,
    leaves: &mut [u8],
    progress: &Bytes,
) -> Result<(), Error> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(leaves.len() / BLOCK_SIZE);
    let chunk_offsets = (0..source.size).step_by(CHUNK);
    let queue = Mutex::new(chunk_offsets.zip(leaves.chunks_exact_mut(BLOCK_SIZE)));
    let next = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    let work = || -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        while let Some((offset, leaf)) = next() {
            let left = usize::try_from(source.size - offset).unwrap_or(CHUNK).min(CHUNK);
            Chunk { source, destination, offset }.hash(hasher, &mut buffer[..left], leaf)?;
            progress.add(u64::try_from(left).unwrap_or(0));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let own = work();
        // A worker that panicked passes its panic on.
        others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .fold(own, |first, other| first.and(other))
    })
}

/// Fills the levels above the leaves, from the lowest to the root. `levels` counts the blocks, root first.
fn hash_upper_levels(hasher: &Hasher, levels: &[usize], mut upper: &mut [u8], leaves: &[u8]) -> RootHash {
    let mut below = leaves;
    for blocks in levels.iter().rev().skip(1) {
        let (rest, level) = upper.split_at_mut(upper.len() - blocks * BLOCK_SIZE);
        hasher.hash_blocks(below, level);
        (upper, below) = (rest, level);
    }
    let mut digest = [0; DIGEST_SIZE];
    hasher.hash_blocks(below, &mut digest);
    RootHash::new(digest)
}
