// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted disks of boots: LUKS2, made by cryptsetup in a file, without privileges; systemd enrols them in a guest.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::call;
use crate::tools::Tools;

/// The passphrase of a volume before a TPM is enrolled. It protects nothing.
pub const PASSPHRASE: &str = "DEVELOPMENT passphrase of the boot tests";
/// Its file beside a volume.
const PASSPHRASE_FILE: &str = "passphrase";
const TOKEN_FILE: &str = "token.json";
/// Bytes of a volume without contents: cryptsetup's header of 16 MiB, and some data.
const BYTES: u64 = 24 << 20;
/// Bytes that a volume is larger than its contents: twice its header, as cryptsetup wants room to move the first data to.
const RESERVE: u64 = 32 << 20;
/// Exit status of cryptsetup for a passphrase that opens no keyslot (cryptsetup(8), "RETURN CODES").
const NO_SUCH_KEY: i32 = 2;
/// The passphrase's own keyslot is not what is tested: it need not be slow.
const FORMAT: [&str; 11] = [
    "--batch-mode",
    "--type",
    "luks2",
    "--cipher",
    "aes-xts-plain64",
    "--key-size",
    "512",
    "--pbkdf",
    "pbkdf2",
    "--pbkdf-force-iterations",
    "1000",
];

/// A disk that is one volume, without a partition table.
#[derive(Clone, Debug)]
pub struct Volume {
    image: PathBuf,
    /// Empty where nobody asked for it.
    key: Vec<u8>,
}

impl Volume {
    /// Formats one in `folder`, which lies in the cache, with [`PASSPHRASE`].
    ///
    /// # Errors
    /// cryptsetup fails.
    pub fn make(tools: &Tools, folder: &Path) -> Result<Self> {
        let image = folder.join("volume.img");
        let file = File::create(&image).and_then(|file| file.set_len(BYTES));
        file.with_context(|| format!("cannot make {}", image.display()))?;
        let key = passphrase_file(folder)?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[])?;
        call::run("cryptsetup", cryptsetup.arg("luksFormat").args(FORMAT).arg("--key-file").arg(&key).arg(&image))?;
        let volume_key = folder.join("volume-key");
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[])?;
        cryptsetup.args(["luksDump", "--batch-mode", "--dump-volume-key", "--volume-key-file"]).arg(&volume_key);
        call::run("cryptsetup", cryptsetup.arg("--key-file").arg(&key).arg(&image))?;
        let key = std::fs::read(&volume_key).with_context(|| format!("cannot read {}", volume_key.display()))?;
        std::fs::remove_file(&volume_key).with_context(|| format!("cannot remove {}", volume_key.display()))?;
        Ok(Self { image, key })
    }

    /// Encrypts a file system where it lies, in a folder of the cache, with [`PASSPHRASE`]. Its sectors have 4096 bytes, as its
    /// blocks must.
    ///
    /// # Errors
    /// cryptsetup fails.
    pub fn encrypt(tools: &Tools, image: PathBuf) -> Result<Self> {
        let Some(folder) = image.parent() else { bail!("{} is no file", image.display()) };
        let file = File::options().write(true).open(&image);
        file.and_then(|file| file.set_len(file.metadata()?.len() + RESERVE))
            .with_context(|| format!("cannot make room in {}", image.display()))?;
        let key = passphrase_file(folder)?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[])?;
        cryptsetup.args(["reencrypt", "--encrypt", "--sector-size", "4096"]).args(FORMAT);
        cryptsetup.args(["--reduce-device-size", &format!("{}M", RESERVE >> 20)]);
        call::run("cryptsetup", cryptsetup.arg("--key-file").arg(&key).arg(&image))?;
        Ok(Self { image, key: Vec::new() })
    }

    /// Whatever is in this file, in a volume's place.
    pub fn at(image: PathBuf) -> Self {
        Self { image, key: Vec::new() }
    }

    /// Its first token, as JSON.
    ///
    /// # Errors
    /// There is none, or cryptsetup fails.
    pub fn token(&self, tools: &Tools, folder: &Path) -> Result<Vec<u8>> {
        let file = folder.join(TOKEN_FILE);
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[&self.image])?;
        call::run(
            "cryptsetup",
            cryptsetup.args(["token", "export", "--token-id", "0", "--json-file"]).arg(&file).arg(&self.image),
        )?;
        let token = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()));
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        token
    }

    /// Gives it another token, as JSON.
    ///
    /// # Errors
    /// cryptsetup fails.
    pub fn add_token(&self, token: &[u8], tools: &Tools, folder: &Path) -> Result<()> {
        let file = folder.join(TOKEN_FILE);
        std::fs::write(&file, token).with_context(|| format!("cannot write {}", file.display()))?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[&self.image])?;
        call::run("cryptsetup", cryptsetup.args(["token", "import", "--json-file"]).arg(&file).arg(&self.image))
    }

    /// The key that its contents are encrypted by, of one that [`Volume::make`] formatted; empty for others.
    pub fn key(&self) -> &[u8] {
        &self.key
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
        let key = passphrase_file(folder)?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[&self.image])?;
        call::run("cryptsetup", cryptsetup.args(["luksRemoveKey", "--batch-mode"]).arg(&self.image).arg(&key))
    }

    /// Whether this is a passphrase of it.
    ///
    /// # Errors
    /// cryptsetup cannot be run, or says something else of the volume.
    pub fn opens_by(&self, passphrase: &[u8], tools: &Tools, folder: &Path) -> Result<bool> {
        let key = folder.join("tried-passphrase");
        std::fs::write(&key, passphrase).with_context(|| format!("cannot write {}", key.display()))?;
        let mut cryptsetup = tools.command_in(folder, "cryptsetup", &[&self.image])?;
        cryptsetup.args(["open", "--test-passphrase", "--key-file"]).arg(&key).arg(&self.image);
        let output = cryptsetup.output().context("cannot run cryptsetup")?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(NO_SUCH_KEY) => Ok(false),
            _ => bail!("cryptsetup: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        }
    }
}

fn passphrase_file(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(PASSPHRASE_FILE);
    std::fs::write(&path, PASSPHRASE).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
