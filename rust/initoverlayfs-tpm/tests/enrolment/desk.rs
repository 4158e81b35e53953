// SPDX-License-Identifier: MIT OR Apache-2.0
//! A volume that somebody has a passphrase of, a TPM, and who enrols the one with the other.

use std::os::unix::fs::FileExt;

use initoverlayfs_tpm::cryptsetup::{Cryptsetup, Existing};
use initoverlayfs_tpm::enroll::{self, Enrolled, enroll};
use initoverlayfs_tpm::measured::Extensions;
use initoverlayfs_tpm::policy::{Request, Signer as Named};
use initoverlayfs_tpm::survey::Survey;
use tempfile::NamedTempFile;
use tpm_policy::{Bank, PcrMask};
use tpm_unlock::unlock::{Opened, Rules, UnlockError, unlock};

use crate::machine::{Machine, Wire, tpm};
use crate::owner::{left_over, make_ecc_srk};
use crate::signer::Signer;
use crate::workshop::{MINIMAL, Volume};

/// The passphrase that a volume has before it is enrolled.
pub const REMEMBERED: &[u8] = b"remembered";
pub const RULES: Rules = Rules { measured: 13, any_registers: false };
/// Bytes of the two copies of a volume's header, and of its keyslots.
const HEADER: usize = 2 * (16 << 10) + (512 << 10);

pub struct Desk {
    pub wire: Wire,
    pub volume: Volume,
    pub key_file: NamedTempFile,
    pub cryptsetup: Cryptsetup,
    pub log: Extensions,
}

impl Desk {
    pub fn of(machine: &mut Machine) -> Self {
        let mut wire = machine.connect();
        make_ecc_srk(&mut wire);
        Self::without_srk(wire)
    }

    pub fn without_srk(wire: Wire) -> Self {
        let key_file = NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::write(key_file.path(), REMEMBERED).unwrap();
        let volume = Volume::make(REMEMBERED, &MINIMAL);
        Self { wire, volume, key_file, cryptsetup: Cryptsetup::default(), log: Extensions::default() }
    }

    pub fn device(&self) -> String {
        self.volume.path().display().to_string()
    }

    /// Enrols; whatever comes of it, nothing is left in the TPM.
    pub fn enroll(&mut self, request: &Request) -> Result<Enrolled, enroll::Error> {
        let device = self.device();
        let existing = Existing::KeyFile(self.key_file.path().to_owned());
        let volume = enroll::Volume { device: &device, existing: &existing, cryptsetup: &self.cryptsetup };
        self.wire.forget();
        let result = enroll(&mut tpm(&mut self.wire), volume, request, &self.log);
        let sent = self.wire.sent.len();
        assert!(left_over(&mut self.wire).is_empty());
        self.wire.sent.truncate(sent);
        self.wire.received.truncate(sent);
        result
    }

    /// Enrols, which fails with these words and changes nothing of the volume.
    pub fn refuses(&mut self, request: &Request) -> String {
        let before = self.header();
        let error = self.enroll(request).map(|_| ()).unwrap_err().to_string();
        assert!(self.header() == before, "the header was changed: {error}");
        error.replace(&self.device(), "DEVICE")
    }

    /// As the boot stage opens it.
    pub fn open(&mut self, signatures: Option<&[u8]>) -> Result<Opened, UnlockError> {
        let opened = unlock(&mut tpm(&mut self.wire), &self.volume, RULES, signatures);
        assert!(left_over(&mut self.wire).is_empty());
        opened
    }

    /// The boot stage opens it, to the key that cryptsetup finds.
    pub fn opens(&mut self, signatures: Option<&[u8]>) {
        let opened = self.open(signatures).map_err(|error| error.to_string()).unwrap();
        assert_eq!(opened.key.as_bytes(), self.volume.key(REMEMBERED));
    }

    /// Why it stays shut.
    pub fn shut(&mut self, signatures: Option<&[u8]>) -> String {
        self.open(signatures).map(|_| ()).unwrap_err().to_string()
    }

    pub fn survey(&self) -> Survey {
        Survey::of(&self.device(), RULES).unwrap()
    }

    fn header(&self) -> Vec<u8> {
        let mut header = vec![0; HEADER];
        self.volume.file.read_exact_at(&mut header, 0).unwrap();
        header
    }
}

/// Of registers as they are, or with values.
pub fn literal(pcrs: &str) -> Request {
    Request { literals: pcrs.parse().unwrap(), bank: Bank::Sha256, signer: None, rules: RULES }
}

/// Of what a key signs about registers 11 and 13.
pub fn signed(signer: &Signer) -> Request {
    let named = Named { pem: signer.pem.clone(), registers: PcrMask::of(&[11, 13]).unwrap() };
    Request { literals: Default::default(), bank: Bank::Sha256, signer: Some(named), rules: RULES }
}
