// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a boot, as values; each is one plain line in the log.
//!
//! Names come from devices and images, so from strangers: a control character in one is printed as `?`, and a line
//! stays a line.

use crate::reason::Reason;
use core::fmt::{self, Write};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The primary partition table of a disk is bad; its backup is used.
    BackupTable {
        /// The disk.
        device: &'a str,
    },
    /// A disk or candidate will not be used; the boot goes on.
    Refused {
        /// Where: disk, partition, or partition and file.
        device: &'a str,
        /// Why.
        reason: Reason,
        /// The error in its own words.
        detail: &'a str,
    },
    /// A candidate was verified and mounted.
    Mounted {
        /// Where it lies.
        device: &'a str,
        /// Its version.
        version: &'a str,
        /// Common name of the certificate that signed it.
        signer: &'a str,
        /// Whether that is a development key.
        development: bool,
    },
    /// Init is about to be executed.
    HandOver {
        /// Its path.
        init: &'a str,
    },
    /// No candidate is left, or the boot cannot go on.
    Failed {
        /// Why.
        reason: Reason,
        /// Where.
        device: &'a str,
        /// The error in its own words.
        detail: &'a str,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BackupTable { device } => {
                write!(f, "{}: the primary partition table is bad, using the backup", Plain(device))
            }
            Self::Refused { device, reason, detail } => {
                write!(f, "refused: {reason}: {}: {}", Plain(device), Plain(detail))
            }
            Self::Mounted { device, version, signer, development } => {
                let key = if development { "DEVELOPMENT key " } else { "" };
                write!(f, "mounted {} version {} signed by {key}{}", Plain(device), Plain(version), Plain(signer))
            }
            Self::HandOver { init } => write!(f, "executing {}", Plain(init)),
            Self::Failed { reason, device, detail } => {
                write!(f, "BOOT FAILED: {reason}: {}: {}", Plain(device), Plain(detail))
            }
        }
    }
}

/// Text of unknown origin, for one line of a log.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(if c.is_control() { '?' } else { c }))
    }
}
