// SPDX-License-Identifier: MIT OR Apache-2.0
//! The strings that the frames of a log are numbers of, out of the boot binary before it was stripped.
//!
//! A table is found as debuggers find symbols: the file of build ID `abcdef...` is `ab/cdef....debug` below a folder. It is the
//! program as it was linked, or any part of it that keeps the section `.defmt`, its symbols and the build ID note.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boot_record::log_header::BuildId;
use defmt_decoder::Table;
use object::Object;

/// Where Linux systems keep symbols by build ID.
pub const DEFAULT_FOLDER: &str = "/usr/lib/debug/.build-id";
/// Largest program that is read, in bytes.
const MAX_PROGRAM: u64 = 256 << 20;

/// Why a program has no usable table.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// Not an ELF program.
    #[error("not an ELF program: {0}")]
    NotElf(#[from] object::Error),
    /// It was linked without `--build-id`, or lost the note.
    #[error("it has no build ID")]
    NoBuildId,
    /// It logs nothing through defmt, or was stripped.
    #[error("it has no log strings (was it stripped?)")]
    NoStrings,
    /// The strings are of a version of defmt that this program does not read, or not as defmt makes them.
    #[error("its log strings cannot be used: {0}")]
    Strings(String),
}

/// Why the table of a build was not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder has it.
    #[error("no log strings of build {build_id}: looked for {}", list(.looked_for))]
    NotFound {
        /// The build.
        build_id: BuildId,
        /// The files that are not there.
        looked_for: Vec<PathBuf>,
    },
    /// It is there, and cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is larger than any boot binary.
    #[error("{}: {found} bytes, expected at most {MAX_PROGRAM}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: u64,
    },
    /// It is there, and holds no table.
    #[error("{}: {source}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ElfError,
    },
}

/// The table of one build.
#[derive(Debug)]
pub struct StringTable {
    build_id: BuildId,
    table: Table,
}

impl StringTable {
    /// Reads the table out of a program.
    ///
    /// # Errors
    /// Each of [`ElfError`].
    pub fn from_elf(elf: &[u8]) -> Result<Self, ElfError> {
        let build_id = build_id(elf)?;
        let table = Table::parse(elf).map_err(|error| ElfError::Strings(format!("{error:#}")))?;
        let table = table.filter(|table| !table.is_empty()).ok_or(ElfError::NoStrings)?;
        if !table.has_timestamp() {
            return Err(ElfError::Strings("none of them is for the time".to_owned()));
        }
        Ok(Self { build_id, table })
    }

    /// Reads the table out of this file.
    ///
    /// # Errors
    /// Each of [`Error`] but `NotFound`.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let found = fs::metadata(path).map_err(failed)?.len();
        if found > MAX_PROGRAM {
            return Err(Error::TooLarge { path: path.to_owned(), found });
        }
        let elf = fs::read(path).map_err(failed)?;
        Self::from_elf(&elf).map_err(|source| Error::Elf { path: path.to_owned(), source })
    }

    /// Finds the table of the build `wanted` below these folders: the first file of its name, whatever it holds.
    ///
    /// # Errors
    /// Each of [`Error`].
    pub fn find(folders: &[PathBuf], wanted: &BuildId) -> Result<Self, Error> {
        let below = path_below(wanted);
        let looked_for: Vec<PathBuf> = folders.iter().map(|folder| folder.join(&below)).collect();
        match looked_for.iter().find(|path| path.exists()) {
            Some(path) => Self::from_file(path),
            None => Err(Error::NotFound { build_id: wanted.clone(), looked_for }),
        }
    }

    /// The build that it is of.
    #[must_use]
    pub fn build_id(&self) -> &BuildId {
        &self.build_id
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }
}

/// Name of the file of a build below a folder of symbols.
#[must_use]
pub fn path_below(build_id: &BuildId) -> PathBuf {
    let digits = build_id.to_string();
    let (folder, name) = digits.split_at_checked(2).unwrap_or((&digits, ""));
    Path::new(folder).join(format!("{name}.debug"))
}

/// The build ID of a program.
///
/// # Errors
/// [`ElfError::NotElf`], [`ElfError::NoBuildId`].
pub fn build_id(elf: &[u8]) -> Result<BuildId, ElfError> {
    let note = object::File::parse(elf)?.build_id()?.ok_or(ElfError::NoBuildId)?;
    BuildId::new(note).ok_or(ElfError::NoBuildId)
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}
