// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs mkfs.erofs so that the same files give the same bytes, on any machine, in any order of creation.
//!
//! * `-b4096`: the block size does not follow the build machine's page size.
//! * `-T SECONDS --all-time`: one time stamp for the file system and every file in it.
//! * `-U` nil: a UUID drawn at random would be the only difference between two builds. Nothing mounts a DDI's root by it.
//! * The number of worker threads is left to mkfs.erofs: 1.8 writes the same image with one and with many.
//!
//! Version 1.8 is the oldest that is accepted: the first that compresses on all cores, and older ones lack `--tar`
//! with compression.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Oldest erofs-utils, as (major, minor).
pub const OLDEST: (u32, u32) = (1, 8);

/// Bytes of mkfs.erofs's last words that an error repeats.
const STDERR_KEPT: usize = 2048;

/// Compression of the file data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// LZ4 at its high level: the fastest to read.
    Lz4hc,
    /// Zstandard: smaller, slower to read; needs `CONFIG_EROFS_FS_ZIP_ZSTD` in the kernel.
    Zstd,
    /// Not compressed.
    None,
}

/// What goes into the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// A directory.
    Tree {
        /// The directory that becomes `/`.
        path: PathBuf,
        /// Everything is owned by root:root, whoever owns it here.
        all_root: bool,
    },
    /// An uncompressed tar archive.
    Tar {
        /// The archive.
        path: PathBuf,
    },
}

/// How to make the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The program: a path, or a name to look up in `PATH`.
    pub program: PathBuf,
    /// Compression of the file data.
    pub compression: Compression,
    /// The one time stamp, in seconds since 1970.
    pub epoch: u64,
}

/// Why there is no file system.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// No such program.
    #[error(
        "{}: not found: install erofs-utils {}.{} or newer, or name the program with --mkfs-erofs PATH",
        program.display(), OLDEST.0, OLDEST.1
    )]
    NotFound { program: PathBuf },
    /// The program exists but does not start.
    #[error("{}: cannot run: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    /// It is no mkfs.erofs.
    #[error("{}: expected `-V` to answer \"mkfs.erofs (erofs-utils) VERSION\", found {found:?}", program.display())]
    NotMkfs { program: PathBuf, found: String },
    /// It is older than [`OLDEST`].
    #[error("{}: expected erofs-utils {}.{} or newer, found {found}", program.display(), OLDEST.0, OLDEST.1)]
    TooOld { program: PathBuf, found: String },
    /// It ran and failed.
    #[error("{}: failed on {} ({status}): {stderr}", program.display(), input.display())]
    Failed { program: PathBuf, input: PathBuf, status: ExitStatus, stderr: String },
}

/// Makes the file system in the new file `image`, after [`require_version`].
///
/// # Errors
/// See [`Error`]. The caller removes what a failed run leaves.
pub fn make(files: &Files, options: &Options, image: &Path) -> Result<(), Error> {
    let input = match files {
        Files::Tree { path, .. } | Files::Tar { path } => path,
    };
    let output = run(&options.program, &arguments(files, options, image))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        program: options.program.clone(),
        input: input.clone(),
        status: output.status,
        stderr: last_words(&output.stderr),
    })
}

fn arguments(files: &Files, options: &Options, image: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![
        "--quiet".into(),
        "-b4096".into(),
        format!("-T{}", options.epoch).into(),
        "--all-time".into(),
        "-U00000000-0000-0000-0000-000000000000".into(),
    ];
    match options.compression {
        Compression::Lz4hc => arguments.push("-zlz4hc".into()),
        Compression::Zstd => arguments.push("-zzstd".into()),
        Compression::None => {}
    }
    match files {
        Files::Tree { all_root: true, .. } => arguments.push("--all-root".into()),
        Files::Tree { .. } => {}
        Files::Tar { .. } => arguments.push("--tar=f".into()),
    }
    arguments.push(not_an_option(image));
    match files {
        Files::Tree { path, .. } | Files::Tar { path } => arguments.push(not_an_option(path)),
    }
    arguments
}

/// A relative path that begins with `-` would be taken for an option.
fn not_an_option(path: &Path) -> OsString {
    match path.is_absolute() {
        true => path.into(),
        false => Path::new(".").join(path).into(),
    }
}

/// Whether the program is an mkfs.erofs that is new enough.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Spawn`], [`Error::NotMkfs`], [`Error::TooOld`].
pub fn require_version(program: &Path) -> Result<(), Error> {
    let output = run(program, &["-V".into()])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let Some(version) = version(line) else {
        return Err(Error::NotMkfs { program: program.to_owned(), found: line.chars().take(80).collect() });
    };
    match version < OLDEST {
        true => Err(Error::TooOld { program: program.to_owned(), found: line.to_owned() }),
        false => Ok(()),
    }
}

/// Major and minor number out of `mkfs.erofs (erofs-utils) 1.8.6-g1234` (`mkfs.erofs 1.5` before 1.6).
fn version(line: &str) -> Option<(u32, u32)> {
    let words = line.strip_prefix("mkfs.erofs ")?;
    let number = words.strip_prefix("(erofs-utils) ").unwrap_or(words);
    let mut parts = number.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn run(program: &Path, arguments: &[OsString]) -> Result<std::process::Output, Error> {
    Command::new(program)
        .args(arguments)
        // The option above decides, and nothing else does.
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound { program: program.to_owned() },
            _ => Error::Spawn { program: program.to_owned(), source },
        })
}

fn last_words(stderr: &[u8]) -> String {
    let kept = stderr.len().saturating_sub(STDERR_KEPT);
    let text = String::from_utf8_lossy(stderr.get(kept..).unwrap_or_default());
    match text.trim() {
        "" => "it said nothing".to_owned(),
        words => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_of_every_form_are_read() {
        assert_eq!(version("mkfs.erofs 1.5"), Some((1, 5)));
        assert_eq!(version("mkfs.erofs (erofs-utils) 1.8.6"), Some((1, 8)));
        assert_eq!(version("mkfs.erofs (erofs-utils) 1.10-rc1"), Some((1, 10)));
        assert_eq!(version("mkfs.erofs (erofs-utils) 1.9"), Some((1, 9)));
        assert_eq!(version("mke2fs 1.47.0"), None);
        assert_eq!(version("mkfs.erofs"), None);
    }
}
