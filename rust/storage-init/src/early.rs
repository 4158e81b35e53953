// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 1: the kernel's own file systems.

use core::ffi::CStr;

use boot_record::reason::Reason;
use kernel_edge::mounts::{self, Access, Error};
use rustix::fs::Mode;

use crate::failure::Failure;

/// A file system that the kernel makes by itself.
pub struct KernelFileSystem {
    /// Its type, which is also what it is called where a source is asked for.
    pub kind: &'static str,
    /// Where it is mounted, here and in the new root.
    pub path: &'static str,
    options: Option<&'static CStr>,
    access: Access,
}

/// What is mounted, in this order; `hand_over` moves it to the new root.
pub const KERNEL_FILE_SYSTEMS: [KernelFileSystem; 4] = [
    KernelFileSystem { kind: "devtmpfs", path: "/dev", options: None, access: Access::Devices },
    KernelFileSystem { kind: "proc", path: "/proc", options: None, access: Access::Kernel },
    KernelFileSystem { kind: "sysfs", path: "/sys", options: None, access: Access::Kernel },
    KernelFileSystem { kind: "tmpfs", path: "/run", options: Some(c"mode=0755"), access: Access::ReadWrite },
];

/// Mounts devtmpfs, proc, sysfs and the tmpfs of /run, making the directories where the initramfs has none, and sees to
/// the standard descriptors.
///
/// # Errors
/// `kernel-lacks` with the name of the file system, `io` for what the kernel did not mount.
pub fn prepare() -> Result<(), Failure> {
    for KernelFileSystem { kind, path, options, access } in KERNEL_FILE_SYSTEMS {
        let failed = |error: Error| {
            let reason = if error.is_unknown_file_system() { Reason::KernelLacks } else { Reason::Io };
            Failure::new(reason, kind, error)
        };
        // It is there, or the mount says that it is not.
        let _ = rustix::fs::mkdir(path, Mode::from_raw_mode(0o755));
        mounts::mount_at(kind, path, options, access).map_err(failed)?;
    }
    kernel_edge::stdio::fill_standard_descriptors();
    kernel_edge::power::ignore_ctrl_alt_del();
    Ok(())
}
