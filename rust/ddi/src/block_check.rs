// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks every block of an image against the hash tree, on all cores, as dm-verity does on reading.
//!
//! A level of the tree is one array of digests without gaps, of the blocks of the level below; the blocks of data are the
//! lowest. So each level is checked in the same way: 128 blocks of it, and the block of digests above them. Nothing is
//! held in memory but those, however large the superblock says the tree is.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "`check_fits` says that every block lies inside the image, so every number is below 2^63"
)]

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use boot_formats::ddi::Layout;
use boot_formats::verity::{self, RootHash, Superblock};
use serde::Serialize;

use crate::file_error::{Action, FileError};
use crate::opened::Opened;
use crate::progress::Bytes;
use crate::verity_tree::{BLOCK_SIZE, CHUNK, DIGEST_SIZE, Hasher};

/// [`BLOCK_SIZE`], as the numbers in a superblock are counted.
const BLOCK: u64 = 4096;
/// Blocks whose digests fill one block.
const BLOCKS_PER_CHUNK: u64 = 128;

/// Blocks that do not have the digest the tree states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BadBlocks {
    /// The first of them: of the data from 0, of the tree from the start of its partition, where 0 is the superblock.
    pub first_block: u64,
    /// Its first byte in the image.
    pub offset: u64,
    /// How many there are.
    pub count: u64,
}

impl BadBlocks {
    fn and(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                let first = if one.first_block <= other.first_block { one } else { other };
                Some(Self { count: one.count + other.count, ..first })
            }
            (one, other) => one.or(other),
        }
    }
}

/// The levels of an image's tree, and its data: what there is to check, and against what.
#[derive(Debug)]
pub struct Blocks {
    tree: Vec<Level>,
    data: Level,
    salt: Vec<u8>,
}

/// Blocks that lie one behind the other, and where their digests are.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// First byte in the image.
    offset: u64,
    blocks: u64,
    /// What the first one is called.
    first_number: u64,
    digests: Digests,
}

#[derive(Debug, Clone, Copy)]
enum Digests {
    /// Of the only block.
    Root(RootHash),
    /// At this byte of the image.
    At(u64),
}

impl Blocks {
    /// For a superblock with blocks of 4096 bytes that fits the layout: the caller has asked
    /// [`Superblock::require_4k`] and [`Superblock::check_fits`].
    ///
    /// # Errors
    /// [`verity::Error::HashBlockSize`] if it has not.
    pub fn new(layout: &Layout, superblock: &Superblock, root_hash: RootHash) -> Result<Self, verity::Error> {
        let mut digests = Digests::Root(root_hash);
        let mut first_number = superblock.hash_start_block();
        let mut tree = Vec::new();
        for blocks in verity::levels(superblock.data_blocks, superblock.hash_block_size)? {
            let offset = layout.verity.offset + first_number * BLOCK;
            tree.push(Level { offset, blocks, first_number, digests });
            digests = Digests::At(offset);
            first_number += blocks;
        }
        let data = Level { offset: layout.root.offset, blocks: superblock.data_blocks, first_number: 0, digests };
        Ok(Self { tree, data, salt: superblock.salt.to_vec() })
    }

    /// Blocks of the tree.
    #[must_use]
    pub fn tree_blocks(&self) -> u64 {
        self.tree.iter().map(|level| level.blocks).sum()
    }

    /// Blocks of data.
    #[must_use]
    pub const fn data_blocks(&self) -> u64 {
        self.data.blocks
    }

