// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition types (UAPI.2, Discoverable Partitions Specification) and what a partition of each is for.
//!
//! A type is a claim, not a proof: a partition of type [`ROOT_ARM64`] holds what its writer put there.

mod foreign;

pub use foreign::Architecture;

use crate::guid::Guid;
use crate::verity::RootHash;
use core::fmt;

/// EFI system partition.
pub const ESP: Guid = Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// Extended boot loader partition.
pub const XBOOTLDR: Guid = Guid::from_u128(0xbc13c2ff_59e6_4262_a352_b275fd6f7172);
/// Root file system for arm64.
pub const ROOT_ARM64: Guid = Guid::from_u128(0xb921b045_1df0_41c3_af44_4c6f280d3fae);
/// dm-verity superblock and hash tree of a root file system for arm64.
pub const ROOT_ARM64_VERITY: Guid = Guid::from_u128(0xdf3300ce_d69f_4c92_978c_9bfb0f38d820);
/// Signature of the root hash of a root file system for arm64.
pub const ROOT_ARM64_VERITY_SIG: Guid = Guid::from_u128(0x6db69de6_29f4_4758_a7a5_962190f00ce3);
/// `/usr` file system for arm64.
pub const USR_ARM64: Guid = Guid::from_u128(0xb0e01050_ee5f_4390_949a_9101b17104e9);
/// dm-verity superblock and hash tree of a `/usr` file system for arm64.
pub const USR_ARM64_VERITY: Guid = Guid::from_u128(0x6e11a4e7_fbca_4ded_b9e9_e1a512bb664e);
/// Signature of the root hash of a `/usr` file system for arm64.
pub const USR_ARM64_VERITY_SIG: Guid = Guid::from_u128(0xc23ce4ff_44bd_4b00_b2d4_b41b3419e02a);
/// Swap space.
pub const SWAP: Guid = Guid::from_u128(0x0657fd6d_a4ab_43c4_84e5_0933c84b4f4f);
/// `/home`.
pub const HOME: Guid = Guid::from_u128(0x933ac7e1_2eb4_4f13_b844_0e14e2aef915);
/// `/srv`.
pub const SRV: Guid = Guid::from_u128(0x3b8f8425_20e0_4f3b_907f_1a25a76f98e8);
/// `/var`.
pub const VAR: Guid = Guid::from_u128(0x4d21b016_b534_45c2_a9fb_5c16e091fd2d);
/// `/var/tmp`.
pub const TMP: Guid = Guid::from_u128(0x7ec6f557_3bc5_4aca_b293_16ef5df639d1);
/// A user's home directory.
pub const USER_HOME: Guid = Guid::from_u128(0x773f91ef_66d4_49b5_bd83_d683bf40ad16);
/// Any other Linux data.
pub const LINUX_GENERIC: Guid = Guid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4);
/// This project's own: a partition that holds a whole DDI, its GPT first. Its label is the image's name and version
/// (see [`file_name::parse_label`](crate::file_name::parse_label)). Changing it orphans every device in the field.
pub const INITOVERLAYFS_DDI: Guid = Guid::from_u128(0x5a2f0ab4_7d3c_4b0e_9c61_1f0e6d4a8b27);

/// A partition of an image that exists once for each architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePart {
    /// Root file system.
    Root,
    /// Its dm-verity data.
    RootVerity,
    /// Its signature.
    RootVeritySig,
    /// `/usr` file system.
    Usr,
    /// Its dm-verity data.
    UsrVerity,
    /// Its signature.
    UsrVeritySig,
}

impl fmt::Display for ImagePart {
    /// The name as systemd-repart spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::RootVerity => "root-verity",
            Self::RootVeritySig => "root-verity-sig",
            Self::Usr => "usr",
            Self::UsrVerity => "usr-verity",
            Self::UsrVeritySig => "usr-verity-sig",
        })
    }
}

