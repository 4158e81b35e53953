// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ddi verify` says: each check and how it ended, for people, or with `--json` for programs.
//!
//! The JSON is one object on one line of stdout. New members may be added; `format` changes when one changes its meaning.

use std::fmt;

use boot_record::reason::Reason;
use serde::Serialize;

use crate::block_check::BadBlocks;
use crate::printable::Printable;
use crate::report::SignerReport;

/// The checks, in the order of the boot: what it refuses first is the reason it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Partition table, and the partitions in it.
    Partitions,
    /// Form of the signature partition.
    SignaturePartition,
    /// Partition UUIDs are those of the root hash.
    RootHash,
    /// Verity superblock: its form, and that it fits the partitions and covers the erofs.
    Superblock,
    /// Form of the PKCS#7, its algorithms, and that it names a given certificate.
    Signer,
    /// The signature itself.
    Signature,
    /// Every block of the hash tree.
    HashTree,
    /// Every block of data.
    Data,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 8] = [
        Self::Partitions,
        Self::SignaturePartition,
        Self::RootHash,
        Self::Superblock,
        Self::Signer,
        Self::Signature,
        Self::HashTree,
        Self::Data,
    ];

    /// Its name in both outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partitions => "partitions",
            Self::SignaturePartition => "signature-partition",
            Self::RootHash => "root-hash",
            Self::Superblock => "superblock",
            Self::Signer => "signer",
            Self::Signature => "signature",
            Self::HashTree => "hash-tree",
            Self::Data => "data",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok {
        /// What was seen, for people.
        detail: String,
    },
    /// The boot would be refused.
    Refused {
        /// As the boot stage calls it.
        reason: Reason,
        /// What is wrong, for people.
        detail: String,
        /// Blocks, where it is about blocks.
        #[serde(skip_serializing_if = "Option::is_none")]
        bad_blocks: Option<BadBlocks>,
    },
    /// Nothing to check with: another check did not end well.
    NotChecked {
        /// The one.
        needs: Check,
    },
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Which.
    pub check: Check,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All that was found about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// 1.
    pub format: u32,
    /// The image, as it was named on the command line; what is no UTF-8 is replaced.
    pub image: String,
    /// Bytes of the image.
    pub size: u64,
    /// Every check ended well.
    pub valid: bool,
    /// Why the boot would be refused: the reason of the first check that says so.
    pub reason: Option<Reason>,
    /// Root hash that the image states.
    pub root_hash: Option<String>,
    /// The given certificate that the signature names.
    pub signer: Option<SignerReport>,
    /// Every check, in the order of the boot.
    pub checks: Vec<CheckReport>,
}

impl Verdict {
    /// One line of JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`]; there is no known cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok { detail } => write!(f, "ok           {detail}"),
            Self::Refused { reason, detail, .. } => write!(f, "refused      {reason}: {detail}"),
            Self::NotChecked { needs } => write!(f, "not checked  needs {}", needs.name()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image                {} ({} bytes)", self.image, self.size)?;
        writeln!(f, "root hash            {}", self.root_hash.as_deref().unwrap_or("unknown"))?;
        match &self.signer {
            None => writeln!(f, "signed by            unknown")?,
            Some(SignerReport { sha256, common_name, development }) => {
                write!(f, "signed by            {sha256}")?;
                common_name.iter().try_for_each(|name| write!(f, " ({})", Printable(name)))?;
                writeln!(f, "{}", if *development { ", DEVELOPMENT" } else { "" })?;
            }
        }
        for CheckReport { check, outcome } in &self.checks {
            writeln!(f, "{:<21}{outcome}", check.name())?;
        }
        match self.reason {
            None => writeln!(f, "verdict              valid")?,
            Some(reason) => writeln!(f, "verdict              would be refused: {reason}")?,
        }
        write!(
            f,
            "not looked at        files such as os-release; what the kernel and the configuration of a device allow"
        )
    }
}
