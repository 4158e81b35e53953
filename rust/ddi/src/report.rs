// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ddi build` says when it is done: for people, or with `--json` for programs.
//!
//! The JSON is one object on one line of stdout. Names are those of boot.json where both say the same thing. New members
//! may be added; `format` changes when one changes its meaning.

use std::fmt;

use serde::Serialize;

/// Facts about a finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// 1.
    pub format: u32,
    /// The image, as it was named on the command line; what is no UTF-8 is replaced.
    pub output: String,
    /// Bytes of the image.
    pub size: u64,
    /// Root hash, 64 hexadecimal digits.
    pub root_hash: String,
    /// Salt, hexadecimal digits.
    pub salt: String,
    /// Who signed.
    pub signer: SignerReport,
    /// `IMAGE_ID` of the tree's os-release; `null` without one, and where the input is no tree.
    pub image_id: Option<String>,
    /// `IMAGE_VERSION`, likewise.
    pub image_version: Option<String>,
    /// In the order of the disk.
    pub partitions: Vec<PartitionReport>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignerReport {
    /// SHA-256 of the certificate's DER, hexadecimal digits.
    pub sha256: String,
    /// Common name of its subject.
    pub common_name: Option<String>,
    /// The name says DEVELOPMENT.
    pub development: bool,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Name.
    pub label: &'static str,
    /// Partition UUID.
    pub uuid: String,
    /// First byte in the image.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Report {
    /// One line of JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`]; there is no known cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image      {} ({} bytes)", self.output, self.size)?;
        if let Some(id) = &self.image_id {
            writeln!(f, "identity   {id} {}", self.image_version.as_deref().unwrap_or("(no IMAGE_VERSION)"))?;
        }
        writeln!(f, "root hash  {}", self.root_hash)?;
        write!(f, "signer     {}", self.signer.sha256)?;
        if let Some(name) = &self.signer.common_name {
            write!(f, " ({name})")?;
        }
        if self.signer.development {
            write!(f, "\n           DEVELOPMENT certificate: every boot of this image will say so")?;
        }
        Ok(())
    }
}
