// SPDX-License-Identifier: MIT OR Apache-2.0
//! An EFI system or XBOOTLDR partition: the images on it, and where their bytes lie.
//!
//! * Nobody signed it. What is plain on it is read here: a boot sector, a folder, the links of a file that is one run of clusters. The
//!   kernel's vfat, which would have to mount it for the same, takes longer, and is more of the kernel for a stranger's bytes.
//! * What is not plain is left to vfat: a file in pieces, a folder of many or of strange names, FAT12. The partition is then mounted where no
//!   path leads to, read-only, without devices and programs.
//! * vfat reads its allocation table and its folders sector by sector, each when it comes to it: half a hundred requests for a
//!   file of 30 MiB, one after the other. What is read here it has at hand, in the cache that it looks into first.

use core::cell::OnceCell;
use std::os::fd::AsFd;

use boot_formats::ByteRange;
use boot_formats::vfat;
use boot_record::config::{Config, EspFreeCount};
use boot_record::reason::Reason;
use kernel_edge::block::{self, ReadOnly};
use kernel_edge::mounts::{self, Access, Mount, Parameter};
use kernel_edge::{Errno, file_map};

use crate::failure::{DeviceLabel, Failure};

/// The folder of DDIs. The kernel's vfat ends it after 2 MiB (FAT_MAX_DIR_SIZE), some twenty thousand names: reading it
/// needs no bound of its own.
pub const FOLDER: &str = "initoverlayfs";
/// Most bytes of the allocation table that are read for a file: in clusters of 4 KiB all that it can have, 4 GiB. vfat would read as much,
/// sector by sector, on its way to the hash tree at the end.
const MOST_LINKS: u64 = 4 << 20;
/// Bytes of it that are read in one request; whole steps.
const LINKS_AHEAD: u64 = 512 * 1024;
const _: () = assert!(LINKS_AHEAD.is_multiple_of(STEP as u64));
/// Bytes of a page, the least that is read of a device in any case.
const PAGE: usize = 4096;
/// Bytes that are read from the beginning of the root folder on.
const FOLDERS: u64 = 16 * 1024;
/// Bytes that are looked at in one step.
const STEP: usize = 8 * 1024;

/// An ESP.
#[derive(Debug)]
pub struct Esp {
    /// Such as `vda1`.
    name: DeviceLabel,
    node: DeviceLabel,
    device: ReadOnly,
    sector_size: u32,
    /// Where its parts lie, if that can be told.
    volume: Option<vfat::Volume>,
    /// The first cluster of [`FOLDER`], if it is plain which that is.
    folder: Option<ByteRange>,
    /// The files in it, if it is plain which they are.
    plain: Option<Vec<vfat::Entry>>,
    free_count: EspFreeCount,
    mount: OnceCell<Mount>,
}

/// The bytes of a file.
#[derive(Debug)]
pub struct File {
    /// Of the partition that they are a run of, or of the file.
    pub bytes: ReadOnly,
    /// Whether they are such a run.
    pub is_run: bool,
}

impl Esp {
    /// The partition of this name with this node, which is open already, on a disk with sectors of `sector_size`.
    pub fn new(name: DeviceLabel, node: DeviceLabel, device: ReadOnly, sector_size: u32, config: &Config) -> Self {
        let volume = volume(&device, sector_size);
        // The kernel mounts no volume of smaller sectors than the disk's, and of larger ones never a part at a time.
        let usual = volume.as_ref().filter(|volume| u32::from(volume.sector_bytes()) == sector_size);
        let folder = usual.and_then(|volume| folder(&device, volume));
        let plain = folder.and_then(|folder| plain_files(&device, folder));
        Self {
            name,
            node,
            device,
            sector_size,
            volume,
            folder,
            plain,
            free_count: config.esp_free_count,
            mount: OnceCell::new(),
        }
    }

    /// The partition's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of a sector of its disk.
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Its node in /dev.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The names of the files in [`FOLDER`] that may be images, if it is plain which they are; else [`mounted`](Self::mounted) knows.
    pub fn plain_names(&self) -> Option<impl Iterator<Item = &str>> {
        self.plain.as_ref().map(|files| files.iter().map(|file| file.name.as_str()))
    }

    /// Opens the file of this path, `FOLDER/NAME`; `None` where there is none. Where vfat need not be asked, it is not: what it has not
    /// read, it reads cluster by cluster.
    ///
    /// # Errors
    /// As [`mounted`](Self::mounted), `io` for what cannot be opened.
    pub fn open(&self, path: &str) -> Result<Option<File>, Failure> {
        if let Some(files) = &self.plain {
            let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
            let Some(file) = files.iter().find(|file| file.name.eq_ignore_ascii_case(name)) else { return Ok(None) };
            if let Some(bytes) = self.run(file.first, file.bytes.into()) {
                return Ok(Some(File { bytes, is_run: true }));
            }
        }
        let Some(bytes) = self.open_mounted(path)? else { return Ok(None) };
        let run = if self.plain.is_none() { self.run_of(&bytes) } else { None };
        Ok(Some(match run {
            Some(bytes) => File { bytes, is_run: true },
            None => File { bytes, is_run: false },
        }))
    }

