// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that outlives the machine, as a board's outlives a reset: QEMU's RAM in a file, and a devicetree that says which part
//! of it the kernel keeps its pstore in (tests/boot/ramoops.dtso).
//!
//! QEMU writes kernel, initramfs and devicetree into the memory at every start; what lies elsewhere in it stays.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{MACHINE, MEMORY};
use crate::repository;
use crate::tools::Tools;

const OVERLAY: &str = "tests/boot/ramoops.dtso";

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
        let [machine, overlay, devicetree] = ["machine.dtb", "ramoops.dtbo", "kept.dtb"].map(|name| folder.join(name));
        let mut qemu = tools.command_in(folder, "qemu-system-aarch64", &[])?;
        qemu.args(["-M", &format!("{},dumpdtb={}", MACHINE[1], machine.display())]).args(&MACHINE[2..]);
        qemu.args(["-smp", "2", "-display", "none"]);
        run(qemu)?;
        let source = repository::root().join(OVERLAY);
        let mut dtc = tools.command_in(folder, "dtc", &[&source])?;
        // -@ is what makes it an overlay.
        dtc.args(["-@", "-I", "dts", "-O", "dtb", "-o"]).arg(&overlay).arg(&source);
        run(dtc)?;
        let mut apply = tools.command_in(folder, "fdtoverlay", &[])?;
        apply.arg("-i").arg(&machine).arg("-o").arg(&devicetree).arg(&overlay);
        run(apply)?;
        Ok(Self { ram: folder.join("ram"), devicetree })
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

fn run(mut command: Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
