// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi join-signature`: an unsigned image and a signature made elsewhere become a signed image.
//!
//! * The signature is accepted if the boot stage would accept it, by the same code, for this image and the given certificate.
//! * What is written is made anew from it: no certificate that came along, no other encoding. So an image has the same
//!   bytes whichever tool carried the signature, and those of `ddi build --key` if that key made it.
//! * Nothing but signature and partition tables is written. In place, a run that is interrupted leaves the image unsigned
//!   or signed, nothing in between; it can be run again.
//!
//! What it does not do: read every block of the image again. `ddi verify` does.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use boot_formats::ddi::{self, Layout};
use boot_formats::dps::{self, Role};
use boot_formats::gpt::{Table, Which};
use boot_formats::range::ByteRange;
use boot_formats::verity::{self, RootHash, SUPERBLOCK_SIZE, Superblock};

use crate::block_check::Blocks;
use crate::certificate::{self, Certificate};
use crate::draft::{self, Draft, State};
use crate::file_error::{Action, FileError};
use crate::identity::Identity;
use crate::image::{self, Plan};
use crate::opened::{self, Opened, TableError};
use crate::output::{self, Output};
use crate::pkcs7_file;
use crate::report::Report;
use crate::salt::Salt;
use crate::signature;

/// What to join.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image, as `ddi build --unsigned-out` made it.
    pub image: PathBuf,
    /// File with the PKCS#7, DER or PEM.
    pub signature: PathBuf,
    /// PEM file with the signer's certificate.
    pub certificate: PathBuf,
    /// Where the signed image goes.
    pub destination: Destination,
}

/// Where a signed image goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Into a new file, whole or not at all. The data is shared where the file system can do that, else copied.
    File(PathBuf),
    /// Nowhere: the unsigned image becomes it.
    InPlace,
}

/// Why there is no signed image: one variant for each area.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    #[error(transparent)]
    Open(#[from] opened::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    #[error(transparent)]
    SignatureFile(#[from] pkcs7_file::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Draft(#[from] draft::Error),
    #[error(transparent)]
    Encode(#[from] signature::Error),
    /// No table that can be read.
    #[error("{}: {source}", path.display())]
    Table { path: PathBuf, source: TableError },
    /// It has a signature partition.
    #[error("{}: the image is signed already", path.display())]
    AlreadySigned { path: PathBuf },
    /// Another image than one that waits for its signature.
    #[error("{}: expected an image that `ddi build --unsigned-out` made: {source}", path.display())]
    NotUnsigned { path: PathBuf, source: ddi::Error },
    /// A layout without the place for the signature.
    #[error(
        "{}: expected an image that `ddi build --unsigned-out` made: {role} partition of {expected}, found {found}",
        path.display()
    )]
    Elsewhere { path: PathBuf, role: Role, expected: ByteRange, found: ByteRange },
    /// Something behind it, or nothing where there should be something.
    #[error(
        "{}: expected an image that `ddi build --unsigned-out` made: {expected} bytes, found {found}",
        path.display()
    )]
    Size { path: PathBuf, expected: u64, found: u64 },
    /// The hash tree's header.
    #[error("{}: {source}", path.display())]
    Superblock { path: PathBuf, source: verity::Error },
    /// The image was damaged since it was built.
    #[error("{}: the topmost block of the hash tree is not that of the root hash {root_hash}", path.display())]
    Corrupt { path: PathBuf, root_hash: RootHash },
    /// Not a signature of this image that the boot stage would accept.
    #[error(
        "{}: the boot stage would refuse this signature of the root hash {root_hash} by {}: {source}",
        path.display(), certificate.display()
    )]
    Refused { path: PathBuf, root_hash: RootHash, certificate: PathBuf, source: signature_check::Error },
}

