// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why nothing is known of a volume.

use crate::bytes::OutOfRange;
use core::fmt;

/// What keeps a boot sector from saying where things lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than a boot sector has.
    OutOfRange(OutOfRange),
    /// A number that no volume has there.
    Field {
        /// Its place in the boot sector.
        offset: u16,
        /// The number.
        found: u32,
    },
    /// The volume is longer than its partition.
    DoesNotFit {
        /// Bytes of the volume.
        needed: u64,
        /// Bytes of the partition.
        available: u64,
    },
    /// So few clusters that an entry of the table has twelve bits.
    Fat12 {
        /// Clusters of the volume.
        clusters: u64,
    },
    /// No cluster, or more than entries of this width can tell apart.
    Clusters {
        /// Bytes of the clusters.
        found: u64,
        /// Most clusters.
        most: u32,
    },
}

impl From<OutOfRange> for Error {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(error) => write!(f, "vfat: {error}"),
            Self::Field { offset, found } => write!(f, "vfat: {found} at byte {offset} of the boot sector"),
            Self::DoesNotFit { needed, available } => {
                write!(f, "vfat: a volume of {needed} bytes, the partition has {available}")
            }
            Self::Fat12 { clusters } => write!(f, "vfat: FAT12, with {clusters} clusters"),
            Self::Clusters { found, most } => {
                write!(f, "vfat: {found} bytes of clusters, there can be {most} clusters")
            }
        }
    }
}

impl core::error::Error for Error {}
