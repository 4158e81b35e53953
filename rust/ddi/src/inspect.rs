// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi inspect`: what an image says of itself, read by the boot stage's parsers.
//!
//! * Every fact is a claim: no signature, digest or partition UUID is compared. [`verify`](crate::verify) does.
//! * Reads tables, signature partition, verity superblock and the first block of the root partition, nothing else.
//! * Does not look at files: what the os-release inside says, storage-init compares after the mount.
//!
//! The JSON is one object on one line of stdout. New members may be added; `format` changes when one changes its meaning.

use std::fmt;
use std::path::{Path, PathBuf};

use boot_formats::ddi;
use boot_formats::guid::Guid;
use boot_formats::pkcs7;
use boot_formats::signature_json::{self, MAX_SIGNATURE_PARTITION};
use boot_formats::verity::{self, SUPERBLOCK_SIZE, Superblock};
use boot_formats::x509;
use serde::Serialize;

use crate::derive::SALTED_BYTES;
use crate::erofs;
use crate::file_error::FileError;
use crate::opened::{self, Found, Opened, TableError};
use crate::printable::Printable;
use crate::signature::hex;
use crate::signer_facts::SignerFacts;

/// Why an image cannot be described: the refusal of the first parser that meets what it does not know.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each is the error of the parser of its name")]
pub enum Error {
    #[error(transparent)]
    Open(#[from] opened::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: {source}", path.display())]
    Table { path: PathBuf, source: TableError },
    #[error("{}: {source}", path.display())]
    Partitions { path: PathBuf, source: ddi::Error },
    #[error("{}: {source}", path.display())]
    Superblock { path: PathBuf, source: verity::Error },
    #[error("{}: {source}", path.display())]
    Signature { path: PathBuf, source: signature_json::Error },
    #[error("{}: {source}", path.display())]
    Pkcs7 { path: PathBuf, source: pkcs7::Error },
    #[error("{}: the certificate in the signature: {source}", path.display())]
    EmbeddedCertificate { path: PathBuf, source: x509::Error },
}

/// What an image says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// 1.
    pub format: u32,
    /// The image, as it was named on the command line; what is no UTF-8 is replaced.
    pub image: String,
    /// Bytes of the image.
    pub size: u64,
    /// The partition table that the boot stage would use.
    pub table: TableFacts,
    /// In the order of the table.
    pub partitions: Vec<PartitionFacts>,
    /// `rootHash` of the signature partition, 64 hexadecimal digits.
    pub root_hash: String,
    /// Whether the partition UUIDs are those of that root hash.
    pub root_hash_in_uuids: bool,
    /// `certificateFingerprint` of the signature partition.
    pub certificate_fingerprint: Option<String>,
    /// Who claims to have signed.
    pub signer: SignerFacts,
    /// The verity superblock.
    pub verity: VerityFacts,
    /// Bytes of the erofs in the root partition; `null` where that is none, see `erofs_error`.
    pub erofs_size: Option<u64>,
    /// Why the root partition is no erofs that `ddi` knows.
    pub erofs_error: Option<String>,
}

/// Where the partition table was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFacts {
    /// `primary`, or `backup` where the primary one is bad.
    pub copy: String,
    /// 512 or 4096.
    pub sector_size: u32,
    /// GUID of the disk.
    pub disk_guid: String,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionFacts {
    /// Its slot, from 1.
    pub number: u32,
    /// Name.
    pub label: String,
    /// What its type is for.
    pub role: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_guid: String,
    /// Partition UUID.
    pub uuid: String,
    /// First byte in the image.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// What the verity superblock says. The algorithm is sha256, the hash type 1: the parser knows no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerityFacts {
    /// UUID of the tree.
    pub uuid: String,
    /// Bytes.
    pub data_block_size: u32,
    /// Bytes.
    pub hash_block_size: u32,
    /// Blocks of data under the tree.
    pub data_blocks: u64,
    /// Blocks of the tree, superblock not counted.
    pub tree_blocks: u64,
    /// Levels of the tree; 0 for a single data block.
    pub levels: usize,
    /// Salt, hexadecimal digits.
    pub salt: String,
}

