// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel of the boot tests: Debian's source of Linux 6.12, nothing but the layer's own fragments, one certificate. And a
//! second one, for the tests of signatures alone: it knows more algorithms and certificates.
//!
//! `allnoconfig` and the fragments are merged by the kernel's own merge_config.sh, as Yocto does. Every option that a
//! fragment asks for must be in the result, or the build stops with the option's name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cache::{Cache, Key};
use crate::plan::Cost;
use crate::progress;
use crate::repository;
use crate::tools::{KERNEL_SOURCE, Tools};

const KIND: &str = "kernel";
/// The second kernel. It is built in the first one's tree: what both have in common is compiled once.
const KIND_FOR_SIGNATURES: &str = "kernel-signatures";
/// What it has besides the layer's fragments.
const FRAGMENT_FOR_SIGNATURES: &str = "tests/boot/kernel/signatures.cfg";
/// The certificates that it trusts, in DER.
const CORPUS: &str = "rust/signature-check/tests/corpus";
/// Certificates of the corpus that nobody trusts begin so.
const UNTRUSTED: &str = "stranger";
/// Raise it when the code below makes another kernel of the same inputs.
const RECIPE: u32 = 1;
const COST: Cost = Cost { what: "kernel", disk_mib: 1190, download_mib: 0, seconds: 420 };
const COST_FOR_SIGNATURES: Cost = Cost { what: "second kernel", disk_mib: 15, download_mib: 0, seconds: 25 };
/// Lines that a whole build prints, for the progress line.
const BUILD_LINES: u64 = 1590;
/// Where the certificate lies in the build tree.
const CERTIFICATE: &str = "certs/initoverlayfs.pem";
/// What is not unpacked: a third of the source, no part of which is used here.
const LEFT_OUT: [&str; 4] = [
    "linux-source-6.12/Documentation/[!K]*",
    "linux-source-6.12/drivers/gpu/drm/amd/include/*",
    "linux-source-6.12/tools/testing",
    "linux-source-6.12/tools/perf",
];
/// The same bytes of the same inputs: what the kernel would record of the machine that built it.
const REPRODUCIBLE: [(&str, &str); 3] = [
    ("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 UTC"),
    ("KBUILD_BUILD_USER", "meta-initoverlayfs"),
    ("KBUILD_BUILD_HOST", "development"),
];

/// A finished kernel in the cache.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The boot image, uncompressed.
    pub image: PathBuf,
    /// Its `.config`.
    pub config: PathBuf,
    /// Its `System.map`.
    pub symbols: PathBuf,
    /// What `uname -r` says.
    pub release: String,
}

/// What the first run costs; with the certificate unknown yet, there is no kernel either.
pub fn cost(cache: &Cache, tools: Option<&Tools>, certificate: Option<&Path>) -> Option<Cost> {
    let found = || {
        let key = key(tools?, &fragments().ok()?, certificate?).ok()?;
        cache.find(KIND, &key)
    };
    found().is_none().then_some(COST)
}

/// What the kernel of the signature tests costs the first time.
pub fn cost_for_signatures(cache: &Cache) -> Option<Cost> {
    (!cache.has_any(KIND_FOR_SIGNATURES)).then_some(COST_FOR_SIGNATURES)
}

/// The kernel that trusts `certificate_pem`, out of the cache or built.
///
/// # Errors
/// A fragment is contradicted or its option lost, or the build fails; the error ends with the log's last lines.
pub fn ensure(cache: &Cache, tools: &Tools, certificate_pem: &Path) -> Result<Kernel> {
    let fragments = fragments()?;
    let key = key(tools, &fragments, certificate_pem)?;
    let certificates =
        fs::read(certificate_pem).with_context(|| format!("cannot read {}", certificate_pem.display()))?;
    let folder = cache.entry(KIND, &key, |folder| {
        build(cache, tools, &fragments, &certificates, folder).context("cannot build the kernel")
    })?;
    Kernel::in_folder(&folder)
}