    /// Checks the one block whose digest is the root hash.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn check_topmost(&self, image: &Opened) -> Result<Option<BadBlocks>, FileError> {
        let topmost = self.tree.first().unwrap_or(&self.data);
        topmost.check(image, &Hasher::new(&self.salt), &Bytes::new("verify the root hash", BLOCK))
    }

    /// Checks every block of the tree, root first.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn check_tree(&self, image: &Opened) -> Result<Option<BadBlocks>, FileError> {
        let progress = Bytes::new("verify the hash tree", self.tree_blocks() * BLOCK);
        self.tree.iter().try_fold(None, |bad, level| {
            Ok(BadBlocks::and(bad, level.check(image, &Hasher::new(&self.salt), &progress)?))
        })
    }

    /// Checks every block of data against the tree as it is: worth something after [`check_tree`](Self::check_tree).
    ///
    /// # Errors
    /// What the operating system said.
    pub fn check_data(&self, image: &Opened) -> Result<Option<BadBlocks>, FileError> {
        let progress = Bytes::new("verify the data", self.data.blocks * BLOCK);
        self.data.check(image, &Hasher::new(&self.salt), &progress)
    }
}

impl Level {
    /// Workers draw runs of [`BLOCKS_PER_CHUNK`] blocks in the order of the disk.
    fn check(&self, image: &Opened, hasher: &Hasher, progress: &Bytes) -> Result<Option<BadBlocks>, FileError> {
        let chunks = self.blocks.div_ceil(BLOCKS_PER_CHUNK);
        let next = AtomicU64::new(0);
        let work = || -> Result<Option<BadBlocks>, FileError> {
            let mut buffers = Buffers::new();
            let mut bad = None;
            loop {
                let chunk = next.fetch_add(1, Ordering::Relaxed);
                if chunk >= chunks {
                    return Ok(bad);
                }
                bad = BadBlocks::and(bad, self.check_chunk(chunk, image, hasher, &mut buffers)?);
                progress.add(self.blocks_of(chunk) * BLOCK);
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers = usize::try_from(chunks).unwrap_or(cores).min(cores);
        thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let own = work();
            // A worker that panicked passes its panic on.
            others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .try_fold(own?, |bad, other| Ok(BadBlocks::and(bad, other?)))
        })
    }

    fn blocks_of(&self, chunk: u64) -> u64 {
        (self.blocks - chunk * BLOCKS_PER_CHUNK).min(BLOCKS_PER_CHUNK)
    }

    fn check_chunk(
        &self,
        chunk: u64,
        image: &Opened,
        hasher: &Hasher,
        buffers: &mut Buffers,
    ) -> Result<Option<BadBlocks>, FileError> {
        let blocks = usize::try_from(self.blocks_of(chunk)).unwrap_or_default();
        let first = chunk * BLOCKS_PER_CHUNK;
        let data = &mut buffers.data[..blocks * BLOCK_SIZE];
        let stated = &mut buffers.stated[..blocks * DIGEST_SIZE];
        let computed = &mut buffers.computed[..blocks * DIGEST_SIZE];
        read(image, data, self.offset + first * BLOCK)?;
        match self.digests {
            Digests::Root(root_hash) => stated.copy_from_slice(root_hash.as_bytes()),
            Digests::At(offset) => read(image, stated, offset + chunk * BLOCK)?,
        }
        hasher.hash_blocks(data, computed);
        let pairs = stated.chunks_exact(DIGEST_SIZE).zip(computed.chunks_exact(DIGEST_SIZE));
        let bad = (first..).zip(pairs).filter(|(_, (stated, computed))| stated != computed).map(|(number, _)| {
            Some(BadBlocks { first_block: self.first_number + number, offset: self.offset + number * BLOCK, count: 1 })
        });
        Ok(bad.fold(None, BadBlocks::and))
    }
}

/// What a worker needs for one chunk.
struct Buffers {
    data: Vec<u8>,
    stated: Vec<u8>,
    computed: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        Self { data: vec![0; CHUNK], stated: vec![0; BLOCK_SIZE], computed: vec![0; BLOCK_SIZE] }
    }
}

fn read(image: &Opened, bytes: &mut [u8], offset: u64) -> Result<(), FileError> {
    image.file.read_exact_at(bytes, offset).map_err(FileError::on(&image.path, Action::Read(offset)))
}
