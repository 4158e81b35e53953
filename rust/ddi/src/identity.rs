// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who a tree says it is: its os-release, found as programs inside the image will find it (os-release(5):
//! /etc/os-release, else /usr/lib/os-release; symbolic links do not lead out of the tree).
//!
//! The boot stage refuses an image whose os-release is not what its configuration and the image's name say. Asking for
//! it here finds the mistake before the device does.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use boot_formats::os_release;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use crate::file_error::{Action, FileError};

/// In the order of os-release(5).
const PLACES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Why a tree is not what it should be.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a directory.
    #[error("{}: expected a directory", path.display())]
    NotADirectory { path: PathBuf },
    /// The reader of the boot stage refuses it.
    #[error("{}: the boot stage would refuse this image: {source}", path.display())]
    Malformed { path: PathBuf, source: os_release::Error },
    /// Another identity than the one asked for.
    #[error(
        "{}: expected {key}={expected}, found {}",
        path.display(), found.as_ref().map_or_else(|| "none".to_owned(), |found| format!("{key}={found}"))
    )]
    Mismatch { path: PathBuf, key: &'static str, expected: String, found: Option<String> },
}

/// What os-release says; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `IMAGE_ID`.
    pub image_id: Option<String>,
    /// `IMAGE_VERSION`.
    pub image_version: Option<String>,
}

/// Reads the identity of the tree and compares it with what `expected` has.
///
/// # Errors
/// See [`Error`].
pub fn read(tree: &Path, expected: &Identity) -> Result<Identity, Error> {
    let (path, found) = find(tree)?;
    let compare = |key, expected: &Option<String>, found: &Option<String>| match expected {
        Some(expected) if found.as_ref() != Some(expected) => {
            Err(Error::Mismatch { path: path.clone(), key, expected: expected.clone(), found: found.clone() })
        }
        _ => Ok(()),
    };
    compare("IMAGE_ID", &expected.image_id, &found.image_id)?;
    compare("IMAGE_VERSION", &expected.image_version, &found.image_version)?;
    Ok(found)
}

fn find(tree: &Path) -> Result<(PathBuf, Identity), Error> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let root = open(tree, flags | OFlags::DIRECTORY, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR => Error::NotADirectory { path: tree.to_owned() },
        errno => FileError::on(tree, Action::Open)(errno.into()).into(),
    })?;
    for place in PLACES {
        let path = tree.join(place);
        // A pipe of this name would otherwise wait for a writer.
        let flags = flags | OFlags::NONBLOCK;
        match openat2(&root, place, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(file) => {
                let found = parse(&path, File::from(file))?;
                return Ok((path, found));
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(FileError::on(&path, Action::Open)(errno.into()).into()),
        }
    }
    Ok((tree.join(PLACES[1]), Identity::default()))
}

fn parse(path: &Path, file: File) -> Result<Identity, Error> {
    let mut text = Vec::new();
    // One byte more than is allowed, so that the parser sees a file that is too large.
    let limit = u64::try_from(os_release::MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut text).map_err(FileError::on(path, Action::Read(0)))?;
    let found = os_release::parse(&text).map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
    Ok(Identity {
        image_id: found.image_id.map(|text| text.as_str().to_owned()),
        image_version: found.image_version.map(|text| text.as_str().to_owned()),
    })
}