/// The kernel that judges signatures: the same fragments and one of its own, trusting the corpus and `certificates_pem`.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_for_signatures(cache: &Cache, tools: &Tools, certificates_pem: &[PathBuf]) -> Result<Kernel> {
    let mut fragments = fragments()?;
    fragments.push(Fragment::read(repository::root().join(FRAGMENT_FOR_SIGNATURES))?);
    let mut certificates = String::new();
    for path in certificates_pem {
        certificates += &fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    for der in trusted_of_the_corpus()? {
        certificates += &pem(&der);
    }
    let key = inputs(tools, &fragments)?.bytes("certificates", certificates.as_bytes());
    let folder = cache.entry(KIND_FOR_SIGNATURES, &key, |folder| {
        // Whoever builds the other kernel is in the same tree.
        let _lock = cache.lock(KIND)?;
        build(cache, tools, &fragments, certificates.as_bytes(), folder).context("cannot build the second kernel")
    })?;
    Kernel::in_folder(&folder)
}

fn trusted_of_the_corpus() -> Result<Vec<Vec<u8>>> {
    let folder = repository::root().join(CORPUS);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".crt") && !name.starts_with(UNTRUSTED) {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    paths.iter().map(read).collect()
}

/// The textual form of a certificate (RFC 7468), as the kernel's build reads it.
fn pem(der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A `.cfg` file of the layer.
struct Fragment {
    path: PathBuf,
    text: String,
}

impl Kernel {
    fn in_folder(folder: &Path) -> Result<Self> {
        let release = fs::read_to_string(folder.join("release")).context("cannot read the kernel's release")?;
        Ok(Self {
            image: folder.join("Image"),
            config: folder.join("config"),
            symbols: folder.join("System.map"),
            release: release.trim().to_owned(),
        })
    }
}

impl Fragment {
    fn read(path: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, text })
    }

    fn name(&self) -> std::borrow::Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

fn fragments() -> Result<Vec<Fragment>> {
    let folder = repository::root().join("recipes-kernel/linux/files");
    let mut fragments = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cfg") {
            fragments.push(Fragment::read(path)?);
        }
    }
    fragments.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(fragments)
}

fn key(tools: &Tools, fragments: &[Fragment], certificate: &Path) -> Result<Key> {
    inputs(tools, fragments)?.file("certificate", certificate)
}

/// A key of everything but certificates.
fn inputs(tools: &Tools, fragments: &[Fragment]) -> Result<Key> {
    let mut key = Key::new(RECIPE).bytes("source", tools.kernel_source_hash()?.as_bytes());
    for fragment in fragments {
        key = key.bytes(&fragment.name(), fragment.text.as_bytes());
    }
    Ok(key)
}

/// Every option that the fragments ask for, with its line.
fn requested(fragments: &[Fragment]) -> Result<BTreeMap<String, String>> {
    let mut requested = BTreeMap::new();
    for fragment in fragments {
        for line in fragment.text.lines().map(str::trim) {
            let Some(option) = option_name(line) else {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                bail!("{}: not a line of a kernel configuration: {line}", fragment.path.display());
            };
            match requested.insert(option.to_owned(), line.to_owned()) {
                Some(other) if other != line => {
                    bail!("{}: {line}, but another fragment says {other}", fragment.path.display());
                }
                _ => {}
            }
        }
    }
    Ok(requested)
}

/// `CONFIG_X=...` or `# CONFIG_X is not set`.
fn option_name(line: &str) -> Option<&str> {
    let set = || line.strip_prefix("CONFIG_").and_then(|_| line.split_once('=')).map(|(name, _)| name);
    let unset = || line.strip_prefix("# ")?.strip_suffix(" is not set").filter(|name| name.starts_with("CONFIG_"));
    set().or_else(unset)
}

/// The requested lines that `config` lacks. An option that is not mentioned is not set.
fn lost<'a>(requested: &'a BTreeMap<String, String>, config: &str) -> Vec<&'a str> {
    let actual: BTreeMap<&str, &str> = config.lines().filter_map(|line| Some((option_name(line)?, line))).collect();
    requested
        .iter()
        .filter(|(name, line)| match actual.get(name.as_str()) {
            Some(found) => found != line,
            None => !line.ends_with(" is not set"),
        })
        .map(|(_, line)| line.as_str())
        .collect()
}

