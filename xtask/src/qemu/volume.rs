// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted disks of boots: LUKS2, made by cryptsetup in a file, and enrolled by systemd in a guest.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tools::Tools;

/// The passphrase of a volume before a TPM is enrolled. It protects nothing.
pub const PASSPHRASE: &str = "DEVELOPMENT passphrase of the boot tests";
/// Bytes of a volume: cryptsetup's header of 16 MiB, and some data.
const BYTES: u64 = 24 << 20;

/// A disk that is one volume, without a partition table.
#[derive(Clone, Debug)]
pub struct Volume {
    image: PathBuf,
}

impl Volume {
    /// Formats one in `folder`, which lies in the cache, with [`PASSPHRASE`].
    ///
    /// # Errors
    /// cryptsetup fails.
    pub fn make(tools: &Tools, folder: &Path) -> Result<Self> {
        let image = folder.join("volume.img");
        let file = std::fs::File::create(&image).and_then(|file| file.set_len(BYTES));
        file.with_context(|| format!("cannot make {}", image.display()))?;
        let key = folder.join("passphrase");
        std::fs::write(&key, PASSPHRASE).with_context(|| format!("cannot write {}", key.display()))?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[])?;
        cryptsetup.args(["luksFormat", "--batch-mode", "--type", "luks2", "--cipher", "aes-xts-plain64"]);
        // The passphrase's own keyslot is not what is tested: it need not be slow.
        cryptsetup.args(["--key-size", "512", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]);
        cryptsetup.arg("--key-file").arg(&key).arg(&image);
        let output = cryptsetup.output().context("cannot run cryptsetup")?;
        if !output.status.success() {
            bail!("cryptsetup: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { image })
    }

    /// The disk's image.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Takes [`PASSPHRASE`] away from it: from now on it is opened by what was enrolled, or not at all.
    ///
    /// # Errors
    /// cryptsetup fails.
    pub fn forget_passphrase(&self, tools: &Tools, folder: &Path) -> Result<()> {
        let key = folder.join("passphrase");
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[&self.image])?;
        let output = cryptsetup.args(["luksRemoveKey", "--batch-mode"]).arg(&self.image).arg(&key).output();
        let output = output.context("cannot run cryptsetup")?;
        if !output.status.success() {
            bail!("cryptsetup: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Whether this is a passphrase of it.
    ///
    /// # Errors
    /// cryptsetup cannot be run.
    pub fn opens_by(&self, passphrase: &[u8], tools: &Tools, folder: &Path) -> Result<bool> {
        let key = folder.join("tried-passphrase");
        std::fs::write(&key, passphrase).with_context(|| format!("cannot write {}", key.display()))?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[&self.image])?;
        cryptsetup.args(["open", "--test-passphrase", "--key-file"]).arg(&key).arg(&self.image);
        Ok(cryptsetup.output().context("cannot run cryptsetup")?.status.success())
    }
}
