// SPDX-License-Identifier: MIT OR Apache-2.0
//! An EFI system or XBOOTLDR partition: the images on it, and where their bytes lie.
//!
//! * Nobody signed it. What is plain on it is read here: a boot sector, a folder, the links of a file that is one run of clusters. The
//!   kernel's vfat, which would mount it for the same, is a fifth of a millisecond, and more of the kernel for a stranger's bytes.
//! * What is not plain is left to vfat: a file in pieces, a folder of many or of strange names, FAT12. The partition is then mounted where no
//!   path leads to, read-only, without devices and programs.
//! * vfat reads its allocation table and its folders sector by sector, each when it comes to it: half a hundred requests for a
//!   file of 30 MiB, one after the other. What it is going to need is read here in one, into the cache that it looks into first.

use core::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};

use boot_formats::vfat;
use boot_record::config::{Config, EspFreeCount};
use boot_record::reason::Reason;
use kernel_edge::block::{self, ReadOnly};
use kernel_edge::file_map;
use kernel_edge::mounts::{self, Access, Mount, Parameter};

use crate::failure::{DeviceLabel, Failure};

/// The folder of DDIs. The kernel's vfat ends it after 2 MiB (FAT_MAX_DIR_SIZE), some twenty thousand names: reading it
/// needs no bound of its own.
pub const FOLDER: &str = "initoverlayfs";
/// Most bytes of the allocation table that are read for a file: 512 MiB of it in clusters of 4 KiB. Some 2 ms of reading, on
/// slow flash.
const MOST_LINKS: u64 = 512 * 1024;
/// Bytes of a page, the least that is read of a device in any case.
const PAGE: usize = 4096;
/// Bytes that are read from the beginning of the root folder on.
const FOLDERS: u64 = 16 * 1024;
/// Bytes that are looked at in one step.
const STEP: usize = 8 * 1024;

/// An ESP.
#[derive(Debug)]
pub struct Esp {
    node: DeviceLabel,
    device: ReadOnly,
    sector_size: u32,
    /// Where its parts lie, if that is plain.
    volume: Option<vfat::Volume>,
    free_count: EspFreeCount,
    mount: OnceCell<Mount>,
}

/// Where a file begins, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    cluster: u32,
    bytes: u64,
}

impl From<&vfat::File> for Place {
    fn from(file: &vfat::File) -> Self {
        Self { cluster: file.first, bytes: file.bytes.into() }
    }
}

impl Esp {
    /// The partition with this node, which is open already, on a disk with sectors of `sector_size`.
    pub fn new(node: DeviceLabel, device: ReadOnly, sector_size: u32, config: &Config) -> Self {
        let volume = volume(&device, sector_size);
        Self { node, device, sector_size, volume, free_count: config.esp_free_count, mount: OnceCell::new() }
    }

    /// The files in [`FOLDER`] that may be images, if it is plain which they are; else [`mounted`](Self::mounted) knows.
    #[inline(never)]
    pub fn plain_files(&self) -> Option<Vec<vfat::File>> {
        const NAME: &[u8; 13] = b"initoverlayfs";
        const _: () = assert!(NAME.len() == FOLDER.len());
        let volume = self.volume.as_ref()?;
        let root = volume.root();
        // Folders that were made first lie right behind it.
        self.device.read_ahead(root.offset, root.len.max(FOLDERS));
        let mut page = [0_u8; PAGE];
        let entries = self.entries(root, &mut page)?;
        let folder = volume.cluster(vfat::find_folder(entries, NAME)?)?;
        vfat::files(self.entries(folder, &mut page)?).collect::<Result<_, _>>().ok()
    }

