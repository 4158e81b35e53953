// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running `ddi build`, as anybody would, with the tools root's mkfs.erofs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::host_program;
use crate::keys::Keys;
use crate::tools::Tools;
use crate::userspace::{FILE_TIME, Tree};

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
        let tar = output.with_extension("tar");
        tree.write_tar(&tar, FILE_TIME)?;
        let Some(folder) = output.parent() else { bail!("{} is no file", output.display()) };
        let Some(program) = self.0.to_str() else { bail!("{} is not UTF-8", self.0.display()) };
        let mut command = tools.command(program, &[&self.0, folder, &keys.key_pem, &keys.certificate_pem])?;
        command.args(["build", "--json", "--source-date-epoch", &FILE_TIME.to_string(), "--tar"]).arg(&tar);
        command.arg("--key").arg(&keys.key_pem).arg("--cert").arg(&keys.certificate_pem).arg("--output").arg(output);
        let result = command.stdin(Stdio::null()).output().context("cannot run ddi")?;
        if !result.status.success() {
            bail!("ddi build: {}: {}", result.status, String::from_utf8_lossy(&result.stderr).trim());
        }
        std::fs::remove_file(&tar).with_context(|| format!("cannot remove {}", tar.display()))?;
        let facts: Value = serde_json::from_slice(&result.stdout).context("ddi build --json printed no JSON")?;
        let root_hash =
            facts.get("root_hash").and_then(Value::as_str).context("ddi build --json named no root_hash")?;
        Ok(Ddi { image: output.to_owned(), root_hash: root_hash.to_owned() })
    }
}
