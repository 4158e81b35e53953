// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds as a user has them, with openembedded-core's own toolchain: for what does not take compiling it.

use anyhow::Result;

use super::Bench;
use super::build::Build;
use super::clones::Clones;
use crate::repository;

/// What this layer asks of meta-oe (INITOVERLAYFS_FEATURES, a `pkcs11:` key): its other thousand recipes take as long to parse as openembedded-core's.
const OTHERS_OF_META_OE: &str =
    "BBMASK = \"/meta-oe/recipes-(?!crypto/cryptsetup|support/(libssh|lvm2|pkcs11-provider)/|test/cmocka)\"\n";

/// What one asks of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// openembedded-core alone.
    Core,
    /// The layer is not there.
    WithoutLayer,
    /// The layer is there; the distribution does not ask for it.
    Inert,
    /// The distribution asks for it.
    Plain,
    /// As that, with all recipes of meta-oe.
    Whole,
    /// The mini-initramfs is bundled into the kernel.
    Bundle,
    /// Kernel and mini-initramfs are one UEFI program, and the key of the image is in a PKCS#11 token.
    Uki,
    /// The mini-initramfs is made with musl.
    Musl,
}

impl Variant {
    /// Its folder, behind the name of the series.
    fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            // One folder for what is compared: openembedded-core has its name in the signature of do_rootfs.
            Self::WithoutLayer | Self::Inert => "inert",
            Self::Plain => "plain",
            Self::Whole => "whole",
            Self::Bundle => "bundle",
            Self::Uki => "uki",
            Self::Musl => "musl",
        }
    }

    fn settings(self) -> &'static str {
        match self {
            Self::Core | Self::WithoutLayer | Self::Inert | Self::Plain | Self::Whole => "",
            Self::Bundle => {
                "INITRAMFS_IMAGE = \"mini-initramfs\"\nINITRAMFS_IMAGE_BUNDLE = \"1\"\nINITRAMFS_FSTYPES = \"cpio\"\n"
            }
            Self::Uki => {
                "INITRAMFS_IMAGE = \"mini-initramfs\"\nINITRAMFS_FSTYPES = \"cpio\"\nMACHINE_FEATURES:append = \" efi\"\n\
                 EFI_PROVIDER = \"systemd-boot\"\nIMAGE_CLASSES:append:pn-initoverlayfs-disk = \" uki\"\n\
                 INITOVERLAYFS_SIGNING_KEY:forcevariable = \"pkcs11:token=release;object=boot\"\n\
                 # Any file: nothing signs here.\n\
                 INITOVERLAYFS_OPENSSL_CONF = \"${TOPDIR}/conf/local.conf\"\n"
            }
            Self::Musl => {
                "BBMULTICONFIG = \"initoverlayfs-musl\"\nINITRAMFS_MULTICONFIG = \"initoverlayfs-musl\"\n\
                 INITRAMFS_DEPLOY_DIR_IMAGE = \"${TOPDIR}/tmp-initoverlayfs-musl/deploy/images/${MACHINE}\"\n\
                 INITRAMFS_IMAGE = \"mini-initramfs\"\nINITRAMFS_IMAGE_BUNDLE = \"1\"\nINITRAMFS_FSTYPES = \"cpio\"\n"
            }
        }
    }
}

/// The build, configured.
///
/// # Errors
/// The folder cannot be written, or BitBake does not start in it.
pub fn build<'a>(bench: &'a Bench, clones: &'a Clones, variant: Variant) -> Result<Build<'a>> {
    let folder = bench.work.join(clones.series.name).join(variant.name());
    let mut layers = Vec::new();
    let mut settings = variant.settings().to_owned();
    if variant != Variant::Core {
        layers.push(clones.meta_oe.clone());
    }
    if !matches!(variant, Variant::Core | Variant::WithoutLayer) {
        layers.push(repository::root().to_owned());
    }
    if variant != Variant::Whole {
        settings.push_str(OTHERS_OF_META_OE);
    }
    if !matches!(variant, Variant::Core | Variant::WithoutLayer | Variant::Inert) {
        settings.push_str(&format!(
            "INIT_MANAGER = \"systemd\"\nDISTRO_FEATURES:append = \" initoverlayfs\"\n\
             INITOVERLAYFS_FEATURES = \"cryptsetup lvm2 mdadm\"\n\
             INITOVERLAYFS_SIGNING_KEY = \"{}\"\nINITOVERLAYFS_CERTIFICATE = \"{}\"\n",
            bench.keys.key_pem.display(),
            bench.keys.certificate_pem.display()
        ));
    }
    let paths = vec![bench.keys.key_pem.clone(), bench.keys.certificate_pem.clone()];
    let build = Build { host: &bench.host, clones, folder, layers, settings, paths };
    build.configure()?;
    build.begin()?;
    Ok(build)
}
