// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stages of a boot.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A stage, in the order of the boot (Unlock runs beside the others once it exists).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The kernel's file systems are mounted.
    Early,
    /// Configuration, certificates and command line are read.
    Config,
    /// Kernel modules are loaded.
    Modules,
    /// Disks are awaited.
    Discover,
    /// Partition tables are read, sources mounted; candidates are collected and put in order.
    Select,
    /// A candidate's signature is checked.
    Verify,
    /// What was verified is recorded in the TPM.
    Measure,
    /// The file system is mounted and its identity checked.
    Activate,
    /// Encrypted volumes are opened.
    Unlock,
    /// The record is written and init executed.
    HandOver,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 10] = [
        Self::Early,
        Self::Config,
        Self::Modules,
        Self::Discover,
        Self::Select,
        Self::Verify,
        Self::Measure,
        Self::Activate,
        Self::Unlock,
        Self::HandOver,
    ];

    /// Its name in configuration, log and record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Config => "config",
            Self::Modules => "modules",
            Self::Discover => "discover",
            Self::Select => "select",
            Self::Verify => "verify",
            Self::Measure => "measure",
            Self::Activate => "activate",
            Self::Unlock => "unlock",
            Self::HandOver => "hand-over",
        }
    }

    /// The stage of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