/// Joins image and signature.
///
/// # Errors
/// See [`Error`]. On an error nothing was changed, unless it came while the image was written in place.
pub fn join(request: &Request) -> Result<Report, Error> {
    let certificate = Certificate::load(&request.certificate)?;
    let pkcs7 = pkcs7_file::read(&request.signature)?;
    let image = Opened::open(&request.image)?;
    let Unsigned { plan, root_hash, superblock } = Unsigned::read(&image)?;
    let json = signature::join(&root_hash, &pkcs7, &certificate).map_err(|error| match error {
        signature::JoinError::Refused(source) => Error::Refused {
            path: request.signature.clone(),
            root_hash,
            certificate: request.certificate.clone(),
            source,
        },
        signature::JoinError::Encode(error) => Error::Encode(error),
    })?;
    let written_to = match &request.destination {
        Destination::File(path) => {
            let output = Output::new(path, &[&request.image, &request.signature, &request.certificate])?;
            let copy = output.work_file("image");
            let draft = Draft { file: copy_of(&image, &copy)?, path: copy, plan };
            draft.write_signature(&json)?;
            draft.finish(&root_hash, State::Signed)?;
            output.publish(&draft.file, &draft.path)?;
            path
        }
        Destination::InPlace => {
            let path = &request.image;
            let file =
                OpenOptions::new().read(true).write(true).open(path).map_err(FileError::on(path, Action::Open))?;
            let draft = Draft { file, path: path.clone(), plan };
            draft.write_signature(&json)?;
            // Before any table says that it is there.
            draft.sync()?;
            draft.finish(&root_hash, State::Signed)?;
            draft.sync()?;
            path
        }
    };
    let salt = Salt::of(&superblock);
    Ok(Report::new(written_to, &plan, &root_hash, &salt, Some(&certificate), Identity::default()))
}

/// What an image that waits for its signature says.
struct Unsigned {
    plan: Plan,
    root_hash: RootHash,
    superblock: Superblock,
}

impl Unsigned {
    fn read(image: &Opened) -> Result<Self, Error> {
        let path = || image.path.clone();
        let found = image.partition_table()?.map_err(|source| Error::Table { path: path(), source })?;
        match ddi::layout(&found.table) {
            Err(ddi::Error::Missing(Role::RootVeritySig)) => {}
            // Where a run in place was interrupted: the backup is written, the primary table is half written.
            Ok(_) if found.which == Which::Backup => {}
            Ok(_) => return Err(Error::AlreadySigned { path: path() }),
            Err(source) => return Err(Error::NotUnsigned { path: path(), source }),
        }
        let (layout, plan) = places(image, &found.table)?;
        let (first, last) = (layout.root_guid.to_uuid_bytes(), layout.verity_guid.to_uuid_bytes());
        let mut digest = [0; 32];
        digest.iter_mut().zip(first.into_iter().chain(last)).for_each(|(to, from)| *to = from);
        let root_hash = RootHash::new(digest);
        debug_assert_eq!(dps::partition_guids(&root_hash), (layout.root_guid, layout.verity_guid));

        let wrong = |source| Error::Superblock { path: path(), source };
        let superblock = verity::parse(&image.read(layout.verity, SUPERBLOCK_SIZE)?).map_err(wrong)?;
        superblock.require_4k().map_err(wrong)?;
        superblock.check_fits(layout.root, layout.verity).map_err(wrong)?;
        if Blocks::new(&layout, &superblock, root_hash).map_err(wrong)?.check_topmost(image)?.is_some() {
            return Err(Error::Corrupt { path: path(), root_hash });
        }
        Ok(Self { plan, root_hash, superblock })
    }
}

/// Where the partitions lie; only where `ddi build` puts them is there a place for the signature before them. The table
/// has one root and one root-verity: the caller has asked [`ddi::layout`].
fn places(image: &Opened, table: &Table) -> Result<(Layout, Plan), Error> {
    let of_role = |role| table.partitions.iter().find(|partition| Role::of(partition.type_guid) == role);
    let (Some(root), Some(verity)) = (of_role(Role::Root), of_role(Role::RootVerity)) else {
        let source = ddi::Error::Missing(Role::Root);
        return Err(Error::NotUnsigned { path: image.path.clone(), source });
    };
    let plan = Plan::new(verity.range.len, root.range.len)?;
    for (role, expected, found) in [(Role::RootVerity, plan.verity, verity.range), (Role::Root, plan.root, root.range)]
    {
        if found != expected {
            return Err(Error::Elsewhere { path: image.path.clone(), role, expected, found });
        }
    }
    if image.size != plan.size {
        return Err(Error::Size { path: image.path.clone(), expected: plan.size, found: image.size });
    }
    let layout = Layout {
        root: root.range,
        verity: verity.range,
        signature: plan.signature,
        root_guid: root.guid,
        verity_guid: verity.guid,
    };
    Ok((layout, plan))
}

/// A copy of the image at `path`, which shares its blocks where the file system can (ioctl_ficlone(2)).
fn copy_of(image: &Opened, path: &Path) -> Result<File, FileError> {
    let mut copy = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(FileError::on(path, Action::Create))?;
    if rustix::fs::ioctl_ficlone(&copy, &image.file).is_err() {
        let mut source = File::open(&image.path).map_err(FileError::on(&image.path, Action::Open))?;
        io::copy(&mut source, &mut copy).map_err(FileError::on(path, Action::Write(0)))?;
    }
    Ok(copy)
}
