// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running `ddi build`, as anybody would, with the tools root's mkfs.erofs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::call;
use crate::host_program;
use crate::keys::{self, Keys};
use crate::tools::Tools;
use crate::userspace::{FILE_TIME, Tree};

/// The bytes to sign of an unsigned image, in the image's folder.
const TO_SIGN: &str = "to-sign";

/// The program, built for the host.
pub struct DdiProgram(PathBuf);

/// A DDI as `ddi build` described it.
#[derive(Clone, Debug)]
pub struct Ddi {
    /// The image.
    pub image: PathBuf,
    /// Its root hash, 64 hexadecimal digits: what the guest's kernel must name.
    pub root_hash: String,
}

impl DdiProgram {
    /// Builds it from this checkout.
    ///
    /// # Errors
    /// cargo fails; the error holds what it said.
    pub fn build() -> Result<Self> {
        host_program::build("ddi").map(Self)
    }

    /// The program's file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Builds an image of a tree, signed by `keys`. `output` lies in the cache; a TAR file beside it is made and removed.
    ///
    /// # Errors
    /// ddi fails; the error holds what it said.
    pub fn image(&self, tools: &Tools, tree: &Tree, keys: &Keys, output: &Path) -> Result<Ddi> {
        let signing: [&OsStr; 6] = [
            "--key".as_ref(),
            keys.key_pem.as_ref(),
            "--cert".as_ref(),
            keys.certificate_pem.as_ref(),
            "--output".as_ref(),
            output.as_ref(),
        ];
        self.pack(tools, tree, output, &[&keys.key_pem, &keys.certificate_pem], &signing)
    }

    /// Builds an image that waits for its signature, and beside it a file `to-sign` with what to sign.
    ///
    /// # Errors
    /// As for [`DdiProgram::image`].
    pub fn unsigned_image(&self, tools: &Tools, tree: &Tree, output: &Path) -> Result<Ddi> {
        let to_sign = output.with_file_name(TO_SIGN);
        let signing: [&OsStr; 4] = ["--unsigned-out".as_ref(), output.as_ref(), "--to-sign".as_ref(), to_sign.as_ref()];
        self.pack(tools, tree, output, &[], &signing)
    }

    /// Has openssl sign what [`DdiProgram::unsigned_image`] left to sign, and joins the two in place.
    ///
    /// # Errors
    /// openssl or ddi fails.
    pub fn sign_elsewhere(&self, tools: &Tools, unsigned: &Path, keys: &Keys) -> Result<()> {
        let Some(folder) = unsigned.parent() else { bail!("{} is no file", unsigned.display()) };
        let signature = folder.join("signature.p7");
        keys::sign(tools, keys, &folder.join(TO_SIGN), &signature)?;
        let mut join = self.command(tools, &[folder, &keys.certificate_pem])?;
        join.arg("join-signature").arg(unsigned).arg("--in-place").arg("--signature").arg(&signature);
        call::run("ddi join-signature", join.arg("--cert").arg(&keys.certificate_pem))
    }

    /// Signs by `policy_keys` what a TPM will have measured once this kernel has booted this image, which `signer` signed; writes
    /// `output`.
    ///
    /// # Errors
    /// ddi fails; the error holds what it said.
    pub fn sign_policy(
        &self,
        tools: &Tools,
        image: &Path,
        signer: &Keys,
        uki: &Path,
        policy_keys: &Keys,
        output: &Path,
    ) -> Result<()> {
        let Some(folder) = output.parent() else { bail!("{} is no file", output.display()) };
        let mut command = self.command(tools, &[folder, image, uki, &signer.certificate_pem, &policy_keys.key_pem])?;
        command.arg("sign-policy").arg(image).arg("--cert").arg(&signer.certificate_pem).arg("--uki").arg(uki);
        command.arg("--key").arg(&policy_keys.key_pem).arg("--output").arg(output);
        call::run("ddi sign-policy", &mut command)
    }

    /// What `ddi inspect` reads in an image.
    ///
    /// # Errors
    /// ddi fails, or prints no JSON.
    pub fn inspect(&self, tools: &Tools, image: &Path) -> Result<Value> {
        let mut command = self.command(tools, &[image])?;
        let facts = call::output("ddi inspect", command.args(["inspect", "--json"]).arg(image))?;
        serde_json::from_slice(&facts).context("ddi inspect --json printed no JSON")
    }

    fn pack(&self, tools: &Tools, tree: &Tree, output: &Path, inputs: &[&Path], signing: &[&OsStr]) -> Result<Ddi> {
        let tar = output.with_extension("tar");
        tree.write_tar(&tar, FILE_TIME)?;
        let Some(folder) = output.parent() else { bail!("{} is no file", output.display()) };
        let mut command = self.command(tools, &[&[folder], inputs].concat())?;
        command.args(["build", "--json", "--source-date-epoch", &FILE_TIME.to_string(), "--tar"]).arg(&tar);
        let facts = call::output("ddi build", command.args(signing))?;
        std::fs::remove_file(&tar).with_context(|| format!("cannot remove {}", tar.display()))?;
        let facts: Value = serde_json::from_slice(&facts).context("ddi build --json printed no JSON")?;
        let root_hash =
            facts.get("root_hash").and_then(Value::as_str).context("ddi build --json named no root_hash")?;
        Ok(Ddi { image: output.to_owned(), root_hash: root_hash.to_owned() })
    }

    fn command(&self, tools: &Tools, paths: &[&Path]) -> Result<Command> {
        let Some(program) = self.0.to_str() else { bail!("{} is not UTF-8", self.0.display()) };
        tools.command(program, &[&[self.path()], paths].concat())
    }
}
