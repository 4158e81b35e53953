// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi build`: from files, a key and a certificate to a signed image; or without the two to an image that waits for its
//! signature, and the bytes to sign.
//!
//! Order: refuse what can be refused at once (output, key, certificate, input), make the file system, then one pass over
//! it that hashes (and copies, where it cannot become the image by itself), then the small parts: tree, superblock,
//! signature, tables. Last, read the result as the boot stage will, force it to the disk and give it its name.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use boot_formats::verity::RootHash;

use crate::certificate::{self, Certificate};
use crate::derive;
use crate::draft::{self, Draft, State};
use crate::erofs::{self, Image};
use crate::file_error::{Action, FileError};
use crate::identity::{self, Identity};
use crate::image::{self, Plan};
use crate::key::{self, PrivateKey};
use crate::mkfs::{self, Files};
use crate::output::{self, Output};
use crate::progress::Waiting;
use crate::report::Report;
use crate::salt::Salt;
use crate::shift;
use crate::signature;
use crate::tar_check;
use crate::verity_tree;

/// What to build.
#[derive(Debug, Clone)]
pub struct Request {
    /// What goes in.
    pub source: Source,
    /// Who signs.
    pub signing: Signing,
    /// The image; an existing file is replaced when the new one is whole.
    pub output: PathBuf,
    /// Salt of the hash tree; derived if not given.
    pub salt: Option<Salt>,
}

/// Who signs an image.
#[derive(Debug, Clone)]
pub enum Signing {
    /// This program.
    Key {
        /// PEM file with the private key.
        key: PathBuf,
        /// PEM file with its certificate.
        certificate: PathBuf,
    },
    /// Somebody else, later: [`join`](crate::join) completes the image. Until then the boot stage refuses it.
    Elsewhere {
        /// A file for the bytes to sign: the 64 hexadecimal digits of the root hash.
        to_sign: Option<PathBuf>,
    },
}

impl Signing {
    /// The files that are read.
    fn inputs(&self) -> Vec<&Path> {
        match self {
            Self::Key { key, certificate } => vec![key, certificate],
            Self::Elsewhere { .. } => Vec::new(),
        }
    }
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
    Draft(#[from] draft::Error),
}

/// Builds the image and says what is in it.
///
/// # Errors
/// See [`Error`]. On an error nothing is left behind, and a file that was there before is as it was.
pub fn build(request: &Request) -> Result<Report, Error> {
    let signer = Signer::load(&request.signing)?;
    let mut inputs = request.signing.inputs();
    inputs.push(request.source.path());
    let output = Output::new(&request.output, &inputs)?;
    let to_sign = match &request.signing {
        Signing::Elsewhere { to_sign: Some(path) } => Some(Output::new(path, &inputs)?),
        _ => None,
    };
    to_sign.iter().try_for_each(|to_sign| to_sign.require_other_than(&output))?;
    refuse_key_in_tree(request)?;

    let (root, identity) = file_system(&request.source, &output)?;
    let salt = match &request.salt {
        Some(salt) => salt.clone(),
        None => Salt::derived(derive::salt(root.size, &root.first_block)),
    };
    let plan = Plan::new(verity_tree::partition_len(root.data_blocks())?, root.size)?;
    let ours = matches!(request.source, Source::Files { .. });
    let (image, tree) = match ours && shift::is_supported(&output)? {
        true => Draft::around(root, plan, &salt)?,
        false => Draft::copy_of(&root, ours, plan, &salt, &output)?,
    };
    image.write_tree(&tree, &salt)?;
    let root_hash = &tree.root_hash;
    match &signer {
        Some(Signer { key, certificate }) => {
            image.write_signature(&signature::sign(root_hash, key, certificate)?)?;
            image.finish(root_hash, State::Signed)?;
        }
        None => image.finish(root_hash, State::Unsigned)?,
    }
    let certificate = signer.as_ref().map(|signer| &signer.certificate);
    let report = Report::new(&request.output, &image.plan, root_hash, &salt, certificate, identity);
    output.publish(&image.file, &image.path)?;
    if let Some(to_sign) = to_sign {
        publish_bytes(to_sign, &root_hash.as_hex())?;
    }
    Ok(report)
}

/// Key and certificate, of which the boot stage would take a signature.
struct Signer {
    key: PrivateKey,
    certificate: Certificate,
}

impl Signer {
    fn load(signing: &Signing) -> Result<Option<Self>, Error> {
        let Signing::Key { key, certificate } = signing else { return Ok(None) };
        let certificate = Certificate::load(certificate)?;
        let key = PrivateKey::load(key)?;
        signature::require_pair(&key, &certificate)?;
        // Whatever keeps this pair from signing is found now, not after the file system is made.
        signature::sign(&RootHash::new([0; 32]), &key, &certificate)?;
        Ok(Some(Self { key, certificate }))
    }
}

fn publish_bytes(output: Output, bytes: &[u8]) -> Result<(), Error> {
    let path = output.work_file("to-sign");
    let mut file = File::create_new(&path).map_err(FileError::on(&path, Action::Create))?;
    file.write_all(bytes).map_err(FileError::on(&path, Action::Write(0)))?;
    Ok(output.publish(&file, &path)?)
}

fn refuse_key_in_tree(request: &Request) -> Result<(), Error> {
    let Source::Files { files: Files::Tree { path: tree, .. }, .. } = &request.source else { return Ok(()) };
    let Signing::Key { key, .. } = &request.signing else { return Ok(()) };
    let real = |path: &Path| path.canonicalize().map_err(FileError::on(path, Action::Open));
    match real(key)?.starts_with(real(tree)?) {
        true => Err(Error::KeyInTree { key: key.clone(), tree: tree.clone() }),
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
