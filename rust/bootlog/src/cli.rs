// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line, and what it leads to. Every option's help is the manual.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::entry::{self, Decoded, OtherBuild};
use crate::log::{self, Log};
use crate::report::Report;
use crate::string_table::{self, DEFAULT_FOLDER, StringTable};
use crate::timeline::{NoEvent, Timeline};
use crate::{drawing, json, previous};

/// Where storage-init leaves the log of this boot.
const LOG: &str = "/run/initoverlayfs/boot.defmt";

/// Shows what storage-init did in a boot, and how long each part took.
///
/// storage-init logs numbers instead of words. This program puts them together with the log strings of the boot binary that
/// wrote them, which it finds by that binary's build ID: DIR/ab/cdef....debug for build abcdef.... A log of another build
/// than the strings' is refused.
#[derive(Debug, Parser)]
#[command(name = "bootlog", version, after_long_help = EXAMPLES)]
pub struct Cli {
    /// The log to show
    #[arg(value_name = "LOG", default_value = LOG)]
    pub log: PathBuf,

    /// Show the log of the boot before this one, which pstore kept over the reset
    ///
    /// Looks in /sys/fs/pstore, then where systemd-pstore moves it to. Needs a kernel with ramoops (pstore.cfg) and memory
    /// that keeps its contents over a reset.
    #[arg(long, conflicts_with = "log")]
    pub previous: bool,

    /// Where log strings lie, by build ID. May be given several times
    #[arg(long = "strings", value_name = "DIR", default_value = DEFAULT_FOLDER)]
    pub folders: Vec<PathBuf>,

    /// The boot binary with its symbols, or what was kept of it; instead of looking for it
    #[arg(long, value_name = "FILE", conflicts_with = "folders")]
    pub binary: Option<PathBuf>,

    /// The boot as JSON on stdout, instead of a table for people
    #[arg(long)]
    pub json: bool,

    /// Also draw the boot into this file, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  This boot, on the device:
    bootlog

  Why the boot before this one failed:
    bootlog --previous

  A log brought from a device, drawn on the host:
    bootlog boot.defmt --strings build/log-strings --svg boot.svg

  Only the reason, for a script:
    bootlog --previous --json | jq -r .outcome.reason

Exit status: 0 init was executed, 1 the boot failed or its log ends before that, 2 the command line is wrong or the log \
cannot be read (then stderr says why), 3 there is no log.";

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each is the error of the module of its name")]
pub enum Error {
    #[error("{}: there is no such log", path.display())]
    NotThere { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Log { path: PathBuf, source: log::Error },
    #[error(transparent)]
    Previous(#[from] previous::Error),
    #[error(transparent)]
    Strings(#[from] string_table::Error),
    #[error("{}: {source}", path.display())]
    OtherBuild { path: PathBuf, source: OtherBuild },
    #[error("{}: {source}", path.display())]
    NoEvent { path: PathBuf, source: NoEvent },
    #[error("{}: cannot write: {source}", path.display())]
    Svg { path: PathBuf, source: io::Error },
    #[error("the boot cannot be put as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether it only says that there is no log.
    #[must_use]
    pub const fn is_no_log(&self) -> bool {
        matches!(self, Self::NotThere { .. } | Self::Previous(previous::Error::None { .. }))
    }
}

/// A log as it was asked for.
#[derive(Debug)]
pub struct Shown {
    /// What goes to stdout.
    pub text: String,
    /// Whether init was executed.
    pub handed_over: bool,
}

impl Cli {
    /// Reads the log, draws it if asked to, and says what there is to print.
    ///
    /// # Errors
    /// Each of [`Error`].
    pub fn run(&self) -> Result<Shown, Error> {
        let (path, bytes) = self.bytes()?;
        let decoded = self.decode(&path, &bytes)?;
        let timeline =
            Timeline::of(decoded.events()).map_err(|source| Error::NoEvent { path: path.clone(), source })?;
        if let Some(svg) = &self.svg {
            fs::write(svg, drawing::draw(&timeline, &decoded))
                .map_err(|source| Error::Svg { path: svg.clone(), source })?;
        }
        let text = if self.json {
            json::to_json(&timeline, &decoded)?
        } else {
            Report { timeline: &timeline, decoded: &decoded }.to_string().trim_end().to_owned()
        };
        Ok(Shown { text, handed_over: timeline.outcome.is_handed_over() })
    }

    fn bytes(&self) -> Result<(PathBuf, Vec<u8>), Error> {
        if self.previous {
            return Ok(previous::find(&previous::FOLDERS.map(PathBuf::from))?);
        }
        let path = self.log.clone();
        match previous::read(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotThere { path }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    fn decode(&self, path: &Path, bytes: &[u8]) -> Result<Decoded, Error> {
        let log = Log::find(bytes).map_err(|source| Error::Log { path: path.to_owned(), source })?;
        let strings = match &self.binary {
            Some(binary) => StringTable::from_file(binary)?,
            None => StringTable::find(&self.folders, &log.header.build_id)?,
        };
        entry::decode(&log, &strings).map_err(|source| Error::OtherBuild { path: path.to_owned(), source })
    }
}
