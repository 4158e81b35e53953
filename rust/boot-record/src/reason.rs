// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a candidate, or the whole boot, is refused.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The closed list of reasons: `<reason>` of `BOOT FAILED: <reason>: <device>: <detail>`. Policy and tests go by these;
/// the detail is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Configuration or a certificate in the mini-initramfs is missing or bad. Refused by `config`.
    ConfigInvalid,
    /// A word of the kernel command line that the configuration does not allow. Refused by `config`.
    CommandLine,
    /// The kernel has no support for something the boot needs, such as root-hash signatures. Refused by the stage that
    /// needs it.
    KernelLacks,
    /// A kernel module of the list that the kernel does not take: of another kernel, badly signed, or not for this
    /// machine. Refused by `modules`, in the kernel's word.
    ModuleRefused,
    /// No allowed disk appeared before the deadline. Refused by `discover`.
    NoDevice,
    /// Disks, but none with a partition that a configured source is. Refused by `select`.
    NoSource,
    /// Sources, but no image of the configured name in them. Refused by `select`.
    NoCandidate,
    /// A disk of which neither partition table can be used, or a partition of it that the kernel does not have, refuses
    /// to be told of, or has with other bounds than the table. Refused by `select`.
    PartitionTable,
    /// A candidate whose partition table is bad, or not that of a bootable DDI for this architecture; refused by
    /// `verify`. Or a partition of an image whose label cannot name one; refused by `select`.
    NotADdi,
    /// A DDI without a signature partition. Refused by `verify`.
    Unsigned,
    /// The signature partition or the PKCS#7 in it cannot be used. Refused by `verify`.
    SignatureMalformed,
    /// The signature is not by a configured certificate, or the kernel does not have that one. Refused by `verify`, or
    /// by the kernel when the verity table is loaded.
    SignerUnknown,
    /// The signature does not fit the root hash. Refused by the kernel when the verity table is loaded.
    SignatureRejected,
    /// The partitions' GUIDs are not those of the root hash. Refused by `verify`.
    RootHashMismatch,
    /// The verity superblock cannot be used. Refused by `verify`. Or it covers less than the file system is; refused by
    /// `activate`.
    VeritySuperblock,
    /// No TPM appeared before its deadline. Refused by `measure`, where the configuration requires a measurement.
    TpmMissing,
    /// The TPM did not take a measurement, or nobody knows whether it did. Refused by `measure`, where the configuration requires
    /// one.
    TpmFailed,
    /// A block does not have the digest that the signed root hash vouches for. Refused by the kernel on reading.
    Corrupt,
    /// A file system that cannot be mounted: the vfat of an EFI system or XBOOTLDR partition, refused by `select`, or by `verify` where it
    /// is asked for a file alone; or that of the verified device, refused by `activate`.
    FileSystem,
    /// The image's os-release names another image. Refused by `activate`.
    ImageId,
    /// The image's os-release names another version than file name or label. Refused by `activate`.
    ImageVersion,
    /// An image, rightly signed, for another use: a system extension or portable service. Refused by `activate`.
    NotABootImage,
    /// The configured init is not in the image, or cannot be executed. Refused by `activate` or `hand-over`.
    InitMissing,
    /// A volume does not open by the TPM: no such partition, a header or token that is not known, registers that are not those of
    /// its policy, a TPM that refuses. Refused by `unlock`, where the configuration does not go on without.
    UnlockFailed,
    /// A call or a read failed for a reason that has nothing to do with the image. Refused by any stage.
    Io,
    /// A bug in storage-init that it caught itself: an action out of order. Ends in any stage as every failed boot does,
    /// with the machine off.
    Internal,
    /// A bug in storage-init that it did not catch. Resets the machine.
    Panic,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 27] = [
        Self::ConfigInvalid,
        Self::CommandLine,
        Self::KernelLacks,
        Self::ModuleRefused,
        Self::NoDevice,
        Self::NoSource,
        Self::NoCandidate,
        Self::PartitionTable,
        Self::NotADdi,
        Self::Unsigned,
        Self::SignatureMalformed,
        Self::SignerUnknown,
        Self::SignatureRejected,
        Self::RootHashMismatch,
        Self::VeritySuperblock,
        Self::TpmMissing,
        Self::TpmFailed,
        Self::Corrupt,
        Self::FileSystem,
        Self::ImageId,
        Self::ImageVersion,
        Self::NotABootImage,
        Self::InitMissing,
        Self::UnlockFailed,
        Self::Io,
        Self::Internal,
        Self::Panic,
    ];

    /// The reason of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Its name in log and record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigInvalid => "config-invalid",
            Self::CommandLine => "command-line",
            Self::KernelLacks => "kernel-lacks",
            Self::ModuleRefused => "module-refused",
            Self::NoDevice => "no-device",
            Self::NoSource => "no-source",
            Self::NoCandidate => "no-candidate",
            Self::PartitionTable => "partition-table",
            Self::NotADdi => "not-a-ddi",
            Self::Unsigned => "unsigned",
            Self::SignatureMalformed => "signature-malformed",
            Self::SignerUnknown => "signer-unknown",
            Self::SignatureRejected => "signature-rejected",
            Self::RootHashMismatch => "root-hash-mismatch",
            Self::VeritySuperblock => "verity-superblock",
            Self::TpmMissing => "tpm-missing",
            Self::TpmFailed => "tpm-failed",
            Self::Corrupt => "corrupt",
            Self::FileSystem => "file-system",
            Self::ImageId => "image-id",
            Self::ImageVersion => "image-version",
            Self::NotABootImage => "not-a-boot-image",
            Self::InitMissing => "init-missing",
            Self::UnlockFailed => "unlock-failed",
            Self::Io => "io",
            Self::Internal => "internal",
            Self::Panic => "panic",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
