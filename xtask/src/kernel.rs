// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels of the boot tests: Debian's source of Linux 6.12 with the layer's patch, nothing but the layer's own fragments, one certificate.
//!
//! | kernel | what it has | who boots it |
//! |---|---|---|
//! | [`ensure`] | the fragments for every board | most tests, the bench |
//! | [`ensure_measured`] | those for UEFI, TPM and dm-crypt besides | boots by firmware |
//! | [`ensure_forced`] | mini-initramfs and command line built in, and no others taken | the tests of `force.cfg` |
//! | [`ensure_for_signatures`] | more algorithms and certificates | the tests of signatures |
//!
//! All are built in one tree: what they have in common is compiled once.
//!
//! `allnoconfig` and the fragments are merged by the kernel's own merge_config.sh, as Yocto does. Every option that a
//! fragment asks for must be in the result, or the build stops with the option's name.

mod fragments;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cache::{Cache, Key};
use crate::plan::Cost;
use crate::progress;
use crate::repository;
use crate::tools::{KERNEL_SOURCE, Tools};
use fragments::{Fragment, lost, of_the_layer, patches, requested};

const KIND: &str = "kernel";
const KIND_MEASURED: &str = "kernel-measured";
/// What it has besides the fragments for every board.
const FRAGMENTS_MEASURED: [&str; 3] = ["crypt.cfg", "efi.cfg", "tpm.cfg"];
const KIND_FORCED: &str = "kernel-forced";
const FRAGMENTS_FORCED: [&str; 1] = ["force.cfg"];
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
const COST_MEASURED: Cost = Cost { what: "kernel for UEFI and TPM", disk_mib: 20, download_mib: 0, seconds: 240 };
const COST_FORCED: Cost = Cost { what: "kernel with everything built in", disk_mib: 15, download_mib: 0, seconds: 150 };
const COST_FOR_SIGNATURES: Cost = Cost { what: "kernel for signatures", disk_mib: 15, download_mib: 0, seconds: 25 };
/// Lines that a whole build prints, for the progress line.
const BUILD_LINES: u64 = 1590;
/// Where the certificate lies in the build tree.
const CERTIFICATE: &str = "certs/initoverlayfs.pem";
/// Where the mini-initramfs does that is built in.
const INITRAMFS: &str = "usr/initoverlayfs.cpio";
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

/// What [`ensure_forced`] puts into the kernel.
pub struct BuiltIn<'a> {
    /// A cpio archive.
    pub initramfs: &'a Path,
    /// The command line.
    pub command_line: &'a str,
}

/// What a kernel is made of, besides the source.
struct Inputs<'a> {
    fragments: &'a [Fragment],
    /// PEM.
    certificates: &'a [u8],
    built_in: Option<&'a BuiltIn<'a>>,
}

impl Inputs<'_> {
    /// Options whose values are this machine's, as a fragment; the files that they name go into `tree`.
    fn own_options(&self, tree: &Path) -> Result<String> {
        fs::write(tree.join(CERTIFICATE), self.certificates).context("cannot write the certificates")?;
        let trust = format!("CONFIG_SYSTEM_TRUSTED_KEYS=\"{CERTIFICATE}\"\n");
        let Some(built_in) = self.built_in else { return Ok(trust) };
        fs::copy(built_in.initramfs, tree.join(INITRAMFS)).context("cannot copy the initramfs")?;
        let command_line = built_in.command_line;
        ensure!(!command_line.contains(['"', '\\', '\n']), "Kconfig's quoting is not known here: {command_line}");
        Ok(format!("{trust}CONFIG_INITRAMFS_SOURCE=\"{INITRAMFS}\"\nCONFIG_CMDLINE=\"{command_line}\"\n"))
    }
}

/// What the first run costs; with the certificate unknown yet, there is no kernel either.
pub fn cost(cache: &Cache, tools: Option<&Tools>, certificate: Option<&Path>) -> Option<Cost> {
    let found = || {
        let key = key(tools?, &of_the_layer(&[]).ok()?, certificate?).ok()?;
        cache.find(KIND, &key)
    };
    found().is_none().then_some(COST)
}

/// What the tree in which all kernels are built costs whoever builds the first of them, and not that of most tests.
pub fn tree_cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any(KIND) && !cache.has_any(KIND_MEASURED)).then_some(COST)
}

/// What [`ensure_measured`] costs the first time, beside the tree.
pub fn measured_cost(cache: &Cache) -> Option<Cost> {
    (!cache.has_any(KIND_MEASURED)).then_some(COST_MEASURED)
}

/// What the kernels of the boot tests alone cost the first time.
pub fn test_costs(cache: &Cache) -> impl Iterator<Item = Cost> {
    [(KIND_FORCED, COST_FORCED), (KIND_FOR_SIGNATURES, COST_FOR_SIGNATURES)]
        .into_iter()
        .filter(|(kind, _)| !cache.has_any(kind))
        .map(|(_, cost)| cost)
}

/// The kernel that trusts `certificate_pem`, out of the cache or built.
///
/// # Errors
/// A fragment is contradicted or its option lost, or the build fails; the error ends with the log's last lines.
pub fn ensure(cache: &Cache, tools: &Tools, certificate_pem: &Path) -> Result<Kernel> {
    let fragments = of_the_layer(&[])?;
    let key = key(tools, &fragments, certificate_pem)?;
    let certificates = read(certificate_pem)?;
    let inputs = Inputs { fragments: &fragments, certificates: &certificates, built_in: None };
    let folder =
        cache.entry(KIND, &key, |folder| build(cache, tools, &inputs, folder).context("cannot build the kernel"))?;
    Kernel::in_folder(&folder)
}

