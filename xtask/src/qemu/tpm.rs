// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's TPM 2.0: swtpm, one process for each boot, with a state that outlives it; and between it and QEMU somebody who
//! counts, records and spoils what is said ([`bus`], [`script`], [`traffic`]).

mod bus;
pub mod script;
pub mod traffic;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sockets::Sockets;
use crate::tools::Tools;
pub(super) use bus::Bus;
use script::Rule;

/// The socket that QEMU connects to, in the boot's folder.
pub(super) const SOCKET: &str = "tpm.bus";
/// swtpm's own.
const CONTROL: &str = "swtpm.control";
/// How long swtpm may take to start.
const START: Duration = Duration::from_secs(20);

/// A TPM: what it keeps when there is no power.
#[derive(Clone, Debug)]
pub struct Chip {
    state: PathBuf,
}

impl Chip {
    /// A new one, in a folder of its own below `folder`, which lies in the cache. It has banks of SHA-1 and SHA-256, and no storage
    /// root key, as a TPM that nobody has used.
    ///
    /// # Errors
    /// swtpm_setup fails.
    pub fn make(tools: &Tools, folder: &Path, name: &str) -> Result<Self> {
        let state = folder.join(name);
        std::fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
        let mut setup = tools.command_in(folder, "swtpm_setup", &[&state])?;
        // No endorsement key's certificate: nobody here attests anything.
        setup.args(["--tpm2", "--pcr-banks", "sha1,sha256", "--overwrite", "--tpmstate"]).arg(&state);
        let output = setup.output().context("cannot run swtpm_setup")?;
        if !output.status.success() {
            bail!("swtpm_setup: {}", String::from_utf8_lossy(&output.stdout).trim());
        }
        Ok(Self { state })
    }

    /// One whose state lies there already.
    pub fn in_folder(state: PathBuf) -> Self {
        Self { state }
    }

    /// Copies the state: the same TPM, as it is now, for another machine.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn copy_to(&self, folder: &Path, name: &str) -> Result<Self> {
        let state = folder.join(name);
        std::fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
        for entry in std::fs::read_dir(&self.state).with_context(|| format!("cannot list {}", self.state.display()))? {
            let entry = entry?;
            std::fs::copy(entry.path(), state.join(entry.file_name()))
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
        Ok(Self { state })
    }

    /// Starts swtpm, and connects to its control channel.
    fn power_on(&self, tools: &Tools, folder: &Path, sockets: &Sockets) -> Result<(PoweredOn, UnixStream)> {
        sockets.remove(CONTROL);
        let mut swtpm = tools.command_in(folder, "swtpm", &[&self.state])?;
        swtpm.args(["socket", "--tpm2", "--terminate", "--ctrl", &format!("type=unixio,path={CONTROL}")]);
        swtpm.args(["--log", "file=swtpm.log", "--tpmstate"]).arg(format!("dir={}", self.state.display()));
        swtpm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = swtpm.spawn().context("cannot run swtpm")?;
        let started = Instant::now();
        loop {
            if let Ok(control) = sockets.connect(CONTROL) {
                return Ok((PoweredOn(process), control));
            }
            if let Some(status) = process.try_wait()? {
                let log = std::fs::read_to_string(folder.join("swtpm.log")).unwrap_or_default();
                bail!("swtpm: {status}: {}", log.trim());
            }
            if started.elapsed() > START {
                process.kill()?;
                process.wait()?;
                bail!("swtpm made no socket");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A TPM on a machine's bus.
#[derive(Clone, Copy, Debug)]
pub struct Attached<'a> {
    /// The TPM.
    pub chip: &'a Chip,
    /// What goes wrong on the bus.
    pub rules: &'a [Rule],
}

impl<'a> Attached<'a> {
    /// Starts it for one boot.
    pub(super) fn power_on(&self, tools: &Tools, folder: &Path, sockets: &Sockets) -> Result<(PoweredOn, Bus<'a>)> {
        let (chip, control) = self.chip.power_on(tools, folder, sockets)?;
        Ok((chip, Bus::new(self.rules, sockets.listen(SOCKET)?, control)))
    }
}

/// swtpm while it runs.
pub(super) struct PoweredOn(Child);

impl PoweredOn {
    /// Waits until its state is written: it ends when its control channel does.
    pub(super) fn power_off(mut self) -> Result<()> {
        super::wait_or_kill(&mut self.0).map(drop)
    }
}

/// QEMU's arguments.
pub(super) fn arguments() -> [String; 6] {
    [
        "-chardev".into(),
        format!("socket,id=tpm,path={SOCKET}"),
        "-tpmdev".into(),
        "emulator,id=tpm0,chardev=tpm".into(),
        "-device".into(),
        "tpm-tis-device,tpmdev=tpm0".into(),
    ]
}