fn build(cache: &Cache, tools: &Tools, fragments: &[Fragment], certificates: &[u8], result: &Path) -> Result<()> {
    let requested = requested(fragments)?;
    let log = cache.log(KIND)?;
    fs::write(&log, "")?;
    let tree = source_tree(cache, tools, &log)?;
    fs::write(tree.join(CERTIFICATE), certificates).context("cannot write the certificates")?;
    let trust = tree.join("certs/initoverlayfs.cfg");
    fs::write(&trust, format!("CONFIG_SYSTEM_TRUSTED_KEYS=\"{CERTIFICATE}\"\n"))?;

    let paths: Vec<&Path> = fragments.iter().map(|fragment| fragment.path.as_path()).collect();
    let mut merge = tools.command_in(&tree, "scripts/kconfig/merge_config.sh", &paths)?;
    merge.envs([("ARCH", "arm64"), ("CROSS_COMPILE", "aarch64-linux-gnu-")]);
    merge.arg("-n").args(&paths).arg(&trust);
    progress::run("kernel: configuration", 0, &log, &mut merge)?;

    let config = fs::read_to_string(tree.join(".config")).context("merge_config.sh wrote no .config")?;
    let lost = lost(&requested, &config);
    if !lost.is_empty() {
        bail!("the kernel's configuration did not accept: {} (is a dependency missing?)", lost.join(", "));
    }

    let mut make = tools.command_in(&tree, "make", &[])?;
    let jobs = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    make.envs(REPRODUCIBLE).arg(format!("-j{jobs}")).args(["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "Image"]);
    progress::run("kernel: build", BUILD_LINES, &log, &mut make)?;

    let wanted = [
        ("arch/arm64/boot/Image", "Image"),
        (".config", "config"),
        ("System.map", "System.map"),
        ("include/config/kernel.release", "release"),
    ];
    for (from, to) in wanted {
        fs::copy(tree.join(from), result.join(to)).with_context(|| format!("the build left no {from}"))?;
    }
    Ok(())
}

/// The unpacked source, with the objects of the last build.
fn source_tree(cache: &Cache, tools: &Tools, log: &Path) -> Result<PathBuf> {
    let key = Key::new(RECIPE).bytes("source", tools.kernel_source_hash()?.as_bytes());
    let folder = cache.work_dir(KIND, &key)?;
    let tree = folder.join("linux-source-6.12");
    let unpacked = folder.join("unpacked");
    if !unpacked.exists() {
        let mut tar = tools.command_in(&folder, "tar", &[])?;
        tar.args(["--extract", "--no-same-owner", "--wildcards", "--file", KERNEL_SOURCE]);
        tar.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")));
        progress::run("kernel: unpacking the source", 0, log, &mut tar)?;
        fs::write(unpacked, "")?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment { path: "x.cfg".into(), text: text.into() }
    }

    #[test]
    fn an_option_that_did_not_arrive_is_named() -> Result<()> {
        let requested =
            requested(&[fragment("# why\nCONFIG_A=y\nCONFIG_B=\"x\"\n# CONFIG_C is not set\nCONFIG_D=y\n")])?;
        assert_eq!(
            lost(&requested, "CONFIG_A=y\nCONFIG_B=\"y\"\n# CONFIG_D is not set\n"),
            ["CONFIG_B=\"x\"", "CONFIG_D=y"]
        );
        Ok(())
    }

    #[test]
    fn an_option_that_must_be_off_and_is_on_is_named() -> Result<()> {
        let requested = requested(&[fragment("# CONFIG_C is not set\n")])?;
        assert_eq!(lost(&requested, "CONFIG_C=y\n"), ["# CONFIG_C is not set"]);
        Ok(())
    }

    #[test]
    fn two_fragments_that_disagree_are_refused() {
        let refusal = requested(&[fragment("CONFIG_A=y"), fragment("CONFIG_A=m")]).map_err(|error| error.to_string());
        assert_eq!(refusal, Err("x.cfg: CONFIG_A=m, but another fragment says CONFIG_A=y".into()));
    }

    #[test]
    fn a_line_that_is_no_option_is_refused() {
        let refusal = requested(&[fragment("CONFIG_A y")]).map_err(|error| error.to_string());
        assert_eq!(refusal, Err("x.cfg: not a line of a kernel configuration: CONFIG_A y".into()));
    }
}