/// What a partition claims to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// [`ESP`].
    Esp,
    /// [`XBOOTLDR`].
    Xbootldr,
    /// [`ROOT_ARM64`].
    Root,
    /// [`ROOT_ARM64_VERITY`].
    RootVerity,
    /// [`ROOT_ARM64_VERITY_SIG`].
    RootVeritySig,
    /// [`USR_ARM64`].
    Usr,
    /// [`USR_ARM64_VERITY`].
    UsrVerity,
    /// [`USR_ARM64_VERITY_SIG`].
    UsrVeritySig,
    /// [`INITOVERLAYFS_DDI`].
    InitoverlayfsDdi,
    /// An image partition for another architecture.
    Foreign(Architecture, ImagePart),
    /// [`SWAP`].
    Swap,
    /// [`HOME`].
    Home,
    /// [`SRV`].
    Srv,
    /// [`VAR`].
    Var,
    /// [`TMP`].
    Tmp,
    /// [`USER_HOME`].
    UserHome,
    /// [`LINUX_GENERIC`].
    LinuxGeneric,
    /// Any type not named here.
    Unknown,
}

impl Role {
    /// The role of a partition of this type.
    #[must_use]
    pub fn of(type_guid: Guid) -> Self {
        // A table: a `match` of numbers this large is a kilobyte more.
        const KNOWN: [(Guid, Role); 16] = [
            (ESP, Role::Esp),
            (XBOOTLDR, Role::Xbootldr),
            (ROOT_ARM64, Role::Root),
            (ROOT_ARM64_VERITY, Role::RootVerity),
            (ROOT_ARM64_VERITY_SIG, Role::RootVeritySig),
            (USR_ARM64, Role::Usr),
            (USR_ARM64_VERITY, Role::UsrVerity),
            (USR_ARM64_VERITY_SIG, Role::UsrVeritySig),
            (INITOVERLAYFS_DDI, Role::InitoverlayfsDdi),
            (SWAP, Role::Swap),
            (HOME, Role::Home),
            (SRV, Role::Srv),
            (VAR, Role::Var),
            (TMP, Role::Tmp),
            (USER_HOME, Role::UserHome),
            (LINUX_GENERIC, Role::LinuxGeneric),
        ];
        match KNOWN.iter().find(|(known, _)| *known == type_guid) {
            Some((_, role)) => *role,
            None => {
                foreign::find(type_guid).map_or(Self::Unknown, |(architecture, part)| Self::Foreign(architecture, part))
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Esp => "esp",
            Self::Xbootldr => "xbootldr",
            Self::Root => return ImagePart::Root.fmt(f),
            Self::RootVerity => return ImagePart::RootVerity.fmt(f),
            Self::RootVeritySig => return ImagePart::RootVeritySig.fmt(f),
            Self::Usr => return ImagePart::Usr.fmt(f),
            Self::UsrVerity => return ImagePart::UsrVerity.fmt(f),
            Self::UsrVeritySig => return ImagePart::UsrVeritySig.fmt(f),
            Self::InitoverlayfsDdi => "initoverlayfs-ddi",
            Self::Foreign(architecture, part) => return write!(f, "{part} for {architecture}"),
            Self::Swap => "swap",
            Self::Home => "home",
            Self::Srv => "srv",
            Self::Var => "var",
            Self::Tmp => "tmp",
            Self::UserHome => "user-home",
            Self::LinuxGeneric => "linux-generic",
            Self::Unknown => "unknown",
        };
        f.write_str(name)
    }
}

/// The GUIDs that the root and the root-verity partition of an image with this root hash must have: its first and its
/// last 128 bits (UAPI.2, table of partition types).
#[must_use]
pub fn partition_guids(root_hash: &RootHash) -> (Guid, Guid) {
    let (mut first, mut last) = ([0; 16], [0; 16]);
    for (to, from) in first.iter_mut().chain(&mut last).zip(root_hash.as_bytes()) {
        *to = *from;
    }
    (Guid::from_uuid_bytes(first), Guid::from_uuid_bytes(last))
}
