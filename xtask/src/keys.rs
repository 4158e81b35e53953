// SPDX-License-Identifier: MIT OR Apache-2.0
//! Development keys: made once on this machine, kept in the cache, never in a checkout.
//!
//! Every certificate says DEVELOPMENT in its name, so that an image signed with it says so at every boot. The kernel of
//! `make qemu` trusts [`development`] alone; the others are for tests of refusals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, Key};
use crate::call;
use crate::tools::Tools;

/// Raise it to have new keys made everywhere (and the kernel built anew).
const RECIPE: u32 = 1;
/// RSA-2048: the signature that costs the boot least (docs/performance.md).
const RSA: &[&str] = &["-newkey", "rsa:2048"];
/// By the names of the keys.
const ELLIPTIC: [(&str, &[&str]); 2] = [
    ("p256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ("p384", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
];
/// Certificates are pins: nobody consults the clock. openssl wants a number all the same.
const DAYS: &str = "36500";
/// The development key's name; others may not take it.
const DEVELOPMENT: &str = "development";

/// A private key and its self-signed certificate, as files in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// PKCS#8, PEM, readable by the owner alone.
    pub key_pem: PathBuf,
    /// The certificate, PEM: for the kernel and for signing.
    pub certificate_pem: PathBuf,
    /// The certificate, DER: for the mini-initramfs.
    pub certificate_der: PathBuf,
}

impl Keys {
    fn in_folder(folder: &Path) -> Self {
        Self {
            key_pem: folder.join("key.pem"),
            certificate_pem: folder.join("certificate.pem"),
            certificate_der: folder.join("certificate.der"),
        }
    }
}

/// The key that the local kernel trusts.
///
/// # Errors
/// openssl fails, or the cache cannot be written.
pub fn development(cache: &Cache, tools: &Tools) -> Result<Keys> {
    ensure(cache, tools, DEVELOPMENT, RSA, None)
}

/// The development key, if it has been made already.
pub fn existing_development(cache: &Cache) -> Option<Keys> {
    cache.find(&kind(DEVELOPMENT), &Key::new(RECIPE)).map(|folder| Keys::in_folder(&folder))
}

/// Another key under another name: no kernel trusts it. `name` is lower-case letters, digits and dashes.
///
/// # Errors
/// As [`development`], or the name is not one for this.
pub fn named(cache: &Cache, tools: &Tools, name: &str) -> Result<Keys> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let taken = [DEVELOPMENT, IMPOSTOR].contains(&name) || ELLIPTIC.iter().any(|(taken, _)| *taken == name);
    if taken || name.is_empty() || !name.bytes().all(plain) {
        bail!("{name:?} is no name for a test key");
    }
    ensure(cache, tools, name, RSA, None)
}

/// A key on the curve `p256` or `p384`. The kernel of `make qemu` trusts none of them.
///
/// # Errors
/// As [`development`], or there is no such curve.
pub fn elliptic(cache: &Cache, tools: &Tools, curve: &str) -> Result<Keys> {
    let (name, algorithm) = ELLIPTIC.iter().find(|(name, _)| *name == curve).context("no such curve")?;
    ensure(cache, tools, name, algorithm, None)
}

const PRODUCTION: &str = "production";

/// A key pair whose certificate does not say DEVELOPMENT: where that is asked for it has to be refused.
///
/// # Errors
/// As [`development`].
pub fn production(cache: &Cache, tools: &Tools) -> Result<Keys> {
    ensure(cache, tools, PRODUCTION, RSA, None)
}

const IMPOSTOR: &str = "impostor";

/// Another key whose certificate has the development certificate's issuer and serial number: what a check that goes by
/// names alone would accept.
///
/// # Errors
/// As [`development`].
pub fn impostor(cache: &Cache, tools: &Tools) -> Result<Keys> {
    ensure(cache, tools, IMPOSTOR, RSA, Some(&development(cache, tools)?))
}

fn kind(name: &str) -> String {
    format!("keys-{name}")
}

