// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source `esp-file`: `/initoverlayfs/NAME_VERSION[+LEFT[-DONE]].raw` on an EFI system or XBOOTLDR partition.
//!
//! The file system is not signed: what is read from it is verified like the bytes of any disk.

use std::rc::Rc;

use boot_formats::file_name;
use boot_record::config::Config;
use boot_record::reason::Reason;
use rustix::fs::{Dir, FileType};

use super::Node;
use crate::esp::{Esp, FOLDER};
use crate::failure::{Failure, text};
use crate::select::{Candidate, Candidates, Origin};

/// Longest file name, in bytes: what fits a label beside the partition and the folder.
const NAME: usize = 128;

/// Adds the DDIs in the folder of one partition.
///
/// # Errors
/// As [`Esp::mounted`], `io` where the folder cannot be read. A missing folder is no error: the partition has no candidates.
pub fn search(
    node: Node,
    sector_size: u32,
    config: &Config,
    rank: usize,
    candidates: &mut Candidates,
) -> Result<(), Failure> {
    let Node { name, path, device } = node;
    let esp = Rc::new(Esp::new(name, path, device, sector_size, config));
    let mut consider = |name: &str| {
        let Ok(parsed) = file_name::parse(name) else { return };
        // vfat knows no case, and some who write it know capitals only. IMAGE_ID in the signed os-release is compared as
        // it stands.
        if !parsed.name.eq_ignore_ascii_case(&config.image_id) {
            return;
        }
        let (Ok(version), true) = (heapless::String::try_from(parsed.version), name.len() <= NAME) else { return };
        let path = text(format_args!("{FOLDER}/{name}"));
        candidates.insert(Candidate {
            origin: Origin::EspFile { esp: Rc::clone(&esp), path },
            folder: Some(text(esp.name())),
            version,
            tries: parsed.tries,
            label: text(format_args!("{}:/{FOLDER}/{name}", esp.name())),
            rank,
        });
    };
    if let Some(names) = esp.plain_names() {
        names.for_each(consider);
        return Ok(());
    }
    let unreadable = |errno| Failure::new(Reason::Io, esp.name(), format_args!("/{FOLDER}: {errno}"));
    let Some(folder) = esp.mounted()?.open_directory(FOLDER).map_err(unreadable)? else { return Ok(()) };
    for entry in Dir::new(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_type() == FileType::RegularFile
            && let Ok(name) = entry.file_name().to_str()
        {
            consider(name);
        }
    }
    Ok(())
}
