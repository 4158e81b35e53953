// SPDX-License-Identifier: MIT OR Apache-2.0
//! An EFI system or XBOOTLDR partition: its vfat, mounted where no path leads to, and where that keeps things.
//!
//! vfat reads its allocation table and its folders sector by sector, each when it comes to it: half a hundred requests for a
//! file of 30 MiB, one after the other. What it is going to need is read here in one, into the cache that it looks into first.
//! Nothing depends on it: a volume that is not understood is left to vfat.

use std::os::fd::AsFd;

use boot_formats::vfat;
use boot_record::config::{Config, EspFreeCount};
use kernel_edge::block::ReadOnly;
use kernel_edge::file_map;
use kernel_edge::mounts::{self, Access, Mount, Parameter};

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

/// A mounted ESP.
#[derive(Debug)]
pub struct Esp {
    mount: Mount,
    partition: Option<(ReadOnly, vfat::Volume)>,
}

impl Esp {
    /// Mounts the partition with this node, which is open already, on a disk with sectors of `sector_size`, read-only, without devices and programs.
    ///
    /// # Errors
    /// As [`Mount::new`].
    pub fn mount(node: &str, device: ReadOnly, sector_size: u32, config: &Config) -> Result<Self, mounts::Error> {
        let volume = volume(&device, sector_size);
        let partition = volume.map(|volume| (device, volume));
        // The system's own mount shares this superblock while it lasts, whatever options it asks for: none but root reads.
        let root_only = Parameter::Text("umask", "0077");
        // A count that the volume keeps saves the kernel from reading the whole table to count anew, as it does where a loop device
        // is set up over the file (it asks the file system for its block size by statfs(2)): half a megabyte on an ESP of 512 MiB.
        // Only where the configuration says so: a number that is too low all the same, from a writer that keeps neither it nor the
        // mark of a clean volume, has the kernel refuse to write (ENOSPC) to the system that shares this superblock. In a
        // transition to another root none does: it is gone by then.
        let trusts = config.esp_free_count == EspFreeCount::Trust
            && partition.as_ref().is_some_and(|(_, volume)| volume.keeps_free_count());
        let options: &[Parameter<'_>] = if trusts { &[root_only, Parameter::Flag("usefree")] } else { &[root_only] };
        if let Some((device, volume)) = &partition
            && u32::from(volume.sector_bytes()) == sector_size
        {
            read_ahead_of_mount(device, volume);
        }
        let mount = Mount::new("vfat", node, options, Access::ReadOnlyData)?;
        let esp = Self { mount, partition };
        esp.read_folder_ahead();
        Ok(esp)
    }

    /// The file system.
    pub fn files(&self) -> &Mount {
        &self.mount
    }

    /// The part of the partition that holds the file, if its bytes are one run. Reads the part of the allocation table that says
    /// so, which vfat then has at hand.
    ///
    /// That nobody else gets these bytes while the file exists is for the caller to see to; what is in them, too.
    #[inline(never)]
    pub fn run_of(&self, file: &ReadOnly) -> Option<ReadOnly> {
        let (device, volume) = self.partition.as_ref()?;
        let offset = file_map::first_byte(file.as_fd()).ok()??;
        let first = volume.cluster_at(offset)?;
        let links = volume.links(first, file.bytes())?;
        if links.len > MOST_LINKS {
            return None;
        }
        device.read_ahead(links.offset, links.len);
        let mut cluster = first;
        let mut at = links.offset;
        let end = links.end()?;
        let mut step = [0_u8; STEP];
        while at < end {
            let most = usize::try_from(end.checked_sub(at)?).map_or(STEP, |left| left.min(STEP));
            let step = step.get_mut(..most)?;
            // Entries are 2 or 4 bytes and so are the offsets: whatever is read is whole entries, but for a device that ends.
            if device.read_at(step, at).ok()? != most {
                return None;
            }
            cluster = volume.follow(cluster, step)?;
            at = at.checked_add(u64::try_from(most).ok()?)?;
        }
        device.part(offset, file.bytes()).ok()
    }

    /// The first cluster of [`FOLDER`].
    fn read_folder_ahead(&self) -> Option<()> {
        const NAME: &[u8; 13] = b"initoverlayfs";
        const _: () = assert!(NAME.len() == FOLDER.len());
        let (device, volume) = self.partition.as_ref()?;
        let root = volume.root();
        let mut entries = [0_u8; PAGE];
        let most = usize::try_from(root.len).map_or(PAGE, |len| len.min(PAGE));
        let entries = entries.get_mut(..most)?;
        device.read_at(entries, root.offset).ok()?;
        let folder = volume.cluster(vfat::find_folder(entries, NAME)?)?;
        device.read_ahead(folder.offset, folder.len);
        Some(())
    }
}

/// What the boot sector says.
fn volume(device: &ReadOnly, sector_size: u32) -> Option<vfat::Volume> {
    // Nearly always that of the volume too: then what is read here is kept for the mount.
    device.set_block_size(u16::try_from(sector_size).ok()?);
    // Boot sector and FSInfo.
    device.read_ahead(0, u64::from(sector_size).saturating_mul(2));
    let mut sector = [0_u8; vfat::BOOT_SECTOR];
    device.read_at(&mut sector, 0).ok()?;
    vfat::parse(&sector, device.bytes()).ok()
}

/// What the kernel reads to mount a volume, behind boot sector and FSInfo: the table's beginning, and all of the root folder, whose
/// folders it counts. Folders that were made first lie behind that.
fn read_ahead_of_mount(device: &ReadOnly, volume: &vfat::Volume) {
    device.read_ahead(volume.table().offset, PAGE as u64);
    let root = volume.root();
    device.read_ahead(root.offset, root.len.max(FOLDERS));
}
