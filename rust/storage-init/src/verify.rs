// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 6: Candidate -> [`SignedRoot`].
//!
//! Everything that can be said of a DDI without reading its data is checked here, cheapest first: the partition table,
//! the layout, the signature's form, the signer, the hash tree's header, and last the signature itself: by the kernel when
//! it loads the dm-verity table, or by [`user_space`] before that. Which of the two is the configuration's choice.

mod backing;
mod signer;
mod user_space;

use std::ffi::CString;
use std::rc::Rc;

use boot_formats::ddi::{self, Layout};
use boot_formats::dps::Role;
use boot_formats::gpt::Table;
use boot_formats::hex::Hex;
use boot_formats::range::ByteRange;
use boot_formats::verity::{RootHash, Superblock};
use boot_formats::{signature_json, verity};
use boot_record::config::{SignaturePath, Source};
use boot_record::reason::Reason;
use kernel_edge::block::{self, ReadOnly};
use kernel_edge::keyring::UserKey;
use kernel_edge::loop_device;
use kernel_edge::{Errno, dm, verity as kernel_verity};

use crate::config::{Anchor, Settings};
use crate::esp::File;
use crate::failure::{DeviceLabel, Failure, text};
use crate::select::{Candidate, Origin};
use crate::{measure, table};

pub use backing::Backing;
use backing::EspFile;
pub use signer::Signer;

/// Bytes of an image that are read in one request: its partition table and, behind it, the signature, where `ddi` lays it.
const HEAD: u64 = 28 * 1024;

/// What is known of a DDI once its signature is accepted.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the console calls it.
    pub label: DeviceLabel,
    /// The configured source that it came from.
    pub source: Source,
    /// The version that its name claims; the authentic one is compared after the mount.
    pub claimed_version: heapless::String<64>,
    /// The signed hash.
    pub root_hash: RootHash,
    /// Whose certificate signed it.
    pub signer: Signer,
    /// What the hash tree is said to cover.
    pub superblock: Superblock,
}

/// A DDI whose root hash was signed by a configured certificate, as the kernel confirmed when it loaded the table, or
/// [`user_space::check`] before a table without signature was loaded.
/// The device is still suspended: nothing was read through it, and no block was checked yet. Dropping this removes
/// all its devices.
#[derive(Debug)]
pub struct SignedRoot {
    facts: Facts,
    // In the order in which they must go.
    verity: dm::Device,
    backing: Backing,
}

impl SignedRoot {
    /// What is known of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes it apart, for who can show that it was measured.
    pub fn into_parts(self, _: &measure::Done) -> (Facts, dm::Device, Backing) {
        (self.facts, self.verity, self.backing)
    }
}

/// The candidate that failures are of.
struct Blame<'a>(&'a str);

impl Blame<'_> {
    fn failure(&self, reason: Reason, error: impl core::fmt::Display) -> Failure {
        Failure::new(reason, self.0, error)
    }
}

/// Verifies one candidate. `table` is room for its partition table.
///
/// # Errors
/// A [`Failure`] of the candidate, whose reason says which check refused it; see docs/boot-flow.md.
pub fn verify(candidate: &Candidate, table: &mut Table, settings: &Settings) -> Result<SignedRoot, Failure> {
    let blame = Blame(&candidate.label);
    let image = open(candidate)?;
    let (described, signer, anchor) = describe(&image.bytes, table, &settings.anchors, &blame)?;
    let judge = match settings.config.signature {
        SignaturePath::Kernel => Judge::Kernel,
        SignaturePath::UserSpace => Judge::UserSpace(user_space::check(&described.signature, anchor, &blame)?),
    };

    let control = dm::Control::open().map_err(|error| blame.failure(Reason::KernelLacks, error))?;
    let backing = match &candidate.origin {
        Origin::EspFile { esp, path } => {
            let file = EspFile { image, esp: Rc::clone(esp), path: path.clone() };
            Backing::of_file(file, &described.layout)
        }
        Origin::Partition { .. } => {
            Backing::of_partition(image.bytes, &control, &described.layout, described.signature.root_hash)
        }
    };
    let backing = backing.map_err(|error| match error {
        backing::Error::Loop(loop_device::Error::NoLoop(_)) => blame.failure(Reason::KernelLacks, error),
        _ => blame.failure(Reason::Io, error),
    })?;
    let verity = described.map_verity(&control, &backing, &judge, &blame)?;
    Ok(SignedRoot {
        facts: Facts {
            label: candidate.label.clone(),
            source: candidate.origin.source(),
            claimed_version: candidate.version.clone(),
            root_hash: described.signature.root_hash,
            signer,
            superblock: described.superblock,
        },
        verity,
        backing,
    })
}

fn open(candidate: &Candidate) -> Result<File, Failure> {
    let failed = |error| Failure::new(Reason::Io, &candidate.label, error);
    match &candidate.origin {
        Origin::EspFile { esp, path } => {
            esp.open(path)?.ok_or_else(|| failed(block::Error { call: block::Call::Open, errno: Errno::NOENT }))
        }
        Origin::Partition { node } => Ok(File { bytes: ReadOnly::open(node).map_err(failed)?, is_run: true }),
    }
}

