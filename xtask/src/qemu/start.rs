// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine starts with: a kernel that QEMU puts into its memory, or firmware that looks for one.

use std::path::Path;

use anyhow::Result;

use super::firmware::Firmware;

/// What a machine starts with.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// QEMU puts everything into memory, as a boot loader that checks nothing.
    Kernel {
        /// Kernel image.
        image: &'a Path,
        /// The mini-initramfs, or another one; `None`: the kernel mounts the root itself.
        initramfs: Option<&'a Path>,
        /// The kernel's console: [`super::SERIAL`], or `null` for none.
        console: &'a str,
        /// Words after `console=... panic=-1`.
        command_line: &'a str,
    },
    /// UEFI, which starts `/EFI/BOOT/BOOTAA64.EFI` of the first disk that has one, if it is signed.
    Firmware(&'a Firmware),
}

impl<'a> Start<'a> {
    /// The files, for the sandbox to show.
    pub(super) fn paths(&self) -> Vec<&'a Path> {
        match *self {
            Self::Kernel { image, initramfs, .. } => [image].into_iter().chain(initramfs).collect(),
            Self::Firmware(firmware) => vec![firmware.variables()],
        }
    }

    /// QEMU's arguments.
    pub(super) fn arguments(&self) -> Result<Vec<String>> {
        match *self {
            Self::Kernel { image, initramfs, console, command_line } => {
                let mut arguments = vec!["-kernel".to_owned(), image.display().to_string()];
                if let Some(initramfs) = initramfs {
                    arguments.extend(["-initrd".to_owned(), initramfs.display().to_string()]);
                }
                let words = format!("console={console} panic=-1 {command_line}");
                arguments.extend(["-append".to_owned(), words.trim_end().to_owned()]);
                Ok(arguments)
            }
            Self::Firmware(firmware) => firmware.arguments(),
        }
    }
}
