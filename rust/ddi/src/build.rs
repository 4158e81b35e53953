// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi build`: from files, a key and a certificate to a signed image.
//!
//! Order: refuse what can be refused at once (output, key, certificate, input), make the file system, then one pass over
//! it that hashes (and copies, where it cannot become the image by itself), then the small parts: tree, superblock,
//! signature, tables. Last, read the result as the boot stage will, force it to the disk and give it its name.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

use boot_formats::range::ByteRange;
use boot_formats::verity::RootHash;

use crate::certificate::{self, Certificate};
use crate::derive;
use crate::erofs::{self, Image};
use crate::file_error::{Action, FileError};
use crate::identity::{self, Identity};
use crate::image::{self, Plan};
use crate::key::{self, PrivateKey};
use crate::mkfs::{self, Files};
use crate::output::{self, Output};
use crate::progress::{Bytes, Waiting};
use crate::read_back;
use crate::report::{PartitionReport, Report, SignerReport};
use crate::salt::Salt;
use crate::shift;
use crate::signature;
use crate::tar_check;
use crate::verity_tree::{self, BLOCK_SIZE, Destination, Tree};

/// What to build.
#[derive(Debug, Clone)]
pub struct Request {
    /// What goes in.
    pub source: Source,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with its certificate.
    pub certificate: PathBuf,
    /// The image; an existing file is replaced when the new one is whole.
    pub output: PathBuf,
    /// Salt of the hash tree; derived if not given.
    pub salt: Option<Salt>,
}

/// What goes into an image.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files, of which mkfs.erofs makes the file system.
    Files {
        /// The files.
        files: Files,
        /// How to run mkfs.erofs.
        options: mkfs::Options,
        /// What the os-release of a tree must say. Not looked at for an archive.
        identity: Identity,
    },
    /// A finished erofs image.
    Erofs(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Files { files: Files::Tree { path, .. } | Files::Tar { path }, .. } | Self::Erofs(path) => path,
        }
    }
}

