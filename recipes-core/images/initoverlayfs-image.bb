# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "The boot image: systemd and udev, which find and mount the real root"
DESCRIPTION = "What an initrd used to hold, as a signed image of which a boot reads the blocks that it uses. INITOVERLAYFS_FEATURES adds \
cryptsetup, lvm2 and mdadm."
LICENSE = "MIT"

IMAGE_FSTYPES = "signed-ddi"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
# os-release-initrd: by /etc/initrd-release systemd knows that it has to go on to another root.
PACKAGE_INSTALL = "base-files base-passwd os-release os-release-initrd systemd udev kmod util-linux-mount util-linux-fsck e2fsprogs-e2fsck \
                   ${INITOVERLAYFS_FEATURES} ${ROOTFS_BOOTSTRAP_INSTALL}"
PACKAGE_EXCLUDE = "kernel-image-*"

inherit core-image features_check signed-ddi
REQUIRED_DISTRO_FEATURES = "initoverlayfs systemd"

# The root is read-only: what systemd would create at every boot has to be there.
ROOTFS_POSTPROCESS_COMMAND += "initoverlayfs_image_read_only"
initoverlayfs_image_read_only() {
    : > ${IMAGE_ROOTFS}${sysconfdir}/machine-id
    install -d ${IMAGE_ROOTFS}/sysroot ${IMAGE_ROOTFS}/dev ${IMAGE_ROOTFS}/proc ${IMAGE_ROOTFS}/sys ${IMAGE_ROOTFS}/run ${IMAGE_ROOTFS}/tmp
}
