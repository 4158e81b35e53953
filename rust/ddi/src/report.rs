// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ddi build` and `ddi join-signature` say when they are done: for people, or with `--json` for programs.
//!
//! The JSON is one object on one line of stdout. Names are those of boot.json where both say the same thing. New members
//! may be added; `format` changes when one changes its meaning.

use std::fmt;
use std::path::Path;

use boot_formats::verity::RootHash;
use serde::Serialize;

use crate::certificate::Certificate;
use crate::identity::Identity;
use crate::image::Plan;
use crate::salt::Salt;
use crate::signature::hex;

/// Facts about a finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// 1.
    pub format: u32,
    /// The image, as it was named on the command line; what is no UTF-8 is replaced.
    pub output: String,
    /// Bytes of the image.
    pub size: u64,
    /// Root hash, 64 hexadecimal digits: what is signed.
    pub root_hash: String,
    /// Salt, hexadecimal digits.
    pub salt: String,
    /// Who signed; `null` for an image that waits for its signature.
    pub signer: Option<SignerReport>,
    /// `IMAGE_ID` of the tree's os-release; `null` without one, and where the input is no tree.
    pub image_id: Option<String>,
    /// `IMAGE_VERSION`, likewise.
    pub image_version: Option<String>,
    /// In the order of the disk; the signature's is in the table only of a signed image.
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

impl SignerReport {
    /// In these words.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            sha256: hex(&certificate.fingerprint),
            common_name: certificate.common_name.clone(),
            development: certificate.is_development,
        }
    }
}

impl Report {
    /// Of an image at `output` with this layout.
    #[must_use]
    pub fn new(
        output: &Path,
        plan: &Plan,
        root_hash: &RootHash,
        salt: &Salt,
        signer: Option<&Certificate>,
        identity: Identity,
    ) -> Self {
        Self {
            format: 1,
            output: output.display().to_string(),
            size: plan.size,
            root_hash: root_hash.to_string(),
            salt: hex(salt.as_bytes()),
            signer: signer.map(SignerReport::of),
            image_id: identity.image_id,
            image_version: identity.image_version,
            partitions: plan
                .entries(root_hash)
                .map(|entry| PartitionReport {
                    label: entry.label,
                    uuid: entry.guid.to_string(),
                    offset: entry.range.offset,
                    size: entry.range.len,
                })
                .into(),
        }
    }

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
        let Some(signer) = &self.signer else {
            return write!(f, "signer     none yet: no boot stage takes it before `ddi join-signature`");
        };
        write!(f, "signer     {}", signer.sha256)?;
        if let Some(name) = &signer.common_name {
            write!(f, " ({name})")?;
        }
        if signer.development {
            write!(f, "\n           DEVELOPMENT certificate: every boot of this image will say so")?;
        }
        Ok(())
    }
}
