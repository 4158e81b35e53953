// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes made by cryptsetup, in files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use boot_formats::luks2::Metadata;
use tempfile::TempDir;
use tpm_unlock::volume::{Copies, Disk, Lock, ReadError, VolumeError};

/// What `luksFormat` is given to go by a passphrase without delay, as a token's secret does.
pub const MINIMAL: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
/// Bytes of a volume, with two keyslots.
pub const BYTES: u64 = 4 << 20;

/// A volume in a folder of its own.
pub struct Volume {
    folder: TempDir,
    pub file: fs::File,
}

impl Volume {
    /// Formats one whose first passphrase is `passphrase`.
    pub fn make(passphrase: &[u8], options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("luks2-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("volume");
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(BYTES).unwrap();
        let volume = Self { folder, file };
        volume.cryptsetup(
            passphrase,
            &[
                "luksFormat",
                "--batch-mode",
                "--type",
                "luks2",
                "--luks2-metadata-size=16k",
                "--luks2-keyslots-size=512k",
            ],
            options,
        );
        volume
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("volume")
    }

    /// Runs cryptsetup on it, with a key file of this passphrase.
    pub fn cryptsetup(&self, passphrase: &[u8], command: &[&str], options: &[&str]) -> String {
        let key_file = self.folder.path().join("passphrase");
        fs::write(&key_file, passphrase).unwrap();
        let mut cryptsetup = Command::new("cryptsetup");
        cryptsetup.args(command).args(options).arg("--key-file").arg(key_file).arg(self.path());
        run(&mut cryptsetup)
    }

    /// Writes a token.
    pub fn import_token(&self, json: &str) {
        let file = self.folder.path().join("token.json");
        fs::write(&file, json).unwrap();
        run(Command::new("cryptsetup").args(["token", "import", "--json-file"]).arg(file).arg(self.path()));
    }

    /// The volume key, as cryptsetup finds it.
    pub fn key(&self, passphrase: &[u8]) -> Vec<u8> {
        let key: &Path = &self.folder.path().join("key");
        let option = format!("--volume-key-file={}", key.display());
        self.cryptsetup(passphrase, &["luksDump", "--batch-mode", "--dump-volume-key"], &[&option]);
        let bytes = fs::read(key).unwrap();
        // cryptsetup writes over no file.
        fs::remove_file(key).unwrap();
        bytes
    }

    /// What we make of a keyslot and a passphrase.
    pub fn open(&self, keyslot: u8, passphrase: &[u8]) -> Result<Vec<u8>, VolumeError> {
        self.with_metadata(|metadata| {
            let lock = Lock::of(metadata, keyslot)?;
            lock.open(lock.read_area(self)?, passphrase).map(|(_, key)| key.as_bytes().to_vec())
        })
    }

    pub fn with_metadata<T>(
        &self,
        then: impl FnOnce(&Metadata<'_>) -> Result<T, VolumeError>,
    ) -> Result<T, VolumeError> {
        let copies = Copies::read(self);
        then(&copies.header()?.metadata(self.bytes())?)
    }

    /// Inverts a bit of the byte at `offset`.
    pub fn flip(&self, offset: u64) {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, offset).unwrap();
        self.file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    }
}

impl Disk for Volume {
    fn bytes(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| ReadError { errno: error.raw_os_error().unwrap_or(0) })
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