fn ensure(cache: &Cache, tools: &Tools, name: &str, algorithm: &[&str], double_of: Option<&Keys>) -> Result<Keys> {
    let mut key = Key::new(RECIPE);
    if let Some(original) = double_of {
        key = key.file("original", &original.certificate_der)?;
    }
    let folder = cache.entry(&kind(name), &key, |folder| make(tools, folder, name, algorithm, double_of))?;
    Ok(Keys::in_folder(&folder))
}

fn make(tools: &Tools, folder: &Path, name: &str, algorithm: &[&str], double_of: Option<&Keys>) -> Result<()> {
    // Before the key is written into it.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let keys = Keys::in_folder(folder);
    let mut request = tools.command_in(folder, "openssl", &[])?;
    request.args(["req", "-x509", "-nodes", "-sha256", "-days", DAYS]).args(algorithm);
    request.args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature"]);
    request.arg("-keyout").arg(&keys.key_pem).arg("-out").arg(&keys.certificate_pem);
    let subject = match double_of {
        Some(original) => {
            let serial = fact(tools, original, "-serial")?;
            request.args(["-set_serial", &format!("0x{serial}")]);
            format!("/{}", fact(tools, original, "-subject")?)
        }
        None if name == PRODUCTION => format!("/CN=meta-initoverlayfs {name} {}", random_word()?),
        None if name == DEVELOPMENT => format!("/CN=meta-initoverlayfs DEVELOPMENT {}", random_word()?),
        None => format!("/CN=meta-initoverlayfs DEVELOPMENT {name} {}", random_word()?),
    };
    openssl(request.args(["-subj", &subject]))?;
    openssl(
        tools
            .command_in(folder, "openssl", &[])?
            .args(["x509", "-outform", "DER", "-in"])
            .arg(&keys.certificate_pem)
            .arg("-out")
            .arg(&keys.certificate_der),
    )?;
    fs::set_permissions(&keys.key_pem, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// The public half of a key, PEM.
///
/// # Errors
/// openssl fails.
pub fn public_pem(tools: &Tools, keys: &Keys) -> Result<String> {
    openssl(tools.command("openssl", &[&keys.key_pem])?.args(["pkey", "-pubout", "-in"]).arg(&keys.key_pem))
}

/// Signs what `ddi build --unsigned-out` and the layer leave to sign, as docs/porting.md has others do it; both files are in the cache.
///
/// # Errors
/// openssl fails.
pub fn sign(tools: &Tools, keys: &Keys, to_sign: &Path, signature: &Path) -> Result<()> {
    let folder = signature.parent().context("a signature without a folder")?;
    let mut command = tools.command_in(folder, "openssl", &[to_sign, &keys.key_pem, &keys.certificate_pem])?;
    command.args(["smime", "-sign", "-nocerts", "-noattr", "-binary", "-outform", "der", "-in"]).arg(to_sign);
    command.arg("-signer").arg(&keys.certificate_pem).arg("-inkey").arg(&keys.key_pem).arg("-out").arg(signature);
    call::run("openssl smime", &mut command)
}

/// One fact of a certificate as openssl prints it, without the `name=` before it.
fn fact(tools: &Tools, keys: &Keys, option: &str) -> Result<String> {
    let certificate = keys.certificate_pem.as_path();
    let mut command = tools.command("openssl", &[certificate])?;
    let text = openssl(command.args(["x509", "-noout", "-nameopt", "RFC2253", option, "-in"]).arg(certificate))?;
    let value = text.trim().split_once('=').map(|(_, value)| value.to_owned());
    value.with_context(|| format!("openssl x509 {option} printed {text:?}"))
}

/// Tells the keys of two machines apart in a log. Not a secret.
fn random_word() -> Result<String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot read a random uuid")?;
    Ok(uuid.chars().take(8).collect())
}

fn openssl(command: &mut Command) -> Result<String> {
    String::from_utf8(call::output("openssl", command)?).context("openssl printed no UTF-8")
}