/// Why there is no image: one variant for each area.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[allow(missing_docs, reason = "each is the error of the module of its name")]
pub enum Error {
    #[error("{}: the private key lies in the tree {} and would be in the image", key.display(), tree.display())]
    KeyInTree {
        key: PathBuf,
        tree: PathBuf,
    },
    File(#[from] FileError),
    Output(#[from] output::Error),
    Key(#[from] key::Error),
    Certificate(#[from] certificate::Error),
    Identity(#[from] identity::Error),
    Tar(#[from] tar_check::Error),
    Mkfs(#[from] mkfs::Error),
    Erofs(#[from] erofs::Error),
    VerityTree(#[from] verity_tree::Error),
    Signature(#[from] signature::Error),
    Image(#[from] image::Error),
    ReadBack(#[from] read_back::Error),
}

/// Builds the image and says what is in it.
///
/// # Errors
/// See [`Error`]. On an error nothing is left behind, and a file that was there before is as it was.
pub fn build(request: &Request) -> Result<Report, Error> {
    let signer = Certificate::load(&request.certificate)?;
    let key = PrivateKey::load(&request.key)?;
    signature::require_pair(&key, &signer)?;
    let output = Output::new(&request.output, &[request.source.path(), &request.key, &request.certificate])?;
    refuse_key_in_tree(request)?;

    let (root, identity) = file_system(&request.source, &output)?;
    let salt = match &request.salt {
        Some(salt) => salt.clone(),
        None => Salt::derived(derive::salt(root.size, &root.first_block)),
    };
    let signature_len = u64::try_from(signature::json_len(&signer)?).unwrap_or(u64::MAX);
    let plan = Plan::new(signature_len, verity_tree::partition_len(root.data_blocks())?, root.size)?;
    let ours = matches!(request.source, Source::Files { .. });
    let (image, tree) = match ours && shift::is_supported(&output)? {
        true => Draft::around(root, plan, &salt)?,
        false => Draft::copy_of(&root, ours, plan, &salt, &output)?,
    };
    image.write_tree(&tree, &salt)?;
    image.write(image.plan.signature, 0, &signature::sign(&tree.root_hash, &key, &signer)?)?;
    image.finish(&tree.root_hash)?;
    let report = report(request, &image.plan, &tree.root_hash, &salt, &signer, identity);
    output.publish(&image.file, &image.path)?;
    Ok(report)
}

fn refuse_key_in_tree(request: &Request) -> Result<(), Error> {
    let Source::Files { files: Files::Tree { path: tree, .. }, .. } = &request.source else { return Ok(()) };
    let real = |path: &Path| path.canonicalize().map_err(FileError::on(path, Action::Open));
    match real(&request.key)?.starts_with(real(tree)?) {
        true => Err(Error::KeyInTree { key: request.key.clone(), tree: tree.clone() }),
        false => Ok(()),
    }
}

/// The file system, in a file of the work directory unless it was given.
fn file_system(source: &Source, output: &Output) -> Result<(Image, Identity), Error> {
    let Source::Files { files, options, identity } = source else {
        return Ok((Image::open(source.path())?, Identity::default()));
    };
    let look = || -> Result<Identity, Error> {
        match files {
            Files::Tree { path, .. } => Ok(identity::read(path, identity)?),
            Files::Tar { path } => tar_check::check(path).map(|()| Identity::default()).map_err(Error::from),
        }
    };
    // Asking mkfs.erofs for its version takes as long as looking through the input: both at once.
    let (version, identity) = thread::scope(|scope| {
        let version = scope.spawn(|| mkfs::require_version(&options.program));
        let identity = look();
        (version.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), identity)
    });
    let identity = identity?;
    version?;
    let path = output.work_file("root.erofs");
    let waiting = Waiting::new("mkfs.erofs");
    mkfs::make(files, options, &path)?;
    drop(waiting);
    Ok((Image::open(&path)?, identity))
}

/// An image without its final name.
struct Draft {
    file: File,
    path: PathBuf,
    plan: Plan,
}

impl Draft {
    /// The file that mkfs.erofs made becomes the image: its contents are shifted, and no byte of it is copied.
    fn around(root: Image, plan: Plan, salt: &Salt) -> Result<(Self, Tree), Error> {
        shift::begin_writing(&root.file);
        let tree = verity_tree::hash(&root, None, salt, &Bytes::new("hash", root.size))?;
        let Image { path, .. } = root;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(FileError::on(&path, Action::Open))?;
        shift::shift(&file, &path, plan.root.offset)?;
        Ok((Self::sized(file, path, plan)?, tree))
    }

    /// A new file with a copy of the file system, which is removed if it is `ours`.
    fn copy_of(root: &Image, ours: bool, plan: Plan, salt: &Salt, output: &Output) -> Result<(Self, Tree), Error> {
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
    fn write_tree(&self, tree: &Tree, salt: &Salt) -> Result<(), FileError> {
        let uuid = derive::verity_uuid(&tree.root_hash);
        let superblock = verity_tree::superblock(uuid, tree.data_blocks, salt);
        self.write(self.plan.verity, 0, &superblock)?;
        self.write(self.plan.verity, BLOCK_SIZE, &tree.blocks)
    }

    /// Writes the tables and reads everything back.
    fn finish(&self, root_hash: &RootHash) -> Result<(), Error> {
        self.plan.write_tables(root_hash, &self.file, &self.path)?;
        read_back::check(&self.file, &self.path, self.plan.size, root_hash)?;
        Ok(())
    }

    fn write(&self, partition: ByteRange, at: usize, bytes: &[u8]) -> Result<(), FileError> {
        let offset = partition.offset.saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
        self.file.write_all_at(bytes, offset).map_err(FileError::on(&self.path, Action::Write(offset)))
    }
}

fn report(
    request: &Request,
    plan: &Plan,
    root_hash: &RootHash,
    salt: &Salt,
    signer: &Certificate,
    identity: Identity,
) -> Report {
    Report {
        format: 1,
        output: request.output.display().to_string(),
        size: plan.size,
        root_hash: root_hash.to_string(),
        salt: signature::hex(salt.as_bytes()),
        signer: SignerReport {
            sha256: signature::hex(&signer.fingerprint),
            common_name: signer.common_name.clone(),
            development: signer.is_development,
        },
        image_id: identity.image_id,
        image_version: identity.image_version,
        partitions: plan
            .entries(root_hash)
            .map(|entry| PartitionReport {
                label: entry.label,
                uuid: entry.guid.to_string(),
                offset: entry.range.offset,
                size: entry.range.len,
            })
            .into(),
    }
}
