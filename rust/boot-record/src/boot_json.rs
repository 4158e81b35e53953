// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/run/initoverlayfs/boot.json`: what was verified, by whom it is signed, and when things happened.
//!
//! One JSON object on one line, members as in [`BootRecord`]. `format` is raised by every change that a reader must
//! know; this crate reads only its own, and no member it does not know.
//!
//! The file says what storage-init did, and is as trustworthy as the system that holds it afterwards.

use crate::config::{MAX_VOLUME_NAME, MAX_VOLUMES, SignaturePath, Source};
use crate::reason::Reason;
use crate::stage::Stage;
use alloc::boxed::Box;
use alloc::vec::Vec as Bytes;
use core::fmt;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// The format this crate writes and reads.
pub const FORMAT: u32 = 1;
/// Most bytes of a device's or candidate's name: `mmcblk0p1:/initoverlayfs/` and a file name of 128.
pub const MAX_DEVICE: usize = 160;
/// Most bytes of a detail.
pub const MAX_DETAIL: usize = 200;
/// Most refused candidates.
pub const MAX_REFUSED: usize = 16;
/// Most stages, those of further candidates included.
pub const MAX_STAGES: usize = 32;
/// Most banks of a TPM that are extended.
pub const MAX_BANKS: usize = 4;
/// Most bytes of what is measured.
pub const MAX_EVENT: usize = 160;

/// What was recorded in the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measurement {
    /// Nothing: the configuration does not ask for it.
    NotConfigured,
    /// The image: [`BootRecord::measured`] says where.
    Measured,
    /// Nothing: there is no TPM, and the configuration goes on without.
    TpmMissing,
    /// The TPM did not take it, or nobody knows whether it did, and the configuration goes on without.
    TpmFailed,
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotConfigured => "not-configured",
            Self::Measured => "measured",
            Self::TpmMissing => "tpm-missing",
            Self::TpmFailed => "tpm-failed",
        })
    }
}

/// Where and as what an image was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredRecord {
    /// The register.
    pub pcr: u8,
    /// Its banks, each by the name of its hash.
    pub banks: Vec<String<8>, MAX_BANKS>,
    /// The event: each bank was extended by its hash of this text.
    pub event: String<MAX_EVENT>,
}

/// A volume that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeRecord {
    /// The name of its device, in /dev/mapper.
    pub name: String<MAX_VOLUME_NAME>,
    /// The UUID of its LUKS2 header.
    pub uuid: String<36>,
}

/// Who signed the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerRecord {
    /// SHA-256 of the configured certificate, 64 lower-case hexadecimal digits.
    pub sha256: String<64>,
    /// Common name of its subject; empty if it has none.
    pub common_name: String<64>,
    /// Whether it is a development key.
    pub development: bool,
}

/// A candidate that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Where: disk, partition, or partition and file.
    pub device: String<MAX_DEVICE>,
    /// Why.
    pub reason: Reason,
    /// The error in its own words.
    pub detail: String<MAX_DETAIL>,
}

/// A stage that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecord {
    /// Which.
    pub stage: Stage,
    /// When it began, in microseconds of CLOCK_MONOTONIC.
    pub start_us: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What came of it.
    pub detail: String<MAX_DETAIL>,
}

/// A boot that went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the image.
    pub image_id: String<64>,
    /// Version of the image, as name and os-release say.
    pub version: String<64>,
    /// What kind of place it was found in.
    pub source: Source,
    /// Where: `vda2`, `vda1:/initoverlayfs/x_1.raw`.
    pub device: String<MAX_DEVICE>,
    /// The slot it lies in, where the source has slots.
    pub slot: Option<String<16>>,
    /// The signed root hash, 64 lower-case hexadecimal digits.
    pub root_hash: String<64>,
    /// Who signed it.
    pub signer: SignerRecord,
    /// Who checked the signature.
    pub signature: SignaturePath,
    /// What was recorded in the TPM.
    pub measurement: Measurement,
    /// Where and as what, if it was.
    pub measured: Option<MeasuredRecord>,
    /// The volumes that were opened by the TPM, in the order of the configuration.
    pub volumes: Vec<VolumeRecord, MAX_VOLUMES>,
    /// Whether the register was extended once more after that, so that nothing opens them again.
    pub latched: bool,
    /// Whether the root has a writable layer in memory.
    pub overlay: bool,
    /// Name of the device-mapper device.
    pub verity_device: String<128>,
    /// Candidates refused before, in order, and volumes that were left to the system.
    pub refused: Box<Vec<Refusal, MAX_REFUSED>>,
    /// Stages, in order.
    pub stages: Box<Vec<StageRecord, MAX_STAGES>>,
}

/// Why a record was not written or read.
#[derive(Debug)]
pub enum Error {
    /// Not JSON, or not of this structure.
    Json(serde_json::Error),
    /// Another format than [`FORMAT`].
    Format {
        /// The format stated.
        found: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("boot.json: ")?;
        match self {
            Self::Json(error) => write!(f, "{error}"),
            Self::Format { found } => write!(f, "format {found}, expected {FORMAT}"),
        }
    }
}

impl core::error::Error for Error {}

impl BootRecord {
    /// The object, and a newline behind it.
    ///
    /// # Errors
    /// [`Error::Json`], of which there is none for a record of this structure.
    pub fn to_json(&self) -> Result<Bytes<u8>, Error> {
        let mut json = serde_json::to_vec(self).map_err(Error::Json)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Json`], also for anything but white space behind the object; [`Error::Format`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let record: Self = serde_json::from_slice(json).map_err(Error::Json)?;
        match record.format {
            FORMAT => Ok(record),
            found => Err(Error::Format { found }),
        }
    }
}
