// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image on its way: a file with the layout of the finished one, into which the parts are written.
//!
//! [`State`] says which image comes out: one that boots, or one that waits for its signature, whose table has no
//! signature partition, so that the boot stage refuses it as `unsigned`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use boot_formats::range::ByteRange;
use boot_formats::verity::RootHash;

use crate::derive;
use crate::erofs::Image;
use crate::file_error::{Action, FileError};
use crate::image::{self, Plan};
use crate::output::Output;
use crate::progress::Bytes;
use crate::read_back;
use crate::salt::Salt;
use crate::shift;
use crate::signature;
use crate::verity_tree::{self, BLOCK_SIZE, Destination, Tree};

/// Why the image did not come about: one variant for each area.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[allow(missing_docs, reason = "each is the error of the module of its name")]
pub enum Error {
    File(#[from] FileError),
    VerityTree(#[from] verity_tree::Error),
    Image(#[from] image::Error),
    ReadBack(#[from] read_back::Error),
}

/// What the tables say about the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Signed,
    /// Nothing: its place is kept, and no partition is there.
    Unsigned,
}

/// An image without its final name, or one that is changed where it lies.
#[derive(Debug)]
pub struct Draft {
    /// The file, open for reading and writing.
    pub file: File,
    /// Its name, for messages.
    pub path: PathBuf,
    /// Where everything lies in it.
    pub plan: Plan,
}

impl Draft {
    /// The file that mkfs.erofs made becomes the image: its contents are shifted, and no byte of it is copied.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn around(root: Image, plan: Plan, salt: &Salt) -> Result<(Self, Tree), Error> {
        shift::begin_writing(&root.file);
        let tree = verity_tree::hash(&root, None, salt, &Bytes::new("hash", root.size))?;
        let Image { path, .. } = root;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(FileError::on(&path, Action::Open))?;
        shift::shift(&file, &path, plan.root.offset)?;
        Ok((Self::sized(file, path, plan)?, tree))
    }

    /// A new file with a copy of the file system, which is removed if it is `ours`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn copy_of(root: &Image, ours: bool, plan: Plan, salt: &Salt, output: &Output) -> Result<(Self, Tree), Error> {
        if ours {
            // Its pages are dropped with the last handle, before any of them has to be written to the disk.
            fs::remove_file(&root.path).map_err(FileError::on(&root.path, Action::Remove))?;
        }
        let path = output.work_file("image");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(FileError::on(&path, Action::Create))?;
        let image = Self::sized(file, path, plan)?;
        let destination = Destination { file: &image.file, path: &image.path, offset: plan.root.offset };
        let tree = verity_tree::hash(root, Some(destination), salt, &Bytes::new("hash and copy", root.size))?;
        Ok((image, tree))
    }

    /// Gives the file the image's size; what is new is zeros.
    fn sized(file: File, path: PathBuf, plan: Plan) -> Result<Self, FileError> {
        file.set_len(plan.size).map_err(FileError::on(&path, Action::Resize))?;
        Ok(Self { file, path, plan })
    }

    /// Writes root-verity.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn write_tree(&self, tree: &Tree, salt: &Salt) -> Result<(), FileError> {
        let uuid = derive::verity_uuid(&tree.root_hash);
        let superblock = verity_tree::superblock(uuid, tree.data_blocks, salt);
        self.write(self.plan.verity, 0, &superblock)?;
        self.write(self.plan.verity, BLOCK_SIZE, &tree.blocks)
    }

    /// Writes the signature to the place that is kept for it. Nobody looks there before [`finish`](Self::finish).
    ///
    /// # Errors
    /// What the operating system said.
    pub fn write_signature(&self, json: &signature::Json) -> Result<(), FileError> {
        self.write(self.plan.signature, 0, &json.padded())
    }

    /// Writes the tables and reads everything back.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn finish(&self, root_hash: &RootHash, state: State) -> Result<(), Error> {
        let entries = self.plan.entries(root_hash);
        match state {
            State::Signed => {
                image::write_tables(root_hash, &entries, &self.file, &self.path)?;
                read_back::check(&self.file, &self.path, self.plan.size, root_hash)?;
            }
            State::Unsigned => {
                let [_, in_table @ ..] = &entries;
                image::write_tables(root_hash, in_table, &self.file, &self.path)?;
                read_back::check_unsigned(&self.file, &self.path, &self.plan)?;
            }
        }
        Ok(())
    }

    /// Forces what was written to the disk.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(FileError::on(&self.path, Action::Sync))
    }

    fn write(&self, partition: ByteRange, at: usize, bytes: &[u8]) -> Result<(), FileError> {
        let offset = partition.offset.saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
        self.file.write_all_at(bytes, offset).map_err(FileError::on(&self.path, Action::Write(offset)))
    }
}
