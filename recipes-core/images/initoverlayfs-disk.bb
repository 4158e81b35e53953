# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "A disk to boot from: ESP with kernel and boot image, a partition with the boot image, a root file system"
DESCRIPTION = "An example for qemuarm64, and what a board's disk image can be made after (files/wic)."
LICENSE = "MIT"

IMAGE_FSTYPES = "wic wic.bmap"
IMAGE_FEATURES = "${EXTRA_IMAGE_FEATURES}"
IMAGE_INSTALL = "packagegroup-core-boot ${CORE_IMAGE_EXTRA_INSTALL}"

inherit core-image features_check kernel-artifact-names
REQUIRED_DISTRO_FEATURES = "initoverlayfs systemd"
require conf/initoverlayfs.inc
# wic waits for the image of this name.
INITRAMFS_IMAGE ?= "mini-initramfs"

WKS_FILE = "initoverlayfs-disk.wks.in"
# The image under the name that storage-init looks for.
INITOVERLAYFS_NAME = "${INITOVERLAYFS_IMAGE_ID}_${INITOVERLAYFS_IMAGE_VERSION}"
INITOVERLAYFS_DDI = "initoverlayfs-image${IMAGE_MACHINE_SUFFIX}${IMAGE_NAME_SUFFIX}.signed-ddi"
# What starts on the ESP: with `inherit uki` the UKI, where firmware looks first. With INITRAMFS_IMAGE_BUNDLE the kernel of that build, which
# has the mini-initramfs in it. Else both, for a boot loader to load.
INITOVERLAYFS_UKI = "${UKI_FILENAME};EFI/BOOT/${EFI_BOOT_IMAGE}"
INITOVERLAYFS_BUNDLED = "${KERNEL_IMAGETYPE}-${INITRAMFS_LINK_NAME}${KERNEL_IMAGE_BIN_EXT};${KERNEL_IMAGETYPE}"
INITOVERLAYFS_BESIDE = "${KERNEL_IMAGETYPE} \
                        ${INITRAMFS_DEPLOY_DIR_IMAGE}/mini-initramfs${IMAGE_MACHINE_SUFFIX}.${@d.getVar('INITRAMFS_FSTYPES').split()[0]};mini-initramfs.cpio"
IMAGE_BOOT_FILES = "${@d.getVar(initoverlayfs_disk_start(d))} \
                    ${INITOVERLAYFS_DDI};initoverlayfs/${INITOVERLAYFS_NAME}.raw"
# With INITRAMFS_MULTICONFIG it is another configuration's.
INITRAMFS_DEPLOY_DIR_IMAGE ?= "${DEPLOY_DIR_IMAGE}"
do_image_wic[depends] += "initoverlayfs-image:do_image_complete virtual/kernel:do_deploy"

def initoverlayfs_disk_start(d):
    if bb.data.inherits_class('uki', d):
        return 'INITOVERLAYFS_UKI'
    return 'INITOVERLAYFS_BUNDLED' if bb.utils.to_boolean(d.getVar('INITRAMFS_IMAGE_BUNDLE')) else 'INITOVERLAYFS_BESIDE'

# What wic's plugin takes for a name on the ESP has neither.
python () {
    version = d.getVar('INITOVERLAYFS_IMAGE_VERSION') or ''
    if '~' in version or '^' in version:
        # Other images may have such a version.
        raise bb.parse.SkipRecipe('INITOVERLAYFS_IMAGE_VERSION = "%s": initoverlayfs-disk cannot put a name with "~" or "^" on the ESP' % version)
}