/// All checks that need nothing but the image's own bytes.
fn describe<'a>(
    image: &ReadOnly,
    table: &mut Table,
    anchors: &'a [Anchor],
    blame: &Blame<'_>,
) -> Result<(Described, Signer, &'a Anchor), Failure> {
    let described = Described::read(image, table, blame)?;
    let (signer, anchor) = signer::find(&described.signature, anchors, blame)?;
    Ok((described, signer, anchor))
}

/// Who says whether the signature is good.
enum Judge {
    /// The kernel, and it has yet to say.
    Kernel,
    /// We, and it is.
    UserSpace(user_space::Verified),
}

/// What a DDI says of itself, in forms that hold together. Not yet believed.
struct Described {
    layout: Layout,
    superblock: Superblock,
    signature: Box<signature_json::Signature>,
}

impl Described {
    /// Not inlined: what it reads into lies on the stack, where pages that nobody touched before cost time.
    #[inline(never)]
    fn read(image: &ReadOnly, table: &mut Table, blame: &Blame<'_>) -> Result<Self, Failure> {
        image.read_ahead(0, HEAD);
        table::read_image(image, table).map_err(|error| blame.failure(Reason::NotADdi, error))?;
        let layout = ddi::layout(table).map_err(|error| match error {
            ddi::Error::Missing(Role::RootVeritySig) => blame.failure(Reason::Unsigned, error),
            _ => blame.failure(Reason::NotADdi, error),
        })?;

        let signature = read_range(image, layout.signature, signature_json::MAX_SIGNATURE_PARTITION, blame)?;
        let signature = signature_json::parse(&signature)
            .map(Box::new)
            .map_err(|error| blame.failure(Reason::SignatureMalformed, error))?;
        layout.check_root_hash(&signature.root_hash).map_err(|error| blame.failure(Reason::RootHashMismatch, error))?;

        let superblock = read_range(image, layout.verity, verity::SUPERBLOCK_SIZE, blame)?;
        let superblock = verity::parse(&superblock)
            .and_then(|superblock| superblock.require_4k().map(|()| superblock))
            .and_then(|superblock| superblock.check_fits(layout.root, layout.verity).map(|()| superblock))
            .map_err(|error| blame.failure(Reason::VeritySuperblock, error))?;
        Ok(Self { layout, superblock, signature })
    }

    /// Loads the verity table: with the signature, which the kernel checks while it does, or, only against the proof that it was
    /// checked, without.
    fn map_verity(
        &self,
        control: &dm::Control,
        backing: &Backing,
        judge: &Judge,
        blame: &Blame<'_>,
    ) -> Result<dm::Device, Failure> {
        let root_hash = self.signature.root_hash;
        // Name and UUID as libcryptsetup makes them, so that systemd finds its own device in ours.
        let name: heapless::String<128> = text(format_args!("{root_hash}-verity"));
        let uuid: heapless::String<128> = text(format_args!("CRYPT-VERITY-{}-{name}", Hex(&self.superblock.uuid)));

        let (data, hash, offset) = backing.devices().map_err(|error| blame.failure(Reason::Io, error))?;
        // Of 4096 bytes: `require_4k` saw to it.
        let hash_offset_blocks = offset >> 12;
        let table = kernel_verity::Table {
            data,
            hash,
            block_sizes: (self.superblock.data_block_size, self.superblock.hash_block_size),
            data_blocks: self.superblock.data_blocks,
            hash_start_block: hash_offset_blocks.saturating_add(self.superblock.hash_start_block()),
            root_hash: &text::<64>(root_hash),
            salt: &text::<{ 2 * verity::MAX_SALT }>(Hex(&self.superblock.salt)),
        };
        let device = control.create(&name, &uuid).map_err(|error| blame.failure(Reason::Io, error))?;
        let loaded = match judge {
            Judge::Kernel => {
                let description = CString::new(format!("initoverlayfs:{root_hash}"))
                    .map_err(|error| blame.failure(Reason::Io, error))?;
                let key = UserKey::add(&description, &self.signature.pkcs7)
                    .map_err(|error| blame.failure(Reason::Io, error))?;
                kernel_verity::load_signed(&device, &table, &key)
            }
            Judge::UserSpace(verified) => user_space::load(verified, &device, &table),
        };
        loaded.map_err(|error| blame.failure(reason_of(&error), error))?;
        Ok(device)
    }
}

const fn reason_of(error: &kernel_verity::Error) -> Reason {
    match error {
        kernel_verity::Error::NoSuchCertificate(_) => Reason::SignerUnknown,
        kernel_verity::Error::Rejected(_) => Reason::SignatureRejected,
        kernel_verity::Error::AlgorithmMissing(_)
        | kernel_verity::Error::NoSignatureSupport
        | kernel_verity::Error::NoVerity
        | kernel_verity::Error::SignatureRequired(_) => Reason::KernelLacks,
        kernel_verity::Error::Table(_) => Reason::Io,
    }
}

/// The first bytes of a partition, at most `most`.
fn read_range(image: &ReadOnly, range: ByteRange, most: usize, blame: &Blame<'_>) -> Result<Vec<u8>, Failure> {
    let len = usize::try_from(range.len).unwrap_or(most).min(most);
    image.read_vec(range.offset, len).map_err(|error| blame.failure(Reason::Io, error))
}

#[cfg(test)]
mod tests;
