// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log strings of every boot binary that was built here, kept by build ID: a log can be read long after its binary is
//! gone from the checkout. A few kilobytes each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bootlog::entry::{self, Decoded};
use bootlog::log::Log;
use bootlog::string_table::{self, ElfError, StringTable, path_below};

use crate::cache::Cache;
use crate::tools::Tools;

/// What of a program makes its strings: the section, the symbols in it, and the note that says which build it is.
const SECTIONS: [&str; 2] = ["--only-section=.defmt", "--only-section=.note.gnu.build-id"];

/// Where they are kept, as `bootlog --strings` takes it.
pub fn folder(cache: &Cache) -> PathBuf {
    cache.root().join("log-strings")
}

/// Keeps the strings of a program that is not stripped yet, if it logs at all. It lies in a folder of the cache.
///
/// # Errors
/// The strings are not as the decoder takes them, or cannot be written.
pub fn keep(cache: &Cache, tools: &Tools, program: &Path) -> Result<()> {
    let elf = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let strings = match StringTable::from_elf(&elf) {
        Ok(strings) => strings,
        Err(ElfError::NoStrings | ElfError::NoBuildId) => return Ok(()),
        Err(error) => return Err(error).with_context(|| program.display().to_string()),
    };
    let place = folder(cache).join(path_below(strings.build_id()));
    let (Some(work), Some(kept_in)) = (program.parent(), place.parent()) else {
        bail!("{} is no file", program.display())
    };
    let extracted = program.with_added_extension("strings");
    tools.objcopy(work, &SECTIONS, program, &extracted)?;
    StringTable::from_file(&extracted).context("the strings did not survive objcopy")?;
    fs::create_dir_all(kept_in).with_context(|| format!("cannot make {}", kept_in.display()))?;
    // Two runs may keep the same build: whole files only.
    fs::rename(&extracted, &place).with_context(|| format!("cannot write {}", place.display()))
}

/// The name below [`folder`] of the strings of a program, stripped or not.
///
/// # Errors
/// The program cannot be read, or has no build ID.
pub fn of_program(program: &Path) -> Result<PathBuf> {
    let elf = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let build_id = string_table::build_id(&elf).with_context(|| program.display().to_string())?;
    Ok(path_below(&build_id))
}

/// Decodes a log of one of these builds.
///
/// # Errors
/// It is no log, or of a build that was not kept.
pub fn decode(cache: &Cache, bytes: &[u8]) -> Result<Decoded> {
    let log = Log::find(bytes)?;
    let strings = StringTable::find(&[folder(cache)], &log.header.build_id)?;
    Ok(entry::decode(&log, &strings)?)
}
