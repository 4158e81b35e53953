// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every boot is put together from: kernel, boot binary, keys, `ddi`, each built once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use boot_record::config::{SignaturePath, Source};

use super::kernel_choice::{FORCED_COMMAND_LINE, KernelChoice};
use super::storage::Storage;
use crate::cache::Cache;
use crate::debian_kernel;
use crate::disk::{DdiProgram, Initramfs, InitramfsProgram};
use crate::kernel::{self, BuiltIn, Kernel};
use crate::keys::{self, Keys};
use crate::repository;
use crate::tamper::Signer;
use crate::target;
use crate::tools::Tools;

/// The image that boots are configured for.
pub const IMAGE_ID: &str = "initoverlayfs";
/// Measures nothing.
const NO_MEASURE: &str = "none";
/// Name of the trusted certificate in the mini-initramfs.
const CERTIFICATE: &str = "signer.der";

/// Package and program of the boot binary.
const STORAGE_INIT: &str = "storage-init";

/// What the boot binary is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootBinary {
    /// What every boot needs.
    Least,
    /// And a TPM.
    Tpm,
    /// And its own check of signatures: everything that there is.
    Everything,
}

impl BootBinary {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Least, Self::Tpm, Self::Everything];

    /// The features of the package.
    const fn features(self) -> &'static [&'static str] {
        match self {
            Self::Least => &[],
            Self::Tpm => &["tpm"],
            Self::Everything => &["tpm", "user-signature"],
        }
    }

    /// The smallest that does what a configuration asks for.
    fn of(config: &Config) -> Self {
        match config.signature {
            SignaturePath::UserSpace => Self::Everything,
            SignaturePath::Kernel if config.measure != NO_MEASURE => Self::Tpm,
            SignaturePath::Kernel => Self::Least,
        }
    }

    /// Builds it.
    ///
    /// # Errors
    /// As [`target::build`].
    pub fn build(self, cache: &Cache, tools: &Tools) -> Result<PathBuf> {
        target::build(cache, tools, &repository::root().join("rust"), STORAGE_INIT, self.features())
    }
}

/// The parts.
pub struct Parts {
    /// The tools root.
    pub tools: Tools,
    /// The kernel, with the development certificate built in.
    pub kernel: Kernel,
    /// The boot binaries, each once a boot has asked for it; or why it cannot be built.
    boot_binaries: [OnceLock<Result<PathBuf, String>>; BootBinary::ALL.len()],
    /// The host's `ddi`.
    pub ddi: DdiProgram,
    mini_initramfs: InitramfsProgram,
    development: Keys,
}

impl Parts {
    /// Builds what is not in the cache yet.
    ///
    /// # Errors
    /// A part cannot be built.
    pub fn make(cache: &Cache) -> Result<Self> {
        let tools = Tools::ensure(cache)?;
        let development = keys::development(cache, &tools)?;
        let kernel = kernel::ensure(cache, &tools, &development.certificate_pem)?;
        let ddi = DdiProgram::build()?;
        let mini_initramfs = InitramfsProgram::build()?;
        Ok(Self { tools, kernel, boot_binaries: Default::default(), ddi, mini_initramfs, development })
    }

    /// Builds the probe, init of small DDIs.
    ///
    /// # Errors
    /// The build fails.
    pub fn probe(&self, cache: &Cache) -> Result<PathBuf> {
        target::build(cache, &self.tools, &repository::root().join("tests/boot/probe"), "probe", &[])
    }

    /// Builds `bootlog` for the target.
    ///
    /// # Errors
    /// The build fails.
    pub fn bootlog(&self, cache: &Cache) -> Result<PathBuf> {
        target::build_without_unwinder(cache, &self.tools, &repository::root().join("rust"), "bootlog")
    }

    /// Builds `initoverlayfs-tpm` for the target.
    ///
    /// # Errors
    /// The build fails.
    pub fn initoverlayfs_tpm(&self, cache: &Cache) -> Result<PathBuf> {
        target::build_without_unwinder(cache, &self.tools, &repository::root().join("rust"), "initoverlayfs-tpm")
    }

    /// The keys of a signer, made first if they are not there.
    ///
    /// # Errors
    /// openssl fails.
    pub fn keys(&self, cache: &Cache, signer: Signer) -> Result<Keys> {
        match signer {
            Signer::Development => Ok(self.development.clone()),
            Signer::Other => keys::named(cache, &self.tools, "other"),
            Signer::Impostor => keys::impostor(cache, &self.tools),
            Signer::P256 => keys::elliptic(cache, &self.tools, "p256"),
            Signer::P384 => keys::elliptic(cache, &self.tools, "p384"),
        }
    }

    /// The kernel that judges signatures. It trusts the corpus, and the keys of every kind that may sign.
    fn kernel_for_signatures(&self, cache: &Cache) -> Result<Kernel> {
        let mut trusted = Vec::new();
        for signer in [Signer::Development, Signer::P256, Signer::P384] {
            trusted.push(self.keys(cache, signer)?.certificate_pem);
        }
        kernel::ensure_for_signatures(cache, &self.tools, &trusted)
    }

