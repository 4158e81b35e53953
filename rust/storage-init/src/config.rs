// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 2: the configuration and the certificates of the mini-initramfs, and the kernel command line held against it.
//!
//! The files are as trusted as what authenticates kernel and initramfs together. The command line is not trusted: it is
//! looked at for words that the configuration does not list, and steers nothing.

use core::fmt;

use boot_formats::x509;
use boot_record::cmdline;
use boot_record::config::{self, CmdlineOther, Config, Measure, SignaturePath};
use boot_record::reason::Reason;
use kernel_edge::file;
use kernel_edge::watchdog::Watchdog;

use crate::failure::Failure;
use crate::tpm;

/// The configuration's place in the mini-initramfs.
const CONFIG: &str = "/etc/initoverlayfs.conf";
/// The folder of the certificates that the configuration names.
const CERTIFICATES: &str = "/etc/initoverlayfs";
/// The kernel's COMMAND_LINE_SIZE on arm64 is 2048.
const CMDLINE_BYTES: usize = 4 * 1024;

/// Whether this binary can check signatures.
const USER_SIGNATURE: bool = cfg!(feature = "user-signature");

/// What is said of `signature = user-space` where the code for it is not there.
pub const NO_USER_SIGNATURE: &str = "signature = user-space, but this storage-init was built without user-signature";

/// What is said of `measure` where the code for it is not there.
const NO_TPM: &str = "it asks for a TPM (measure), but this storage-init was built without tpm";

/// What is said of a certificate that a signature could not tell from another one.
const TWO_OF_ONE_NAME: &str =
    "same issuer and serial number as another certificate: no signature could say whose it is";

/// A certificate that may sign DDIs, as DER that was parsed once; its key is one that may sign.
#[derive(Debug)]
pub struct Anchor(Vec<u8>);

/// Why a certificate cannot be an [`Anchor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorError {
    /// It is none.
    Certificate(x509::Error),
    /// Its key may not sign, whoever checks the signature.
    Key(x509::KeyError),
}

impl fmt::Display for AnchorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl Anchor {
    /// Takes over the DER of a certificate.
    ///
    /// # Errors
    /// What keeps it from being one that signs.
    pub fn parse(der: Vec<u8>) -> Result<Self, AnchorError> {
        let certificate = x509::parse(&der).map_err(AnchorError::Certificate)?;
        certificate.public_key().map_err(AnchorError::Key)?;
        Ok(Self(der))
    }

    /// Its DER.
    #[cfg(feature = "user-signature")]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// Whether a signature that names this certificate names the other one as well.
    fn is_named_as(&self, other: &Self) -> bool {
        match (self.certificate(), other.certificate()) {
            (Some(one), Some(other)) => one.is_named_as(&other),
            _ => false,
        }
    }

    /// The certificate.
    pub fn certificate(&self) -> Option<x509::Certificate<'_>> {
        x509::parse(&self.0).ok()
    }
}

/// The certificates that may sign, no two of one issuer and serial number.
pub type Anchors = heapless::Vec<Anchor, { config::MAX_CERTIFICATES }>;

/// What the image's maker configured.
#[derive(Debug)]
pub struct Settings {
    /// The configuration file.
    pub config: Box<Config>,
    /// The certificates it names, in its order.
    pub anchors: Anchors,
}

/// Reads all of it.
///
/// # Errors
/// `config-invalid` for a missing, unreadable or bad file; `command-line` for a word that the configuration does not
/// allow, where it says to refuse those.
pub fn read() -> Result<Settings, Failure> {
    let text = read_file(CONFIG, config::MAX_FILE)?;
    let config = config::parse(&text).map_err(|error| Failure::new(Reason::ConfigInvalid, CONFIG, error))?;
    if config.signature == SignaturePath::UserSpace && !USER_SIGNATURE {
        return Err(Failure::new(Reason::ConfigInvalid, CONFIG, NO_USER_SIGNATURE));
    }
    if config.measure != Measure::None && !tpm::BUILT_IN {
        return Err(Failure::new(Reason::ConfigInvalid, CONFIG, NO_TPM));
    }
    let mut anchors = Anchors::new();
    for name in &config.certificates {
        let path: heapless::String<128> = crate::failure::text(format_args!("{CERTIFICATES}/{name}"));
        let der = read_file(&path, config::MAX_CERTIFICATE)?;
        let anchor = Anchor::parse(der).map_err(|error| Failure::new(Reason::ConfigInvalid, &path, error))?;
        add(&mut anchors, anchor).map_err(|what| Failure::new(Reason::ConfigInvalid, &path, what))?;
    }
    check_command_line(&config)?;
    Ok(Settings { config, anchors })
}

/// One more certificate that a signature can name.
fn add(anchors: &mut Anchors, anchor: Anchor) -> Result<(), &'static str> {
    if anchors.iter().any(|other| anchor.is_named_as(other)) {
        return Err(TWO_OF_ONE_NAME);
    }
    anchors.push(anchor).map_err(|_| "more certificates than a configuration may name")
}

/// Starts the hardware watchdog, if the configuration wants it.
///
/// # Errors
/// `kernel-lacks` where there is none: a guard that was configured and is not there.
pub fn start_watchdog(config: &Config) -> Result<Option<Watchdog>, Failure> {
    let start = |time| Watchdog::start(time).map_err(|error| Failure::new(Reason::KernelLacks, "watchdog", error));
    config.watchdog.map(start).transpose()
}

/// The kernel's command line, without the newline behind it.
///
/// # Errors
/// `command-line` for one that is not UTF-8, `config-invalid` for one that cannot be read.
pub fn command_line() -> Result<String, Failure> {
    let mut line = read_file("/proc/cmdline", CMDLINE_BYTES)?;
    line.truncate(line.trim_ascii_end().len());
    String::from_utf8(line).map_err(|error| Failure::new(Reason::CommandLine, "/proc/cmdline", error))
}

fn check_command_line(config: &Config) -> Result<(), Failure> {
    if config.cmdline_other == CmdlineOther::Ignore {
        return Ok(());
    }
    match cmdline::first_not_allowed(config, &command_line()?) {
        None => Ok(()),
        Some(word) => Err(Failure::new(
            Reason::CommandLine,
            "/proc/cmdline",
            format_args!("\"{word}\" is not in cmdline-allow of {CONFIG}"),
        )),
    }
}

/// The whole of a file of the mini-initramfs, or of /proc, that has at most `most` bytes.
///
/// # Errors
/// `config-invalid`.
pub fn read_file(path: &str, most: usize) -> Result<Vec<u8>, Failure> {
    file::read(path, most).map_err(|errno| Failure::new(Reason::ConfigInvalid, path, errno))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DER: &[u8] = include_bytes!("../tests/golden/signer.der");

    #[test]
    fn two_certificates_that_a_signature_could_not_tell_apart_are_refused() {
        let mut anchors = Anchors::new();
        add(&mut anchors, Anchor::parse(DER.to_vec()).unwrap()).unwrap();
        // Another certificate by its bytes, of the same name.
        let mut other = DER.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(add(&mut anchors, Anchor::parse(other).unwrap()), Err(TWO_OF_ONE_NAME));
        assert_eq!(anchors.len(), 1);
    }
}
