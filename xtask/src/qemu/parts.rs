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
/// Name of the trusted certificate in the mini-initramfs.
const CERTIFICATE: &str = "signer.der";

/// Package and program of the boot binary.
const BOOT_BINARY: &str = "storage-init";

/// The parts.
pub struct Parts {
    /// The tools root.
    pub tools: Tools,
    /// The kernel, with the development certificate built in.
    pub kernel: Kernel,
    /// The static boot binary.
    pub storage_init: PathBuf,
    /// The same with its own check of signatures, once a boot has asked for it; or why it cannot be built.
    with_user_signature: OnceLock<Result<PathBuf, String>>,
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
        let workspace = repository::root().join("rust");
        let storage_init = target::build(cache, &tools, &workspace, BOOT_BINARY, &[])?;
        let ddi = DdiProgram::build()?;
        let mini_initramfs = InitramfsProgram::build()?;
        Ok(Self { tools, kernel, storage_init, with_user_signature: OnceLock::new(), ddi, mini_initramfs, development })
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

    /// The boot binary for who checks signatures.
    fn init(&self, cache: &Cache, config: &Config) -> Result<&Path> {
        match config.signature {
            SignaturePath::UserSpace if !config.without_user_signature => self
                .with_user_signature
                .get_or_init(|| {
                    let workspace = repository::root().join("rust");
                    target::build(cache, &self.tools, &workspace, BOOT_BINARY, &["user-signature"])
                        .map_err(|error| format!("{error:#}"))
                })
                .as_deref()
                .map_err(|error| anyhow!("{error}")),
            SignaturePath::Kernel | SignaturePath::UserSpace => Ok(&self.storage_init),
        }
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
            init: self.init(cache, config)?,
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
    /// storage-init is the one that cannot check them, whatever the line before says.
    pub without_user_signature: bool,
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
            without_user_signature: false,
            certificate: Signer::Development,
            kernel: KernelChoice::default(),
            modules_folder: None,
            device: None,
            device_deadline: "2s",
            cmdline_allow: "",
            measure: "none",
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
