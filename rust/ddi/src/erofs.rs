// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to be true of an erofs image before it becomes the root partition of a DDI.
//!
//! Only the superblock is read (fs/erofs/erofs_fs.h, `struct erofs_super_block`, at byte 1024): this is no file system
//! check, `fsck.erofs` is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::derive::SALTED_BYTES;
use crate::file_error::{Action, FileError};

/// `EROFS_SUPER_MAGIC_V1`.
pub const MAGIC: u32 = 0xe0f5_e1e2;
/// Bytes in a block: what the kernel of a 4 KiB-page machine maps, and what dm-verity hashes here.
pub const BLOCK_SIZE: u64 = 4096;

/// Byte of the superblock in the image.
const SUPERBLOCK: usize = 1024;
const MAGIC_AT: usize = SUPERBLOCK;
const BLOCK_BITS_AT: usize = SUPERBLOCK + 12;
const BLOCKS_HIGH_AT: usize = SUPERBLOCK + 14;
const BLOCKS_LOW_AT: usize = SUPERBLOCK + 36;
const INCOMPATIBLE_AT: usize = SUPERBLOCK + 80;
const EXTRA_DEVICES_AT: usize = SUPERBLOCK + 86;
/// `EROFS_FEATURE_INCOMPAT_48BIT`: the block count has 16 more bits, where the root inode's number was.
const WIDE_BLOCK_COUNT: u32 = 0x80;
/// log2 of [`BLOCK_SIZE`].
const BLOCK_BITS: u8 = 12;

/// Why a file cannot be the root partition.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory, device or pipe was given.
    #[error("{}: expected a regular file, found {found}", path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    /// Not even one block, or a tail that is no whole block.
    #[error(
        "{}: not an erofs image: expected a size that is a positive multiple of 4096 bytes, found {size}",
        path.display()
    )]
    Size { path: PathBuf, size: u64 },
    /// Something else than erofs.
    #[error(
        "{}: not an erofs image: at byte 1024 expected the magic number {MAGIC:#010x}, found {found:#010x}",
        path.display()
    )]
    Magic { path: PathBuf, found: u32 },
    /// An erofs with other blocks than the tree's.
    #[error(
        "{}: at byte 1036 expected a block size of 2^12 (4096 bytes), found 2^{found_bits}",
        path.display()
    )]
    BlockSize { path: PathBuf, found_bits: u8 },
    /// The end of the image is missing.
    #[error(
        "{}: truncated: at byte 1060 the superblock counts {blocks} blocks ({needed} bytes), found {size} bytes",
        path.display()
    )]
    Truncated { path: PathBuf, blocks: u64, needed: u128, size: u64 },
    /// File data lies in other files (`--blobdev`), which the hash tree would not cover.
    #[error(
        "{}: at byte 1110 expected 0 extra devices, found {found}: a DDI holds its file system whole",
        path.display()
    )]
    ExtraDevices { path: PathBuf, found: u16 },
}

/// An erofs image that can become the root partition. Holding one says that the superblock is sane, no more.
#[derive(Debug)]
pub struct Image {
    /// The file, open for reading.
    pub file: File,
    /// Its name, for messages.
    pub path: PathBuf,
    /// Bytes, a positive multiple of [`BLOCK_SIZE`].
    pub size: u64,
    /// The first block.
    pub first_block: [u8; SALTED_BYTES],
}

impl Image {
    /// Blocks of [`BLOCK_SIZE`].
    #[must_use]
    pub const fn data_blocks(&self) -> u64 {
        self.size / BLOCK_SIZE
    }

    /// Opens `path` and checks its superblock.
    ///
    /// # Errors
    /// One variant of [`Error`] for each thing that can be wrong, with the offset and both numbers.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(FileError::on(path, Action::Open))?;
        let metadata = file.metadata().map_err(FileError::on(path, Action::Examine))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { path: path.to_owned(), found: crate::output::kind(metadata.file_type()) });
        }
        let size = metadata.len();
        if size == 0 || !size.is_multiple_of(BLOCK_SIZE) {
            return Err(Error::Size { path: path.to_owned(), size });
        }
        let mut first_block = [0; SALTED_BYTES];
        file.read_exact_at(&mut first_block, 0).map_err(FileError::on(path, Action::Read(0)))?;
        check_superblock(path, &first_block, size)?;
        Ok(Self { file, path: path.to_owned(), size, first_block })
    }
}

/// Bytes of the file system in a partition of `size` bytes, by its superblock in the partition's first block. Offsets
/// in errors count from the start of the partition.
///
/// # Errors
/// As for [`Image::open`], never [`Error::File`].
pub fn size_in_partition(image: &Path, first_block: &[u8], size: u64) -> Result<u64, Error> {
    let path = PathBuf::from(format!("root partition of {}", image.display()));
    match first_block.first_chunk() {
        Some(block) => check_superblock(&path, block, size),
        None => Err(Error::Size { path, size }),
    }
}

/// Checks a superblock and gives the bytes of the file system it counts, at most `size`.
fn check_superblock(path: &Path, block: &[u8; SALTED_BYTES], size: u64) -> Result<u64, Error> {
    let path = || path.to_owned();
    let magic = u32::from_le_bytes(field::<MAGIC_AT, _>(block));
    if magic != MAGIC {
        return Err(Error::Magic { path: path(), found: magic });
    }
    let [found_bits] = field::<BLOCK_BITS_AT, _>(block);
    if found_bits != BLOCK_BITS {
        return Err(Error::BlockSize { path: path(), found_bits });
    }
    let found = u16::from_le_bytes(field::<EXTRA_DEVICES_AT, _>(block));
    if found != 0 {
        return Err(Error::ExtraDevices { path: path(), found });
    }
    let low = u64::from(u32::from_le_bytes(field::<BLOCKS_LOW_AT, _>(block)));
    let wide = u32::from_le_bytes(field::<INCOMPATIBLE_AT, _>(block)) & WIDE_BLOCK_COUNT != 0;
    let high = match wide {
        true => u64::from(u16::from_le_bytes(field::<BLOCKS_HIGH_AT, _>(block))),
        false => 0,
    };
    let blocks = high << 32 | low;
    let needed = u128::from(blocks) << BLOCK_BITS;
    match u64::try_from(needed) {
        Ok(bytes) if bytes <= size => Ok(bytes),
        _ => Err(Error::Truncated { path: path(), blocks, needed, size }),
    }
}

/// `N` bytes of the first block, from byte `AT` on.
fn field<const AT: usize, const N: usize>(block: &[u8; SALTED_BYTES]) -> [u8; N] {
    const { assert!(AT + N <= SALTED_BYTES) };
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the line above is the proof")]
    std::array::from_fn(|index| block[AT + index])
}