    /// The first entries of a folder, from its first cluster.
    fn entries<'a>(&self, cluster: boot_formats::ByteRange, page: &'a mut [u8; PAGE]) -> Option<&'a [u8]> {
        let most = usize::try_from(cluster.len).map_or(PAGE, |len| len.min(PAGE));
        let page = page.get_mut(..most)?;
        let len = self.device.read_at(page, cluster.offset).ok()?;
        page.get(..len)
    }

    /// The file system, mounted by the kernel: the first time it is asked for.
    ///
    /// # Errors
    /// As [`Mount::new`]; [`refusal`] says what it is.
    pub fn mounted(&self) -> Result<&Mount, mounts::Error> {
        if let Some(mount) = self.mount.get() {
            return Ok(mount);
        }
        // The system's own mount shares this superblock while it lasts, whatever options it asks for: none but root reads.
        let root_only = Parameter::Text("umask", "0077");
        // A count that the volume keeps saves the kernel from reading the whole table to count anew, as it does where a loop device
        // is set up over the file (it asks the file system for its block size by statfs(2)): half a megabyte on an ESP of 512 MiB.
        // Only where the configuration says so: a number that is too low all the same, from a writer that keeps neither it nor the
        // mark of a clean volume, has the kernel refuse to write (ENOSPC) to the system that shares this superblock. In a
        // transition to another root none does: it is gone by then.
        let trusts =
            self.free_count == EspFreeCount::Trust && self.volume.as_ref().is_some_and(vfat::Volume::keeps_free_count);
        let options: &[Parameter<'_>] = if trusts { &[root_only, Parameter::Flag("usefree")] } else { &[root_only] };
        if let Some(volume) = &self.volume
            && u32::from(volume.sector_bytes()) == self.sector_size
        {
            // The table's beginning; boot sector and root folder were read before.
            self.device.read_ahead(volume.table().offset, PAGE as u64);
        }
        let mount = Mount::new("vfat", &self.node, options, Access::ReadOnlyData)?;
        Ok(self.mount.get_or_init(|| mount))
    }

    /// The file system, if it is mounted.
    pub fn mount(&self) -> Option<&Mount> {
        self.mount.get()
    }

    /// Opens a file by its path, in the mounted file system. `label` is what a failure is of.
    ///
    /// # Errors
    /// As [`refusal`], and `io` for what cannot be opened.
    pub fn open(&self, path: &str, label: &str) -> Result<OwnedFd, Failure> {
        let files = self.mounted().map_err(|error| refusal(label, &error))?;
        let unreadable = |errno| Failure::new(Reason::Io, label, block::Error { call: block::Call::Open, errno });
        files.open(path).map_err(unreadable)
    }

    /// The part of the partition that holds the file at `place`, if its bytes are one run. Reads the part of the allocation table that
    /// says so, which vfat then has at hand.
    ///
    /// That nobody else gets these bytes while the file exists is for the caller to see to; what is in them, too.
    #[inline(never)]
    pub fn run(&self, place: Place) -> Option<ReadOnly> {
        let volume = self.volume.as_ref()?;
        let links = volume.links(place.cluster, place.bytes)?;
        if links.len > MOST_LINKS {
            return None;
        }
        self.device.read_ahead(links.offset, links.len);
        let mut cluster = place.cluster;
        let mut at = links.offset;
        let end = links.end()?;
        let mut step = [0_u8; STEP];
        while at < end {
            let most = usize::try_from(end.checked_sub(at)?).map_or(STEP, |left| left.min(STEP));
            let step = step.get_mut(..most)?;
            // Entries are 2 or 4 bytes and so are the offsets: whatever is read is whole entries, but for a device that ends.
            if self.device.read_at(step, at).ok()? != most {
                return None;
            }
            cluster = volume.follow(cluster, step)?;
            at = at.checked_add(u64::try_from(most).ok()?)?;
        }
        self.device.part(volume.cluster(place.cluster)?.offset, place.bytes).ok()
    }

    /// Where an opened file begins.
    pub fn place_of(&self, file: &ReadOnly) -> Option<Place> {
        let offset = file_map::first_byte(file.as_fd()).ok()??;
        Some(Place { cluster: self.volume.as_ref()?.cluster_at(offset)?, bytes: file.bytes() })
    }
}

/// What a mount that failed says of `label`: `kernel-lacks` without vfat, `io` where the disk cannot be read, `file-system` for what is not a
/// vfat that the kernel mounts.
pub fn refusal(label: &str, error: &mounts::Error) -> Failure {
    let reason = if error.is_unknown_file_system() {
        Reason::KernelLacks
    } else if error.is_unreadable() {
        Reason::Io
    } else {
        Reason::FileSystem
    };
    Failure::new(reason, label, error)
}

/// What the boot sector says.
fn volume(device: &ReadOnly, sector_size: u32) -> Option<vfat::Volume> {
    // Nearly always that of the volume too: then what is read here is kept for a mount.
    device.set_block_size(u16::try_from(sector_size).ok()?);
    // Boot sector and FSInfo.
    device.read_ahead(0, u64::from(sector_size).saturating_mul(2));
    let mut sector = [0_u8; vfat::BOOT_SECTOR];
    device.read_at(&mut sector, 0).ok()?;
    vfat::parse(&sector, device.bytes()).ok()
}