/// Reads what `path` says.
///
/// # Errors
/// See [`Error`].
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let owned = || path.to_owned();
    let image = Opened::open(path)?;
    let found = image.partition_table()?.map_err(|source| Error::Table { path: owned(), source })?;
    let layout = ddi::layout(&found.table).map_err(|source| Error::Partitions { path: owned(), source })?;
    let signature = signature_json::parse(&image.read(layout.signature, MAX_SIGNATURE_PARTITION)?)
        .map_err(|source| Error::Signature { path: owned(), source })?;
    let signer = pkcs7::sole_signer(&signature.pkcs7).map_err(|source| Error::Pkcs7 { path: owned(), source })?;
    let signer = SignerFacts::of(&signer).map_err(|source| Error::EmbeddedCertificate { path: owned(), source })?;
    let superblock = image.read(layout.verity, SUPERBLOCK_SIZE)?;
    let verity = verity::parse(&superblock)
        .and_then(|superblock| VerityFacts::of(&superblock))
        .map_err(|source| Error::Superblock { path: owned(), source })?;
    let first_block = image.read(layout.root, SALTED_BYTES)?;
    let erofs = erofs::size_in_partition(path, &first_block, layout.root.len);
    Ok(Inspection {
        format: 1,
        image: path.display().to_string(),
        size: image.size,
        table: TableFacts {
            copy: found.which.to_string(),
            sector_size: found.sector_size,
            disk_guid: found.table.disk_guid.to_string(),
        },
        partitions: partitions(&found),
        root_hash: signature.root_hash.to_string(),
        root_hash_in_uuids: layout.check_root_hash(&signature.root_hash).is_ok(),
        certificate_fingerprint: signature.certificate_fingerprint.map(|fingerprint| hex(&fingerprint)),
        signer,
        verity,
        erofs_size: erofs.as_ref().ok().copied(),
        erofs_error: erofs.err().map(|error| error.to_string()),
    })
}

fn partitions(found: &Found) -> Vec<PartitionFacts> {
    let facts = |partition: &boot_formats::gpt::Partition| PartitionFacts {
        number: partition.number,
        label: partition.label.to_string(),
        role: boot_formats::dps::Role::of(partition.type_guid).to_string(),
        type_guid: partition.type_guid.to_string(),
        uuid: partition.guid.to_string(),
        offset: partition.range.offset,
        size: partition.range.len,
    };
    found.table.partitions.iter().map(facts).collect()
}

impl VerityFacts {
    fn of(superblock: &Superblock) -> Result<Self, verity::Error> {
        let levels = verity::levels(superblock.data_blocks, superblock.hash_block_size)?;
        Ok(Self {
            uuid: Guid::from_uuid_bytes(superblock.uuid).to_string(),
            data_block_size: superblock.data_block_size,
            hash_block_size: superblock.hash_block_size,
            data_blocks: superblock.data_blocks,
            tree_blocks: levels.iter().fold(0, |sum, blocks| sum.saturating_add(*blocks)),
            levels: levels.len(),
            salt: hex(&superblock.salt),
        })
    }
}

impl Inspection {
    /// One line of JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`]; there is no known cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image               {} ({} bytes)", self.image, self.size)?;
        let TableFacts { copy, sector_size, disk_guid } = &self.table;
        writeln!(f, "partition table     {copy}, {sector_size}-byte sectors, disk {disk_guid}")?;
        writeln!(f, "partitions          {:>3}  {:<24}{:>14}{:>16}", "no", "label", "offset", "size")?;
        for partition in &self.partitions {
            let PartitionFacts { number, label, role, type_guid, uuid, offset, size } = partition;
            let label = Printable(label).to_string();
            writeln!(f, "                    {number:>3}  {label:<24}{offset:>14}{size:>16}")?;
            writeln!(f, "                         uuid {uuid}")?;
            writeln!(f, "                         type {type_guid} ({role})")?;
        }
        let in_uuids = if self.root_hash_in_uuids { "" } else { " (not that of the partition UUIDs)" };
        writeln!(f, "root hash           {}{in_uuids}", self.root_hash)?;
        writeln!(f, "fingerprint         {}", self.certificate_fingerprint.as_deref().unwrap_or("not stated"))?;
        writeln!(f, "{}", self.signer)?;
        write!(f, "{}", self.verity)?;
        match (self.erofs_size, &self.erofs_error) {
            (Some(size), _) => writeln!(f, "erofs               {size} bytes")?,
            (None, error) => writeln!(f, "erofs               none: {}", error.as_deref().unwrap_or_default())?,
        }
        write!(f, "not looked at       whether any of this is true (`ddi verify`), files such as os-release")
    }
}

impl fmt::Display for VerityFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hash tree           sha256, hash type 1")?;
        writeln!(f, "  uuid              {}", self.uuid)?;
        writeln!(f, "  block sizes       {} data, {} hash", self.data_block_size, self.hash_block_size)?;
        writeln!(
            f,
            "  blocks            {} data, {} hash in {} levels",
            self.data_blocks, self.tree_blocks, self.levels
        )?;
        writeln!(f, "  salt              {}", if self.salt.is_empty() { "-" } else { &self.salt })
    }
}
