// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that outlives the machine, as a board's outlives a reset: QEMU's RAM in a file, and a devicetree that says which part
//! of it the kernel keeps its pstore in (tests/boot/ramoops.dtso).
//!
//! QEMU writes kernel, initramfs and devicetree into the memory at every start; what lies elsewhere in it stays.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use boot_formats::{ByteRange, bytes};

use super::{MACHINE, MEMORY};
use crate::call;
use crate::repository;
use crate::tools::Tools;

const OVERLAY: &str = "tests/boot/ramoops.dtso";
const OVERLAY_TPM: &str = "tests/boot/tpm.dtso";
/// Where QEMU's `virt` has its memory, as the guest counts.
const BASE: u64 = 0x4000_0000;
/// Where the overlay has what storage-init writes: behind the kernel's own last words.
const LOG: ByteRange = ByteRange { offset: 0x7f01_0000 - BASE, len: 0x1_0000 };
/// `struct persistent_ram_buffer` of fs/pstore/ram_core.c: signature, first byte, number of bytes; 32 bits each.
const HEADER: usize = 12;
const SIGNATURE: &[u8; 4] = b"DBGC";

/// The memory, in a folder of the cache. It takes up what the guest touched of it.
pub struct KeptMemory {
    ram: PathBuf,
    devicetree: PathBuf,
}

impl KeptMemory {
    /// Makes the devicetree of a machine with so many processors. The memory is made, empty, by the first boot.
    ///
    /// # Errors
    /// QEMU, dtc or fdtoverlay fail.
    pub fn make(tools: &Tools, folder: &Path) -> Result<Self> {
        Self::with_overlays(tools, folder, &[OVERLAY])
    }

    /// As [`KeptMemory::make`], of a machine with a TPM.
    ///
    /// # Errors
    /// As [`KeptMemory::make`].
    pub fn make_with_tpm(tools: &Tools, folder: &Path) -> Result<Self> {
        Self::with_overlays(tools, folder, &[OVERLAY, OVERLAY_TPM])
    }

    fn with_overlays(tools: &Tools, folder: &Path, overlays: &[&str]) -> Result<Self> {
        let [machine, devicetree] = ["machine.dtb", "kept.dtb"].map(|name| folder.join(name));
        let mut qemu = tools.command_in(folder, "qemu-system-aarch64", &[])?;
        qemu.args(["-M", &format!("{},dumpdtb={}", MACHINE[1], machine.display())]).args(&MACHINE[2..]);
        qemu.args(["-smp", "2", "-display", "none"]);
        call::run("qemu-system-aarch64", &mut qemu)?;
        let mut apply = tools.command_in(folder, "fdtoverlay", &[])?;
        apply.arg("-i").arg(&machine).arg("-o").arg(&devicetree);
        for (number, overlay) in overlays.iter().enumerate() {
            let source = repository::root().join(overlay);
            let compiled = folder.join(format!("overlay-{number}.dtbo"));
            let mut dtc = tools.command_in(folder, "dtc", &[&source])?;
            // -@ is what makes it an overlay.
            dtc.args(["-@", "-I", "dts", "-O", "dtb", "-o"]).arg(&compiled).arg(&source);
            call::run("dtc", &mut dtc)?;
            apply.arg(&compiled);
        }
        call::run("fdtoverlay", &mut apply)?;
        Ok(Self { ram: folder.join("ram"), devicetree })
    }

    /// The log that a boot left in it, as the next boot would find it in /sys/fs/pstore; `None` where none did.
    ///
    /// # Errors
    /// The file cannot be read, or what lies there is not what the kernel writes.
    pub fn log(&self) -> Result<Option<Vec<u8>>> {
        let ram = File::open(&self.ram).with_context(|| format!("cannot open {}", self.ram.display()))?;
        let mut zone = vec![0; usize::try_from(LOG.len)?];
        ram.read_exact_at(&mut zone, LOG.offset)?;
        unwrapped(&zone)
    }

    /// Removes the memory: a gigabyte, as far as the guest touched it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(self) -> Result<()> {
        std::fs::remove_file(&self.ram).with_context(|| format!("cannot remove {}", self.ram.display()))
    }

    /// The files, for the sandbox to show.
    pub(super) fn paths(&self) -> [&Path; 2] {
        let folder = self.ram.parent().unwrap_or(&self.ram);
        [folder, &self.devicetree]
    }

    /// QEMU's arguments.
    pub(super) fn arguments(&self) -> Result<Vec<String>> {
        let ram = super::escaped(&self.ram)?;
        Ok(vec![
            "-object".into(),
            format!("memory-backend-file,id=ram,size={MEMORY},share=on,mem-path={ram}"),
            "-machine".into(),
            "memory-backend=ram".into(),
            "-dtb".into(),
            self.devicetree.display().to_string(),
        ])
    }
}

/// The bytes of a ring of pstore's, oldest first.
fn unwrapped(zone: &[u8]) -> Result<Option<Vec<u8>>> {
    if !zone.starts_with(SIGNATURE) {
        return Ok(None);
    }
    let number = |at| Ok::<_, anyhow::Error>(usize::try_from(bytes::le_u32(zone, at)?)?);
    let (start, size) = (number(4)?, number(8)?);
    let data = bytes::slice(zone, HEADER, size)?;
    let (newest, oldest) = (bytes::slice(data, 0, start)?, data.get(start..).unwrap_or_default());
    Ok(Some([oldest, newest].concat()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn zone(start: u32, size: u32, data: &[u8]) -> Vec<u8> {
        [SIGNATURE, &start.to_le_bytes()[..], &size.to_le_bytes(), data].concat()
    }

    #[test]
    fn a_ring_is_read_from_its_oldest_byte() {
        assert_eq!(unwrapped(&[0; 64]).unwrap(), None);
        assert_eq!(unwrapped(&zone(3, 3, b"abc\0\0")).unwrap().unwrap(), b"abc");
        // Full, and written on from its beginning.
        assert_eq!(unwrapped(&zone(2, 5, b"deabc")).unwrap().unwrap(), b"abcde");
        for bad in [zone(0, 6, b"abcde"), zone(4, 3, b"abcde")] {
            assert!(unwrapped(&bad).unwrap_err().to_string().contains("out of range"));
        }
    }
}
