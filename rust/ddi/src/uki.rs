// SPDX-License-Identifier: MIT OR Apache-2.0
//! What systemd-stub measures of a unified kernel image (UAPI.5; systemd's src/boot/measure.c, src/fundamental/uki.c).
//!
//! For each section in a fixed order, whatever the order in the file: its name with a NUL byte behind it, then its contents as they are
//! in memory. A section whose measurement depends on the machine or on what is chosen from a menu is refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use boot_formats::bytes::{self, OutOfRange};
use tpm_policy::pcr::after;
use tpm_policy::{Bank, Digest};

use crate::file_error::{Action, FileError};

/// The register that systemd-stub measures into.
pub const KERNEL_PCR: u8 = 11;

/// In the order of measurement. `.pcrsig` is not measured: it signs the result.
const MEASURED: [&str; 10] =
    [".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"];
/// Chosen among several at boot, or known to stubs of some versions only.
const NOT_PREDICTABLE: [&str; 4] = [".profile", ".dtbauto", ".hwids", ".efifw"];
/// Largest contents of a section in memory: far above a kernel or an initrd, far below what would not fit.
const MAX_SECTION: u32 = 1 << 30;

/// Why a file gives no prediction.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// It ends too early.
    #[error("{}: {source}", path.display())]
    Short { path: PathBuf, source: OutOfRange },
    /// Not a PE file.
    #[error("{}: expected a unified kernel image, found no PE signature at byte {offset}", path.display())]
    Signature { path: PathBuf, offset: usize },
    /// A section twice.
    #[error("{}: expected one section {name}, found two", path.display())]
    Twice { path: PathBuf, name: &'static str },
    /// A section that is measured differently from machine to machine.
    #[error("{}: section {name}: what is measured of it is decided at boot, so that it cannot be predicted", path.display())]
    NotPredictable { path: PathBuf, name: &'static str },
    /// No kernel.
    #[error("{}: expected a section .linux, found none", path.display())]
    NoKernel { path: PathBuf },
    /// A section that no image has.
    #[error("{}: section {name} of {found} bytes, expected at most {MAX_SECTION}", path.display())]
    TooLarge { path: PathBuf, name: &'static str, found: u32 },
}

/// The sections that are measured, in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uki {
    sections: Vec<(&'static str, Vec<u8>)>,
}

impl Uki {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = fs::read(path).map_err(FileError::on(path, Action::Read(0)))?;
        Self::parse(path, &file)
    }

    fn parse(path: &Path, file: &[u8]) -> Result<Self, Error> {
        let mut found: Vec<(&'static str, Vec<u8>)> = Vec::new();
        for header in section_headers(path, file)? {
            let name = header.get(..8).unwrap_or_default();
            let is = |wanted: &&&str| name.split(|byte| *byte == 0).next() == Some(wanted.as_bytes());
            if let Some(name) = NOT_PREDICTABLE.iter().find(is) {
                return Err(Error::NotPredictable { path: path.to_owned(), name });
            }
            let Some(name) = MEASURED.iter().find(is) else { continue };
            if found.iter().any(|(other, _)| other == name) {
                return Err(Error::Twice { path: path.to_owned(), name });
            }
            found.push((name, contents(path, file, header, name)?));
        }
        let mut sections = Vec::new();
        for name in MEASURED {
            sections.extend(found.iter().position(|(other, _)| *other == name).map(|place| found.swap_remove(place)));
        }
        if sections.first().is_none_or(|(name, _)| *name != ".linux") {
            return Err(Error::NoKernel { path: path.to_owned() });
        }
        Ok(Self { sections })
    }

    /// The value of register 11 after a phase path: words with colons between them, each measured when the boot gets there; an
    /// empty one before the first word, as storage-init finds the register.
    #[must_use]
    pub fn kernel_register(&self, bank: Bank, phases: &str) -> Digest {
        let names: Vec<Vec<u8>> = self.sections.iter().map(|(name, _)| [name.as_bytes(), &[0]].concat()).collect();
        let sections = names.iter().zip(&self.sections).flat_map(|(name, (_, contents))| [name.as_slice(), contents]);
        let words = phases.split(':').filter(|word| !word.is_empty()).map(str::as_bytes);
        after(bank, sections.chain(words))
    }
}

/// The value of a register that was zero, after what storage-init measures of a DDI.
#[must_use]
pub fn ddi_register(bank: Bank, root_hash: [u8; 32], signer: [u8; 32]) -> Digest {
    let event = tpm_policy::event::DdiEvent { root_hash, signer };
    after(bank, [event.data().as_bytes()])
}

/// Of a PE file (Microsoft's PE Format, "Section Table"): 40 bytes each.
fn section_headers<'a>(path: &Path, file: &'a [u8]) -> Result<Vec<&'a [u8]>, Error> {
    let short = |source| Error::Short { path: path.to_owned(), source };
    let signature = |offset| Error::Signature { path: path.to_owned(), offset };
    if bytes::array(file, 0).map_err(short)? != *b"MZ" {
        return Err(signature(0));
    }
    let start = usize::try_from(bytes::le_u32(file, 0x3c).map_err(short)?).unwrap_or(usize::MAX);
    let coff = bytes::slice(file, start, 24).map_err(short)?;
    if !coff.starts_with(b"PE\0\0") {
        return Err(signature(start));
    }
    let count = bytes::le_u16(coff, 6).map_err(short)?;
    let optional = bytes::le_u16(coff, 20).map_err(short)?;
    let table = start.saturating_add(24).saturating_add(optional.into());
    let table = bytes::slice(file, table, usize::from(count).saturating_mul(40)).map_err(short)?;
    Ok(table.chunks_exact(40).collect())
}

/// As it is in memory: as long as its virtual size, with zeros where the file has no bytes for it.
fn contents(path: &Path, file: &[u8], header: &[u8], name: &'static str) -> Result<Vec<u8>, Error> {
    let short = |source| Error::Short { path: path.to_owned(), source };
    let number = |offset| bytes::le_u32(header, offset).map_err(short);
    let (virtual_size, raw_size, raw_offset) = (number(8)?, number(16)?, number(20)?);
    if virtual_size > MAX_SECTION {
        return Err(Error::TooLarge { path: path.to_owned(), name, found: virtual_size });
    }
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let mut contents = bytes::slice(file, size(raw_offset), size(virtual_size.min(raw_size))).map_err(short)?.to_vec();
    contents.resize(size(virtual_size), 0);
    Ok(contents)
}
