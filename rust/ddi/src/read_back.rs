// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a finished image as the boot stage will, before it gets its name.
//!
//! Headers and signature only, a few kilobytes: that tables, superblock and signature are where and what the boot stage
//! expects. The hash tree is not walked again; `veritysetup verify` does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use boot_formats::ddi::{self, Layout};
use boot_formats::gpt::{self, Geometry, Which};
use boot_formats::range::ByteRange;
use boot_formats::signature_json::{self, MAX_SIGNATURE_PARTITION};
use boot_formats::verity::{self, RootHash};

use crate::file_error::{Action, FileError};

/// What the boot stage would refuse. Each is a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A partition table.
    #[error("the {which:?} partition table was written wrong: {source}")]
    Table {
        /// Which of the two.
        which: Which,
        /// What is wrong.
        source: gpt::Error,
    },
    /// The partitions.
    #[error("the partitions were written wrong: {0}")]
    Partitions(ddi::Error),
    /// The superblock.
    #[error("the verity superblock was written wrong: {0}")]
    Superblock(verity::Error),
    /// The signature partition.
    #[error("the signature partition was written wrong: {0}")]
    Signature(signature_json::Error),
    /// The signature partition is for another image.
    #[error("the signature partition was written wrong: expected the root hash {expected}, found {found}")]
    RootHash {
        /// The image's.
        expected: RootHash,
        /// The partition's.
        found: RootHash,
    },
}

/// Checks the image in `file`; `path` is for messages.
///
/// # Errors
/// See [`Error`].
pub fn check(file: &File, path: &Path, size: u64, expected: &RootHash) -> Result<(), Error> {
    let image = Reader { file, path };
    let layout = image.layout(Which::Primary, size)?;
    image.layout(Which::Backup, size)?;
    layout.check_root_hash(expected).map_err(Error::Partitions)?;
    let superblock = verity::parse(&image.read(layout.verity, verity::SUPERBLOCK_SIZE)?).map_err(Error::Superblock)?;
    superblock.require_4k().map_err(Error::Superblock)?;
    superblock.check_fits(layout.root, layout.verity).map_err(Error::Superblock)?;
    let bytes = image.read(layout.signature, MAX_SIGNATURE_PARTITION)?;
    let found = signature_json::parse(&bytes).map_err(Error::Signature)?.root_hash;
    match found == *expected {
        true => Ok(()),
        false => Err(Error::RootHash { expected: *expected, found }),
    }
}

struct Reader<'a> {
    file: &'a File,
    path: &'a Path,
}

impl Reader<'_> {
    /// The first bytes of `range`, at most `limit`.
    fn read(&self, range: ByteRange, limit: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; usize::try_from(range.len).unwrap_or(limit).min(limit)];
        self.file
            .read_exact_at(&mut bytes, range.offset)
            .map_err(FileError::on(self.path, Action::Read(range.offset)))?;
        Ok(bytes)
    }

    fn layout(&self, which: Which, size: u64) -> Result<Layout, Error> {
        let wrong = |source| Error::Table { which, source };
        let geometry = Geometry::new(512, size).map_err(wrong)?;
        let header = geometry.header(which);
        let header = gpt::parse_header(&self.read(header, 512)?, geometry, which).map_err(wrong)?;
        let array = self.read(header.entry_array(), usize::MAX)?;
        let table = gpt::parse_entries(&header, geometry, &array).map_err(wrong)?;
        ddi::layout(&table).map_err(Error::Partitions)
    }
}
