// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the parts of a bootable DDI lie (UAPI.3, UAPI.2): exactly one root, root-verity and root-verity-sig partition
//! for arm64, and no other.
//!
//! An image without a signature partition is [`Error::Missing`]`(Role::RootVeritySig)`: unsigned.

use crate::dps::{self, ImagePart, Role};
use crate::gpt::{Partition, Table};
use crate::guid::Guid;
use crate::range::ByteRange;
use crate::verity::RootHash;
use core::fmt;

/// Every partition of a DDI starts and ends at a multiple of this: the block size of its verity data and of the loop
/// device it is read through. A root that started between two blocks could not be mapped.
pub const ALIGNMENT: u64 = 4096;

/// The three partitions of a DDI. All three lie inside the image and overlap nowhere, because [`Table`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The file system.
    pub root: ByteRange,
    /// Verity superblock and hash tree.
    pub verity: ByteRange,
    /// Signature JSON.
    pub signature: ByteRange,
    /// GUID of the root partition.
    pub root_guid: Guid,
    /// GUID of the verity partition.
    pub verity_guid: Guid,
}

/// Why a partition table is not that of a bootable DDI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No partition of this role.
    Missing(Role),
    /// A second partition of this role.
    Duplicate(Role),
    /// An image for another machine.
    ForeignArchitecture(dps::Architecture, ImagePart),
    /// A partition that a bootable DDI does not have.
    Unexpected {
        /// Number of the partition, from 1.
        number: u32,
        /// What it claims to be.
        role: Role,
        /// Its type.
        type_guid: Guid,
    },
    /// A partition not in whole blocks of [`ALIGNMENT`] bytes.
    Unaligned {
        /// Which one.
        role: Role,
        /// Where it lies.
        range: ByteRange,
    },
    /// The root partition's GUID is not the first half of the root hash.
    RootGuidMismatch {
        /// From the root hash.
        expected: Guid,
        /// From the partition table.
        found: Guid,
    },
    /// The verity partition's GUID is not the second half of the root hash.
    VerityGuidMismatch {
        /// From the root hash.
        expected: Guid,
        /// From the partition table.
        found: Guid,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ddi: ")?;
        match self {
            Self::Missing(role) => write!(f, "no {role} partition"),
            Self::Duplicate(role) => write!(f, "second {role} partition"),
            Self::ForeignArchitecture(architecture, part) => {
                write!(f, "{part} partition is for {architecture}, expected arm64")
            }
            Self::Unexpected { number, role, type_guid } => {
                write!(f, "partition {number} of a boot image is {role}, type {type_guid}")
            }
            Self::Unaligned { role, range } => {
                write!(f, "{role} partition is {range}, expected multiples of {ALIGNMENT}")
            }
            Self::RootGuidMismatch { expected, found } => {
                write!(f, "root partition is {found}, root hash says {expected}")
            }
            Self::VerityGuidMismatch { expected, found } => {
                write!(f, "root-verity partition is {found}, root hash says {expected}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Finds the three partitions.
///
/// # Errors
/// The first of these that is so, partitions in the order of their slots: one that does not belong, a second of a role,
/// one not aligned; then the missing role, in the order root, root-verity, root-verity-sig.
pub fn layout(table: &Table) -> Result<Layout, Error> {
    let (mut root, mut verity, mut signature) = (None, None, None);
    for partition in &table.partitions {
        let role = Role::of(partition.type_guid);
        let place = match role {
            Role::Root => &mut root,
            Role::RootVerity => &mut verity,
            Role::RootVeritySig => &mut signature,
            Role::Foreign(architecture, part) => return Err(Error::ForeignArchitecture(architecture, part)),
            role => {
                return Err(Error::Unexpected { number: partition.number, role, type_guid: partition.type_guid });
            }
        };
        if place.replace(partition).is_some() {
            return Err(Error::Duplicate(role));
        }
        if !partition.range.is_aligned(ALIGNMENT) {
            return Err(Error::Unaligned { role, range: partition.range });
        }
    }
    let present = |place: Option<&'_ Partition>, role| place.map(|p| (p.range, p.guid)).ok_or(Error::Missing(role));
    let (root, root_guid) = present(root, Role::Root)?;
    let (verity, verity_guid) = present(verity, Role::RootVerity)?;
    let (signature, _) = present(signature, Role::RootVeritySig)?;
    Ok(Layout { root, verity, signature, root_guid, verity_guid })
}

impl Layout {
    /// Checks the partitions' GUIDs against the root hash. That says the parts belong together, not that any of them
    /// is authentic.
    ///
    /// # Errors
    /// [`Error::RootGuidMismatch`], [`Error::VerityGuidMismatch`].
    pub fn check_root_hash(&self, root_hash: &RootHash) -> Result<(), Error> {
        let (root, verity) = dps::partition_guids(root_hash);
        if self.root_guid != root {
            return Err(Error::RootGuidMismatch { expected: root, found: self.root_guid });
        }
        if self.verity_guid != verity {
            return Err(Error::VerityGuidMismatch { expected: verity, found: self.verity_guid });
        }
        Ok(())
    }
}
