// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 10: [`MountedRoot`] -> exec of init.

use std::ffi::CString;

use boot_record::boot_json::BootRecord;
use boot_record::event::Event;
use boot_record::modules::List;
use boot_record::reason::Reason;
use kernel_edge::{Errno, file, mounts, process};
use rustix::fs::Mode;

use crate::activate::MountedRoot;
use crate::config::Settings;
use crate::early::{KERNEL_FILE_SYSTEMS, KernelFileSystem};
use crate::failure::{Failure, text};
use crate::journal::{Journal, write_log};
use crate::modules::path_of;

/// Where the root hangs until it is moved to `/`.
const SYSROOT: &str = "/sysroot";
/// The folder that the booted system finds our record in.
const RECORD_FOLDER: &str = "/run/initoverlayfs";
/// The record.
const RECORD: &str = "/run/initoverlayfs/boot.json";
/// The log of all events, for `bootlog`.
const LOG: &str = "/run/initoverlayfs/boot.defmt";

/// Writes boot.json and the log, leaves the devices to the mount that uses them, frees the initramfs, moves to the new root and
/// executes its init with no arguments and the kernel's own environment. Does not come back unless it failed.
///
/// # Errors
/// `io` with the step that failed. The root may be half moved by then: there is nothing to go back to.
pub fn hand_over(
    mounted: MountedRoot,
    settings: &Settings,
    modules: &List,
    record: &BootRecord,
    journal: &mut Journal,
) -> Failure {
    let label = mounted.device.facts().label.clone();
    match prepare(mounted, modules, record) {
        Ok(()) => {
            journal.log(&Event::HandOver {
                init: &settings.config.init,
                device: &record.device,
                version: &record.version,
                signer: &record.signer.common_name,
                development: record.signer.development,
            });
            // A system without the log boots all the same.
            let _ = write_log(LOG);
            journal.close();
            let init = settings.config.init.as_str();
            let errno = CString::new(init)
                .map_or(Errno::INVAL, |program| process::execute(&program, &[c"HOME=/", c"TERM=linux"]));
            let reason = if errno == Errno::IO { Reason::Corrupt } else { Reason::InitMissing };
            Failure::new(reason, &label, format_args!("exec {init}: {errno}"))
        }
        Err(detail) => Failure::new(Reason::Io, &label, detail),
    }
}

fn prepare(mounted: MountedRoot, modules: &List, record: &BootRecord) -> Result<(), String> {
    write_record(record).map_err(|error| format!("{RECORD}: {error}"))?;

    let MountedRoot { root, mut device, .. } = mounted;
    let _ = rustix::fs::mkdir(SYSROOT, Mode::from_raw_mode(0o755));
    root.attach(SYSROOT).map_err(|error| error.to_string())?;
    device.remove_after_use().map_err(|error| error.to_string())?;
    for KernelFileSystem { path, .. } in KERNEL_FILE_SYSTEMS {
        mounts::move_mount(path, &text::<32>(format_args!("{SYSROOT}{path}"))).map_err(|error| error.to_string())?;
    }
    free_initramfs(modules);
    mounts::switch_root(SYSROOT).map_err(|error| error.to_string())
}

fn write_record(record: &BootRecord) -> Result<(), Errno> {
    let json = record.to_json().map_err(|_| Errno::INVAL)?;
    rustix::fs::mkdir(RECORD_FOLDER, Mode::from_raw_mode(0o755))?;
    file::write_all(file::create(RECORD)?, &json)
}

/// Unlinks what is large in the mini-initramfs, so that its memory is free once init runs. Only names that we know, and
/// only where the root is the initramfs: never the files of a disk.
fn free_initramfs(modules: &List) {
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let in_memory = rustix::fs::statfs("/").is_ok_and(|stat| {
        let magic = u64::try_from(stat.f_type).unwrap_or_default();
        magic == RAMFS_MAGIC || magic == TMPFS_MAGIC
    });
    if !in_memory {
        return;
    }
    for module in modules {
        let _ = rustix::fs::unlink(&*path_of(&module.name));
    }
    let _ = rustix::fs::unlink("/init");
}