    /// As [`open`](Self::open), the file of the mounted file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_mounted(&self, path: &str) -> Result<Option<ReadOnly>, Failure> {
        let failed = |error| Failure::new(Reason::Io, &self.name, format_args!("/{path}: {error}"));
        match self.mounted()?.open(path) {
            Ok(fd) => ReadOnly::from_fd(fd).map(Some).map_err(failed),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(block::Error { call: block::Call::Open, errno })),
        }
    }

    /// Whether these bytes of the partition are all of the file that the file system has.
    pub fn is_all_of(&self, run: &ReadOnly, file: &ReadOnly) -> bool {
        run.bytes() == file.bytes() && file_map::first_byte(file.as_fd()).is_ok_and(|first| first == Some(run.first()))
    }

    /// The file system, mounted by the kernel: the first time it is asked for.
    ///
    /// # Errors
    /// `kernel-lacks` without vfat, `io` where the disk cannot be read, `file-system` for what is not a vfat that the kernel mounts.
    pub fn mounted(&self) -> Result<&Mount, Failure> {
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
            // The table's beginning, and all of our folder, which is looked through; boot sector and root folder were read before.
            self.device.read_ahead(volume.table().offset, PAGE as u64);
            self.folder.into_iter().for_each(|folder| self.device.read_ahead(folder.offset, folder.len));
        }
        let mount = Mount::new("vfat", &self.node, options, Access::ReadOnlyData);
        let mount = mount.map_err(|error| self.refusal(&error))?;
        Ok(self.mount.get_or_init(|| mount))
    }

    fn refusal(&self, error: &mounts::Error) -> Failure {
        let reason = if error.is_unknown_file_system() {
            Reason::KernelLacks
        } else if error.is_unreadable() {
            Reason::Io
        } else {
            Reason::FileSystem
        };
        Failure::new(reason, &self.name, error)
    }

    /// Lets others mount it read-write, where it is mounted. One that is write-protected cannot be written by anyone.
    pub fn make_writable(&self) {
        if let Some(mount) = self.mount.get() {
            let _ = mount.make_superblock_writable();
        }
    }

    /// The part of the partition that an opened file is, if its bytes are one run.
    fn run_of(&self, file: &ReadOnly) -> Option<ReadOnly> {
        let offset = file_map::first_byte(file.as_fd()).ok()??;
        self.run(self.volume.as_ref()?.cluster_at(offset)?, file.bytes())
    }

    /// The part of the partition that holds the file of so many `bytes` from cluster `first` on, if they are one run. Reads the part of the
    /// allocation table that says so, which vfat then has at hand.
    ///
    /// That nobody else gets these bytes while the file exists is for the caller to see to; what is in them, too.
    #[inline(never)]
    fn run(&self, first: u32, bytes: u64) -> Option<ReadOnly> {
        let volume = self.volume.as_ref()?;
        let links = volume.links(first, bytes)?;
        if links.len > MOST_LINKS {
            return None;
        }
        let mut cluster = first;
        let mut at = links.offset;
        let end = links.end()?;
        let mut step = [0_u8; STEP];
        while at < end {
            let left = end.checked_sub(at)?;
            // Not all at once: a file in pieces is soon known to be one.
            if at.checked_sub(links.offset)?.is_multiple_of(LINKS_AHEAD) {
                self.device.read_ahead(at, left.min(LINKS_AHEAD));
            }
            let most = usize::try_from(left).map_or(STEP, |left| left.min(STEP));
            let step = step.get_mut(..most)?;
            // Entries are 2 or 4 bytes and so are the offsets: whatever is read is whole entries, but for a device that ends.
            if self.device.read_at(step, at).ok()? != most {
                return None;
            }
            cluster = volume.follow(cluster, step)?;
            at = at.checked_add(u64::try_from(most).ok()?)?;
        }
        self.device.part(volume.cluster(first)?.offset, bytes).ok()
    }
}

/// The first cluster of [`FOLDER`], if it is plain which that is: see the head of this file.
#[inline(never)]
fn folder(device: &ReadOnly, volume: &vfat::Volume) -> Option<ByteRange> {
    let root = volume.root();
    // Folders that were made first lie right behind it.
    device.read_ahead(root.offset, root.len.max(FOLDERS));
    let mut page = [0_u8; PAGE];
    let mut named = vfat::entries(first_entries(device, root, &mut page)?)
        .filter(|entry| !entry.as_ref().is_ok_and(|entry| !entry.name.eq_ignore_ascii_case(FOLDER)));
    let folder = named.next()?.ok().filter(|entry| entry.is_folder)?;
    volume.cluster(folder.first)
}

/// The files in a folder that begins in this cluster, if it is plain which they are.
#[inline(never)]
fn plain_files(device: &ReadOnly, folder: ByteRange) -> Option<Vec<vfat::Entry>> {
    let mut page = [0_u8; PAGE];
    vfat::entries(first_entries(device, folder, &mut page)?)
        .filter(|entry| !entry.as_ref().is_ok_and(|entry| entry.is_folder))
        .collect::<Result<_, _>>()
        .ok()
}

/// The first entries of a folder that begins in `cluster`.
fn first_entries<'a>(device: &ReadOnly, cluster: ByteRange, page: &'a mut [u8; PAGE]) -> Option<&'a [u8]> {
    let most = usize::try_from(cluster.len).map_or(PAGE, |len| len.min(PAGE));
    let page = page.get_mut(..most)?;
    let len = device.read_at(page, cluster.offset).ok()?;
    page.get(..len)
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
