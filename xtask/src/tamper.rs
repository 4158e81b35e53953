// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--tamper KIND`: the ways in which a boot is spoilt on purpose, and what has to come of each.
//!
//! * Some are other inputs to a rightly built image (key, os-release, name), the rest are changes of its bytes.
//! * Bytes are found by parsing the image ([`image`]), never by a known offset.
//! * The one list is used by `cargo xtask qemu` and by the boot tests.

pub mod image;

use std::path::Path;

use anyhow::Result;
use boot_record::reason::Reason;

use crate::disk::Disk;
use crate::keys::Keys;
use crate::tools::Tools;
use crate::userspace::{Identity, Tree};

/// A way to spoil a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tamper {
    /// The DDI has no signature partition
    Unsigned,
    /// The DDI is signed by a key that nobody trusts
    OtherKey,
    /// As other-key, with issuer, serial number and fingerprint said to be those of the trusted certificate
    OtherKeySameName,
    /// One bit of the signature is flipped
    SignatureBit,
    /// As signature-bit, with the signer's certificate embedded in the signature
    EmbeddedSignatureBit,
    /// One bit of the root hash in the signature JSON is flipped
    JsonRootHashBit,
    /// One bit of the hash tree's topmost block is flipped
    Tree,
    /// The hash tree's header counts one block of data less than the file system has
    DataBlocks,
    /// One bit of the file system's superblock is flipped: read before init is executed
    DataEarly,
    /// One bit of a file is flipped that only init reads: an I/O error for the reader, never altered data
    DataLate,
    /// The disk has no ESP
    NoEsp,
    /// The file or label claims another version than the os-release inside
    NameVersion,
    /// The os-release inside names another image
    ImageId,
    /// The image is a system extension, rightly signed
    Sysext,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The key that the kernel trusts.
    Development,
    /// A key under another name.
    Other,
    /// A key whose certificate claims issuer and serial number of the trusted one.
    Impostor,
    /// A key on the curve P-256.
    P256,
    /// A key on the curve P-384.
    P384,
}

impl Tamper {
    /// Who signs the image.
    #[must_use]
    pub fn signer(self) -> Signer {
        match self {
            Self::OtherKey => Signer::Other,
            Self::OtherKeySameName => Signer::Impostor,
            _ => Signer::Development,
        }
    }

    /// What to change before the image is built.
    pub fn apply_to_tree(self, tree: &mut Tree, identity: &Identity) {
        match self {
            Self::ImageId => {
                Identity { image_id: format!("not-{}", identity.image_id), ..identity.clone() }.put_into(tree);
            }
            Self::Sysext => {
                let path = format!("usr/lib/extension-release.d/extension-release.{}", identity.image_id);
                tree.file(&path, 0o644, *b"ID=_any\n");
            }
            _ => {}
        }
    }

    /// What to change in the finished image; `trusted` are the keys that the kernel trusts.
    ///
    /// # Errors
    /// The image is not a DDI, or cannot be written.
    pub fn apply_to_image(self, tools: &Tools, path: &Path, trusted: &Keys) -> Result<()> {
        match self {
            Self::OtherKeySameName => image::claim_fingerprint(path, &trusted.certificate_der),
            Self::Unsigned => image::remove_signature(tools, path),
            Self::SignatureBit => image::flip_signature_bit(path),
            Self::EmbeddedSignatureBit => {
                image::embed_certificate(tools, path, trusted)?;
                image::flip_signature_bit(path)
            }
            Self::JsonRootHashBit => image::flip_json_root_hash_bit(path),
            Self::Tree => image::flip_tree_bit(path),
            Self::DataBlocks => image::count_one_block_less(path),
            Self::DataEarly => image::flip_superblock_bit(path),
            Self::DataLate => image::flip_late_bit(path),
            _ => Ok(()),
        }
    }

    /// What to change about the disk.
    pub fn apply_to_disk(self, disk: &mut Disk) {
        match self {
            Self::NoEsp => disk.esp = None,
            Self::NameVersion => {
                for candidate in disk.esp.iter_mut().flatten().chain(&mut disk.partitions) {
                    candidate.name.push_str(".9");
                }
            }
            _ => {}
        }
    }

    /// What storage-init must say; `None`: it boots, and the kernel finds the fault later.
    #[must_use]
    pub fn expected(self) -> Option<Reason> {
        match self {
            Self::Unsigned => Some(Reason::Unsigned),
            Self::OtherKey => Some(Reason::SignerUnknown),
            Self::OtherKeySameName | Self::SignatureBit | Self::EmbeddedSignatureBit => Some(Reason::SignatureRejected),
            Self::JsonRootHashBit => Some(Reason::RootHashMismatch),
            Self::Tree | Self::DataEarly => Some(Reason::Corrupt),
            Self::DataBlocks => Some(Reason::VeritySuperblock),
            Self::DataLate => None,
            Self::NoEsp => Some(Reason::NoSource),
            Self::NameVersion => Some(Reason::ImageVersion),
            Self::ImageId => Some(Reason::ImageId),
            Self::Sysext => Some(Reason::NotABootImage),
        }
    }
}
