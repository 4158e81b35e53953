// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the PEM blocks of a file (RFC 7468), so that a key and a certificate may lie in one file and in any order,
//! with text between them, as openssl writes it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::file_error::{Action, FileError};

/// Largest file that is read: an RSA-4096 key with its certificate and their text forms is below 16 KiB.
const MAX_FILE: usize = 64 * 1024;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Why a file gives no block.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Far more than a key or certificate.
    #[error("{}: expected a PEM file of at most {MAX_FILE} bytes, found more", path.display())]
    TooLarge { path: PathBuf },
    /// Not text.
    #[error("{}: expected PEM text, found a byte that is no UTF-8 at byte {offset}", path.display())]
    NotText { path: PathBuf, offset: usize },
    /// No block of the wanted kind.
    #[error("{}: expected a PEM block \"{wanted}\", found {found}", path.display())]
    Missing { path: PathBuf, wanted: &'static str, found: String },
    /// More than one: which one was meant?
    #[error("{}: expected one PEM block \"{wanted}\", found a second one at byte {offset}", path.display())]
    Several { path: PathBuf, wanted: &'static str, offset: usize },
    /// A block that does not decode.
    #[error("{}: the PEM block at byte {offset} is malformed: {source}", path.display())]
    Malformed { path: PathBuf, offset: usize, source: pem_rfc7468::Error },
}

/// One block of a file.
#[derive(Debug)]
pub struct Block<'a> {
    /// What stands behind `BEGIN`.
    pub label: &'a str,
    /// The block from `-----BEGIN` to the end of its last line.
    pub text: &'a str,
    /// Byte of the block in its file.
    pub offset: usize,
}

/// Reads a file whole. The bytes are wiped from memory when dropped: they may hold a key.
///
/// # Errors
/// [`Error::File`], [`Error::TooLarge`].
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = File::open(path).map_err(FileError::on(path, Action::Open))?;
    // Never grown, so that no copy of a key is left behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE));
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    (&file).take(limit).read_to_end(&mut bytes).map_err(FileError::on(path, Action::Read(0)))?;
    if (&file).read(&mut [0]).map_err(FileError::on(path, Action::Read(limit)))? != 0 {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// What was read, as text.
///
/// # Errors
/// [`Error::NotText`].
pub fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error::NotText { path: path.to_owned(), offset: error.valid_up_to() })
}

/// The only block of `text` whose label `is_wanted`; `wanted` names it in errors.
///
/// # Errors
/// [`Error::Missing`], [`Error::Several`].
pub fn sole_block<'a>(
    path: &Path,
    text: &'a str,
    wanted: &'static str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Block<'a>, Error> {
    let mut found = blocks(text).filter(|block| is_wanted(block.label));
    let Some(block) = found.next() else {
        let labels: Vec<_> = blocks(text).map(|block| format!("\"{}\"", block.label)).collect();
        let found = match labels.is_empty() {
            true => "no PEM block at all".to_owned(),
            false => labels.join(", "),
        };
        return Err(Error::Missing { path: path.to_owned(), wanted, found });
    };
    match found.next() {
        Some(second) => Err(Error::Several { path: path.to_owned(), wanted, offset: second.offset }),
        None => Ok(block),
    }
}

/// The DER bytes of a block.
///
/// # Errors
/// [`Error::Malformed`].
pub fn decode(path: &Path, block: &Block<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
    pem_rfc7468::decode_vec(block.text.as_bytes())
        .map(|(_, der)| Zeroizing::new(der))
        .map_err(|source| Error::Malformed { path: path.to_owned(), offset: block.offset, source })
}

fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    text.match_indices(BEGIN).filter_map(|(offset, _)| {
        let (before, rest) = text.split_at_checked(offset)?;
        if !before.is_empty() && !before.ends_with('\n') {
            return None;
        }
        let (label, _) = rest.strip_prefix(BEGIN)?.split_once(DASHES)?;
        let end_mark = format!("-----END {label}-----");
        // A block without its end runs to the end of the file, and fails to decode there.
        let end = rest.find(&end_mark).map_or(rest.len(), |at| at.saturating_add(end_mark.len()));
        Some(Block { label, text: rest.get(..end)?, offset })
    })
}