    /// A boot binary: a copy without symbols.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn boot_binary(&self, cache: &Cache, binary: BootBinary) -> Result<&Path> {
        let [least, tpm, everything] = &self.boot_binaries;
        let built = match binary {
            BootBinary::Least => least,
            BootBinary::Tpm => tpm,
            BootBinary::Everything => everything,
        };
        built
            .get_or_init(|| binary.build(cache, &self.tools).map_err(|error| format!("{error:#}")))
            .as_deref()
            .map_err(|error| anyhow!("{error}"))
    }

    /// Writes the mini-initramfs for a configuration, and gives the kernel's image that it is for.
    ///
    /// # Errors
    /// `mini-initramfs` fails, or the kernel cannot be had.
    pub fn write_initramfs(&self, cache: &Cache, config: &Config, path: &Path) -> Result<PathBuf> {
        let modules = match config.kernel {
            KernelChoice::Modules => {
                let modules = || debian_kernel::ensure(cache, &self.tools).map(|kernel| kernel.modules);
                Some(config.modules_folder.clone().map_or_else(modules, Ok)?)
            }
            _ => None,
        };
        let certificate = self.keys(cache, config.certificate)?.certificate_der;
        let initramfs = Initramfs {
            init: self.boot_binary(cache, config.boot_binary.unwrap_or_else(|| BootBinary::of(config)))?,
            config: &config.text(),
            certificates: &[(CERTIFICATE, &certificate)],
            modules: modules.as_deref(),
        };
        self.mini_initramfs.write(&initramfs, path)?;
        self.kernel_image(cache, config.kernel, path)
    }

    /// The image of a kernel; `initramfs` is built into the one that takes no other.
    fn kernel_image(&self, cache: &Cache, choice: KernelChoice, initramfs: &Path) -> Result<PathBuf> {
        let certificate = &self.development.certificate_pem;
        let kernel = match choice {
            KernelChoice::BuiltIn => return Ok(self.kernel.image.clone()),
            KernelChoice::Modules => return Ok(debian_kernel::ensure(cache, &self.tools)?.image),
            KernelChoice::Measured => kernel::ensure_measured(cache, &self.tools, certificate)?,
            KernelChoice::Forced => {
                let built_in = BuiltIn { initramfs, command_line: FORCED_COMMAND_LINE };
                kernel::ensure_forced(cache, &self.tools, certificate, &built_in)?
            }
            KernelChoice::Signatures => self.kernel_for_signatures(cache)?,
        };
        Ok(kernel.image)
    }
}

/// What differs between the configurations of boots in QEMU.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where images are looked for, in order.
    pub sources: Vec<Source>,
    /// True: a writable layer.
    pub overlay: bool,
    /// What the disk is: the pattern of disks that may be looked at is the storage's.
    pub storage: Storage,
    /// Who checks signatures.
    pub signature: SignaturePath,
    /// Another boot binary than the smallest that does what is configured.
    pub boot_binary: Option<BootBinary>,
    /// Whose certificate is configured.
    pub certificate: Signer,
    /// Which kernel is booted.
    pub kernel: KernelChoice,
    /// Another folder of modules than the kernel's own.
    pub modules_folder: Option<PathBuf>,
    /// Another pattern.
    pub device: Option<&'static str>,
    /// How long to wait for a disk.
    pub device_deadline: &'static str,
    /// Keys that the command line may have besides `console` and `panic`.
    pub cmdline_allow: &'static str,
    /// What is done about measuring: the value of the key, and further lines for it.
    pub measure: &'static str,
    /// Further lines.
    pub more: &'static str,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sources: vec![Source::EspFile, Source::Partition],
            overlay: false,
            storage: Storage::default(),
            signature: SignaturePath::Kernel,
            boot_binary: None,
            certificate: Signer::Development,
            kernel: KernelChoice::default(),
            modules_folder: None,
            device: None,
            device_deadline: "2s",
            cmdline_allow: "",
            measure: NO_MEASURE,
            more: "",
        }
    }
}

impl Config {
    /// Text of /etc/initoverlayfs.conf (docs/formats.md).
    fn text(&self) -> String {
        let sources: Vec<String> = self.sources.iter().map(Source::to_string).collect();
        let overlay = if self.overlay { "on" } else { "off" };
        let device = self.device.unwrap_or_else(|| self.storage.pattern());
        format!(
            "# Boot tests on QEMU's virt board.\n\
             image-id = {IMAGE_ID}\n\
             sources = {}\n\
             device = {device}\n\
             device-deadline = {}\n\
             signature = {}\n\
             certificate = {CERTIFICATE}\n\
             esp-free-count = trust\n\
             overlay = {overlay}\n\
             cmdline-allow = console panic {}\n\
             measure = {}\n\
             {}{}\n",
            sources.join(" "),
            self.device_deadline,
            self.signature,
            self.cmdline_allow,
            self.measure,
            self.kernel.config_lines(self.storage),
            self.more
        )
    }

    /// Whether storage-init will look at a disk.
    #[cfg(test)]
    pub(super) fn allows(&self, devpath: &str) -> Option<bool> {
        Some(boot_record::config::parse(self.text().as_bytes()).ok()?.allows_device(devpath))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_configuration_is_one_that_storage_init_takes() {
        let config = Config { overlay: true, ..Config::default() };
        let parsed = boot_record::config::parse(config.text().as_bytes()).unwrap();
        assert_eq!(parsed.image_id, IMAGE_ID);
        assert!(parsed.overlay);
        assert!(parsed.modules.is_empty());
        for storage in Storage::ALL {
            let config = Config { storage, kernel: KernelChoice::Modules, ..Config::default() };
            let parsed = boot_record::config::parse(config.text().as_bytes()).unwrap();
            assert!(parsed.modules.len() > 11, "{storage:?}");
        }
    }
}
