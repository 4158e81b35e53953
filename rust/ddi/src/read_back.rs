// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a finished image as the boot stage will, before it gets its name.
//!
//! Headers and signature only, a few kilobytes: that tables, superblock and signature are where and what the boot stage
//! expects. The hash tree is not walked again; `veritysetup verify` does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use boot_formats::ddi::{self, Layout};
use boot_formats::dps::Role;
use boot_formats::gpt::{self, Geometry, Which};
use boot_formats::range::ByteRange;
use boot_formats::signature_json::{self, MAX_SIGNATURE_PARTITION};
use boot_formats::verity::{self, RootHash};

use crate::file_error::{Action, FileError};
use crate::image::Plan;

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
    /// A signature partition in an image that is to have none.
    #[error("the partitions were written wrong: there is a signature partition without a signature")]
    NotUnsigned,
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
    image.superblock(layout.root, layout.verity)?;
    let bytes = image.read(layout.signature, MAX_SIGNATURE_PARTITION)?;
    let found = signature_json::parse(&bytes).map_err(Error::Signature)?.root_hash;
    match found == *expected {
        true => Ok(()),
        false => Err(Error::RootHash { expected: *expected, found }),
    }
}

/// Checks an image that waits for its signature: that the boot stage refuses both tables for that, and nothing else, and
/// that the tree is where it should be.
///
/// # Errors
/// See [`Error`].
pub fn check_unsigned(file: &File, path: &Path, plan: &Plan) -> Result<(), Error> {
    let image = Reader { file, path };
    for which in [Which::Primary, Which::Backup] {
        match image.layout(which, plan.size) {
            Err(Error::Partitions(ddi::Error::Missing(Role::RootVeritySig))) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::NotUnsigned),
        }
    }
    image.superblock(plan.root, plan.verity)
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

    fn superblock(&self, root: ByteRange, verity: ByteRange) -> Result<(), Error> {
        let superblock = verity::parse(&self.read(verity, verity::SUPERBLOCK_SIZE)?).map_err(Error::Superblock)?;
        superblock.require_4k().and_then(|()| superblock.check_fits(root, verity)).map_err(Error::Superblock)
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
