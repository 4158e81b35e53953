// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--kernel`: which kernel a boot has, and which modules that takes.

use boot_record::config::SignaturePath;

use super::storage::Storage;

/// The kernel of a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KernelChoice {
    /// Built from the layer's fragments: everything is built in, and it has the development certificate
    #[default]
    BuiltIn,
    /// Debian's own: drivers and file systems are modules, and it does not have the certificate
    Modules,
    /// As built-in, with UEFI, TPM and dm-crypt: what a boot by firmware has
    #[value(skip)]
    Measured,
    /// As built-in, with the mini-initramfs and [`FORCED_COMMAND_LINE`] in it, and it takes no others
    #[value(skip)]
    Forced,
    /// As built-in, with every algorithm and certificate of the corpus of signatures: for their tests
    #[value(skip)]
    Signatures,
}

/// The command line of [`KernelChoice::Forced`].
pub const FORCED_COMMAND_LINE: &str = "console=ttyAMA0 panic=-1";

/// What every boot needs: dm-verity and its hash, the DDI's file system, the ESP's with its code page and character set
/// (CONFIG_FAT_DEFAULT_...), a loop device for the file on it, the writable layer, and the port of the report.
const ALWAYS: &str =
    "dm_mod dm_verity crypto-sha256 erofs vfat nls_cp437 nls_ascii loop overlay virtio_pci virtio_console";

impl KernelChoice {
    /// Who has to check signatures.
    #[must_use]
    pub fn signature(self) -> SignaturePath {
        match self {
            Self::BuiltIn | Self::Measured | Self::Forced | Self::Signatures => SignaturePath::Kernel,
            Self::Modules => SignaturePath::UserSpace,
        }
    }

    /// Lines of the configuration for it: the modules that the boot needs. Those that Debian has built in are among them:
    /// which those are is for `mini-initramfs` to find out.
    #[must_use]
    pub fn config_lines(self, storage: Storage) -> String {
        match self {
            Self::BuiltIn | Self::Measured | Self::Forced | Self::Signatures => String::new(),
            Self::Modules => format!("modules = {ALWAYS}\nmodules = {}\n", drivers(storage)),
        }
    }

    /// As [`Self::config_lines`], for what the real root is mounted with by the DDI, which has no modules.
    #[must_use]
    pub fn config_lines_of_root(self) -> &'static str {
        match self {
            Self::BuiltIn | Self::Measured | Self::Forced | Self::Signatures => "",
            Self::Modules => "modules = ext4",
        }
    }
}

/// The drivers between the board's PCI bus and a disk.
fn drivers(storage: Storage) -> &'static str {
    match storage {
        Storage::Virtio => "virtio_blk",
        Storage::Emmc | Storage::Sd => "sdhci_pci mmc_block",
        Storage::Ufs => "ufshcd_pci sd_mod",
        Storage::Nvme => "nvme",
    }
}
