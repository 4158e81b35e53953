// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program says when it is done.

use std::fmt;
use std::path::PathBuf;

use crate::modules::order::{LeftOut, Resolved, Why};

/// What is in a finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The archive.
    pub output: PathBuf,
    /// Its bytes.
    pub size: usize,
    /// Bytes of the init program.
    pub init: usize,
    /// The image that is configured.
    pub image_id: String,
    /// Names of the certificates.
    pub certificates: Vec<String>,
    /// The modules, where the configuration names any.
    pub modules: Option<ModulesReport>,
}

/// What became of the configuration's modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModulesReport {
    /// What they were resolved to.
    pub resolved: Resolved,
    /// Bytes of all modules in the archive.
    pub bytes: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, size, init, image_id, certificates, modules } = self;
        writeln!(f, "{}: {size} bytes", output.display())?;
        writeln!(f, "init          {init} bytes")?;
        writeln!(f, "configuration image {image_id}")?;
        write!(f, "certificates  {}", certificates.join(" "))?;
        match modules {
            None => write!(f, "\nmodules       none configured"),
            Some(modules) => modules.fmt(f),
        }
    }
}

impl fmt::Display for ModulesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resolved: Resolved { modules, built_in, left_out }, bytes } = self;
        write!(f, "\nmodules       {}, {bytes} bytes", modules.len())?;
        for chosen in modules {
            write!(f, "\n  {}{}", chosen.name, if chosen.optional { " (optional)" } else { "" })?;
        }
        if !built_in.is_empty() {
            write!(f, "\nbuilt in      {}", built_in.join(" "))?;
        }
        for LeftOut { wanted, by, why } in left_out {
            let why = match why {
                Why::Missing => "the kernel has no such module",
                Why::Circle => "it needs the other",
            };
            write!(f, "\nleft out      {wanted}, which {by} wants: {why}")?;
        }
        Ok(())
    }
}