/// The kernel for boots by firmware: it trusts `certificate_pem`, and has UEFI, TPM and dm-crypt.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_measured(cache: &Cache, tools: &Tools, certificate_pem: &Path) -> Result<Kernel> {
    let fragments = of_the_layer(&FRAGMENTS_MEASURED)?;
    let certificates = read(certificate_pem)?;
    let key = key(tools, &fragments, certificate_pem)?;
    variant(
        cache,
        tools,
        KIND_MEASURED,
        &key,
        &Inputs { fragments: &fragments, certificates: &certificates, built_in: None },
    )
}

/// The kernel that takes no other initramfs and no other command line than those that are built in.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_forced(cache: &Cache, tools: &Tools, certificate_pem: &Path, built_in: &BuiltIn<'_>) -> Result<Kernel> {
    let fragments = of_the_layer(&FRAGMENTS_FORCED)?;
    let certificates = read(certificate_pem)?;
    let key = key(tools, &fragments, certificate_pem)?
        .bytes("command line", built_in.command_line.as_bytes())
        .file("initramfs", built_in.initramfs)?;
    let inputs = Inputs { fragments: &fragments, certificates: &certificates, built_in: Some(built_in) };
    variant(cache, tools, KIND_FORCED, &key, &inputs)
}

/// The kernel that judges signatures: the same fragments and one of its own, trusting the corpus and `certificates_pem`.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_for_signatures(cache: &Cache, tools: &Tools, certificates_pem: &[PathBuf]) -> Result<Kernel> {
    let mut fragments = of_the_layer(&[])?;
    fragments.push(Fragment::read(repository::root().join(FRAGMENT_FOR_SIGNATURES))?);
    let mut certificates = String::new();
    for path in certificates_pem {
        certificates += &fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    for der in trusted_of_the_corpus()? {
        certificates += &pem(&der);
    }
    let key = fragments_key(tools, &fragments)?.bytes("certificates", certificates.as_bytes());
    let inputs = Inputs { fragments: &fragments, certificates: certificates.as_bytes(), built_in: None };
    variant(cache, tools, KIND_FOR_SIGNATURES, &key, &inputs)
}

/// Another kernel than the first, built in its tree.
fn variant(cache: &Cache, tools: &Tools, kind: &str, key: &Key, inputs: &Inputs<'_>) -> Result<Kernel> {
    let folder = cache.entry(kind, key, |folder| {
        // Whoever builds another of the kernels is in the same tree.
        let _lock = cache.lock(KIND)?;
        build(cache, tools, inputs, folder).with_context(|| format!("cannot build {kind}"))
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
    paths.iter().map(|path| read(path)).collect()
}

/// The textual form of a certificate (RFC 7468), as the kernel's build reads it.
fn pem(der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
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

fn key(tools: &Tools, fragments: &[Fragment], certificate: &Path) -> Result<Key> {
    fragments_key(tools, fragments)?.file("certificate", certificate)
}

/// A key of everything but certificates. Another comment in a fragment makes no other kernel.
fn fragments_key(tools: &Tools, fragments: &[Fragment]) -> Result<Key> {
    let options: Vec<String> = requested(fragments)?.into_values().collect();
    Ok(source_key(tools, &patches()?)?.bytes("options", options.join("\n").as_bytes()))
}

/// A key of the patched source.
fn source_key(tools: &Tools, patches: &[Fragment]) -> Result<Key> {
    let mut key = Key::new(RECIPE).bytes("source", tools.kernel_source_hash()?.as_bytes());
    for patch in patches {
        key = key.bytes(&patch.name(), patch.text.as_bytes());
    }
    Ok(key)
}

fn build(cache: &Cache, tools: &Tools, inputs: &Inputs<'_>, result: &Path) -> Result<()> {
    let requested = requested(inputs.fragments)?;
    let log = cache.log(KIND)?;
    fs::write(&log, "")?;
    let tree = source_tree(cache, tools, &log)?;
    let own = tree.join("certs/initoverlayfs.cfg");
    fs::write(&own, inputs.own_options(&tree)?).with_context(|| format!("cannot write {}", own.display()))?;

    let paths: Vec<&Path> = inputs.fragments.iter().map(|fragment| fragment.path.as_path()).collect();
    let mut merge = tools.command_in(&tree, "scripts/kconfig/merge_config.sh", &paths)?;
    merge.envs([("ARCH", "arm64"), ("CROSS_COMPILE", "aarch64-linux-gnu-")]);
    merge.arg("-n").args(&paths).arg(&own);
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

/// The unpacked and patched source, with the objects of the last build.
fn source_tree(cache: &Cache, tools: &Tools, log: &Path) -> Result<PathBuf> {
    let patches = patches()?;
    let folder = cache.work_dir(KIND, &source_key(tools, &patches)?)?;
    let tree = folder.join("linux-source-6.12");
    let unpacked = folder.join("unpacked");
    if !unpacked.exists() {
        if tree.exists() {
            // Half of it: a patch goes on only once.
            fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
        }
        let mut tar = tools.command_in(&folder, "tar", &[])?;
        tar.args(["--extract", "--no-same-owner", "--wildcards", "--file", KERNEL_SOURCE]);
        tar.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")));
        progress::run("kernel: unpacking the source", 0, log, &mut tar)?;
        for patch in &patches {
            let mut command = tools.command_in(&tree, "patch", &[&patch.path])?;
            command.args(["--strip=1", "--fuzz=0", "--input"]).arg(&patch.path);
            progress::run("kernel: patch", 0, log, &mut command)?;
        }
        fs::write(unpacked, "")?;
    }
    Ok(tree)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
