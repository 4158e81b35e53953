// SPDX-License-Identifier: MIT OR Apache-2.0
//! The key is in a PKCS#11 token and never leaves it: the build signs there, and the image is that of the build with the key in a file.
//!
//! SoftHSM stands in for the token; BitBake's host has openssl's way to it (pkcs11-provider).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::clones::Clones;
use super::standin::{FIRST, IMAGE, Standin, deployed, tasks};
use crate::call;

const TOKEN: &str = "initoverlayfs";
const OBJECT: &str = "boot";
const PIN: &str = "1234";
/// The task that signs.
const SIGNS: &str = "initoverlayfs-image:do_image_signed_ddi";
/// As docs/porting.md has it, and what SoftHSM needs besides.
const OPENSSL: &str = "\
openssl_conf = top
[top]
providers = list
[list]
default = plain
pkcs11 = module
[plain]
activate = 1
[module]
activate = 1
pkcs11-module-path = /usr/lib/softhsm/libsofthsm2.so
# SoftHSM itself uses openssl, and is gone when openssl says goodbye to it.
pkcs11-module-quirks = no-deinit
";

/// Builds by the key's file, then by the token.
///
/// # Errors
/// A build fails, does not sign, or makes another image.
pub fn check(bench: &Bench, clones: &Clones) -> Result<()> {
    let signed = fs::read(Standin::open(bench, clones, FIRST)?.images()?.ddi)?;
    let result = by_token(bench, clones, &signed);
    // As it was, whatever came of this.
    let restored = Standin::open(bench, clones, FIRST).and_then(|standin| standin.images());
    result.and(restored.map(drop))
}

fn by_token(bench: &Bench, clones: &Clones, expected: &[u8]) -> Result<()> {
    let mut standin = Standin::open(bench, clones, FIRST)?;
    let token = Token::with_key(bench, &standin.build.folder.join("token"))?;
    standin.build.settings.push_str(&token.settings());
    standin.build.configure()?;
    let ran = tasks(&standin.execute("sign in the token")?)?;
    ensure!(ran.iter().any(|task| task == SIGNS), "{SIGNS} did not run: {ran:?}");
    let signed = fs::read(deployed(&standin.build, &format!("{IMAGE}.signed-ddi"))?)?;
    ensure!(signed == expected, "the image is not that of the build with the key: {} bytes", signed.len());
    Ok(())
}

/// A token with the development key in it.
struct Token {
    /// SoftHSM's configuration, which its environment variable names.
    softhsm: PathBuf,
    openssl: PathBuf,
    /// Holds the PIN: a variable may not.
    pin: PathBuf,
}

impl Token {
    fn with_key(bench: &Bench, folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let tokens = folder.join("tokens");
        fs::create_dir_all(&tokens).with_context(|| format!("cannot make {}", tokens.display()))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(path)
        };
        let token = Self {
            softhsm: write(
                "softhsm.conf",
                &format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
            )?,
            openssl: write("openssl.cnf", OPENSSL)?,
            pin: write("pin", PIN)?,
        };
        let softhsm_util = || -> Result<Command> {
            let mut program = bench.host.command_in(folder, "softhsm2-util", &[&bench.keys.key_pem])?;
            program.env("SOFTHSM2_CONF", &token.softhsm);
            Ok(program)
        };
        let init = ["--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", PIN];
        call::run("softhsm2-util", softhsm_util()?.args(init))?;
        let import = ["--token", TOKEN, "--label", OBJECT, "--id", "01", "--pin", PIN];
        call::run("softhsm2-util", softhsm_util()?.arg("--import").arg(&bench.keys.key_pem).args(import))?;
        Ok(token)
    }

    /// Lines of local.conf. Where the token lies changes no task.
    fn settings(&self) -> String {
        let (pin, openssl, softhsm) = (self.pin.display(), self.openssl.display(), self.softhsm.display());
        format!(
            "INITOVERLAYFS_SIGNING_KEY = \"pkcs11:token={TOKEN};object={OBJECT};type=private?pin-source=file:{pin}\"\n\
             INITOVERLAYFS_OPENSSL_CONF = \"{openssl}\"\n\
             export SOFTHSM2_CONF = \"{softhsm}\"\nBB_BASEHASH_IGNORE_VARS:append = \" SOFTHSM2_CONF\"\n"
        )
    }
}
