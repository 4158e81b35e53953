// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source `esp-file`: `/initoverlayfs/NAME_VERSION[+LEFT[-DONE]].raw` on an EFI system or XBOOTLDR partition.
//!
//! The file system is not signed. It is mounted where no path leads to, read-only, without devices and programs, and
//! what is read from it is verified like the bytes of any disk.

use std::rc::Rc;

use boot_formats::file_name;
use boot_record::config::{Config, EspFreeCount};
use boot_record::reason::Reason;
use kernel_edge::block::ReadOnly;
use kernel_edge::mounts::{Access, Mount, Parameter};
use rustix::fs::{Dir, FileType};

use super::Node;
use crate::failure::{Failure, text};
use crate::select::{Candidate, Candidates, Origin};

/// The folder of DDIs. The kernel's vfat ends it after 2 MiB (FAT_MAX_DIR_SIZE), some twenty thousand names: reading it
/// needs no bound of its own.
const FOLDER: &str = "initoverlayfs";
/// Longest file name, in bytes: what fits a label beside the partition and the folder.
const NAME: usize = 128;

/// Adds the DDIs in the folder of one partition.
///
/// # Errors
/// `file-system` for what is not a vfat that the kernel mounts, `io` where the disk or the folder cannot be read. A missing
/// folder is no error: the partition has no candidates.
pub fn search(
    node: &Node,
    sector_size: u32,
    config: &Config,
    rank: usize,
    candidates: &mut Candidates,
) -> Result<(), Failure> {
    // The system's own mount shares this superblock while it lasts, whatever options it asks for: none but root reads.
    let root_only = Parameter::Text("umask", "0077");
    let trusts = config.esp_free_count == EspFreeCount::Trust && keeps_count(&node.path);
    let options: &[Parameter<'_>] = if trusts { &[root_only, Parameter::Flag("usefree")] } else { &[root_only] };
    let esp = Mount::new("vfat", &node.path, options, Access::ReadOnlyData).map_err(|error| {
        let reason = if error.is_unknown_file_system() {
            Reason::KernelLacks
        } else if error.is_unreadable() {
            Reason::Io
        } else {
            Reason::FileSystem
        };
        Failure::new(reason, &node.name, error)
    })?;
    let unreadable = |errno| Failure::new(Reason::Io, &node.name, format_args!("/{FOLDER}: {errno}"));
    if !esp.has_directory(FOLDER).map_err(unreadable)? {
        return Ok(());
    }
    let esp = Rc::new(esp);
    let folder = esp.open(FOLDER).map_err(unreadable)?;
    for entry in Dir::new(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if entry.file_type() != FileType::RegularFile {
            continue;
        }
        let Ok(parsed) = file_name::parse(name) else { continue };
        // vfat knows no case, and some who write it know capitals only. IMAGE_ID in the signed os-release is compared as
        // it stands.
        if !parsed.name.eq_ignore_ascii_case(&config.image_id) {
            continue;
        }
        let (Ok(version), true) = (heapless::String::try_from(parsed.version), name.len() <= NAME) else {
            continue;
        };
        candidates.insert(Candidate {
            origin: Origin::EspFile { esp: Rc::clone(&esp), path: text(format_args!("{FOLDER}/{name}")), sector_size },
            folder: Some(node.name.clone()),
            version,
            tries: parsed.tries,
            label: text(format_args!("{}:/{FOLDER}/{name}", node.name)),
            rank,
        });
    }
    Ok(())
}

/// Whether a volume says how many of its clusters are free, and was unmounted cleanly since. Then the kernel need not read
/// the whole allocation table to count them, as it otherwise does when a loop device is set up over a file (it asks the
/// file system for its block size by statfs(2)): half a megabyte on an ESP of 512 MiB.
///
/// FAT32 alone has that number (FSInfo). Only where the configuration says so: a number that is too low all the same, from
/// a writer that keeps neither it nor the mark of a clean volume, has the kernel refuse to write (ENOSPC) to the system that
/// shares this superblock. In a transition to another root none does: it is gone by then.
///
/// See the FAT specification (fatgen103), "FAT32 File System Boot Sector Structure", and fs/fat/inode.c, `fat_read_bpb`.
fn keeps_count(node: &str) -> bool {
    const SECTORS_PER_FAT16: core::ops::Range<usize> = 22..24;
    const STATE: usize = 65;
    const DIRTY: u8 = 1;
    let mut sector = [0_u8; 512];
    let read = ReadOnly::open(node).and_then(|device| device.read_at(&mut sector, 0));
    read.is_ok_and(|len| len == sector.len())
        && sector.get(SECTORS_PER_FAT16) == Some(&[0, 0])
        && sector.get(STATE).is_some_and(|state| state & DIRTY == 0)
}
