// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every value that other tools draw at random, derived from the content, so that the same input gives the same bytes.
//!
//! | value | derivation |
//! |---|---|
//! | verity salt | SHA-256(`"meta-initoverlayfs ddi verity salt 1\n"`, size of the file system in bytes as u64 LE, its first 4096 bytes) |
//! | verity superblock UUID | first 128 bits of SHA-256(`"meta-initoverlayfs ddi verity uuid 1\n"`, root hash) |
//! | signature partition UUID | first 128 bits of SHA-256(`"meta-initoverlayfs ddi signature uuid 1\n"`, root hash) |
//! | disk GUID | first 128 bits of SHA-256(`"meta-initoverlayfs ddi disk guid 1\n"`, root hash) |
//!
//! The three UUIDs are marked as version 8 (RFC 9562 section 5.8: vendor specific). The root and root-verity partition
//! UUIDs are not derived here: the Discoverable Partitions Specification takes them from the root hash as they are.
//!
//! The salt must be known before the first data block is hashed, and hashing is done in the one pass that copies the
//! data. The first block holds the erofs superblock with its checksum, block and inode counts and UUID: it tells images
//! apart well enough for what a salt is for (no table made for one image helps against another), at no cost.

use boot_formats::guid::Guid;
use boot_formats::verity::RootHash;
use sha2::{Digest, Sha256};

/// Bytes of the file system that go into the salt: its first block, with the superblock at byte 1024.
pub const SALTED_BYTES: usize = 4096;

/// The salt for a file system of `size` bytes that begins with `first_block`.
#[must_use]
pub fn salt(size: u64, first_block: &[u8; SALTED_BYTES]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"meta-initoverlayfs ddi verity salt 1\n")
        .chain_update(size.to_le_bytes())
        .chain_update(first_block)
        .finalize()
        .into()
}

/// UUID in the verity superblock, in RFC byte order.
#[must_use]
pub fn verity_uuid(root_hash: &RootHash) -> [u8; 16] {
    uuid(b"meta-initoverlayfs ddi verity uuid 1\n", root_hash)
}

/// Partition UUID of root-verity-sig.
#[must_use]
pub fn signature_guid(root_hash: &RootHash) -> Guid {
    Guid::from_uuid_bytes(uuid(b"meta-initoverlayfs ddi signature uuid 1\n", root_hash))
}

/// Disk GUID in the GPT header.
#[must_use]
pub fn disk_guid(root_hash: &RootHash) -> Guid {
    Guid::from_uuid_bytes(uuid(b"meta-initoverlayfs ddi disk guid 1\n", root_hash))
}

fn uuid(domain: &[u8], root_hash: &RootHash) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new().chain_update(domain).chain_update(root_hash.as_bytes()).finalize().into();
    let [a, b, c, d, e, f, version, h, variant, j, k, l, m, n, o, p, ..] = digest;
    let version = (version & 0x0f) | 0x80;
    let variant = (variant & 0x3f) | 0x80;
    [a, b, c, d, e, f, version, h, variant, j, k, l, m, n, o, p]
}

#[cfg(test)]
mod tests {
    use boot_formats::verity::RootHash;

    /// Computed with Python's hashlib and uuid. A change makes every image another image.
    #[test]
    fn derived_values_stay_as_they_are() {
        let block = std::array::from_fn(|index| u8::try_from(index % 256).unwrap_or_default());
        assert_eq!(
            crate::signature::hex(&super::salt(8192, &block)),
            "4af59b8f5419ffe6658659eb77f6629e6156fb296d9c6162dc4165555efbe61a"
        );
        let root_hash = RootHash::new(std::array::from_fn(|index| u8::try_from(index).unwrap_or_default()));
        let verity = boot_formats::Guid::from_uuid_bytes(super::verity_uuid(&root_hash));
        assert_eq!(verity.to_string(), "250e6604-881e-8541-b0c1-4dc7514e1af0");
        assert_eq!(super::signature_guid(&root_hash).to_string(), "bd2aa1ce-317d-89f0-8f51-b68160057b84");
        assert_eq!(super::disk_guid(&root_hash).to_string(), "adaee576-2a66-83ab-8c92-5ba1b558b129");
    }
}
