# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "The mini-initramfs: storage-init, its configuration, certificates and kernel modules"
DESCRIPTION = "The initramfs that the kernel starts. Nothing else is in it: no shell, no udev, no library."
LICENSE = "MIT"

# kernel-base has the list of what is built in.
PACKAGE_INSTALL = "storage-init kernel-base packagegroup-initoverlayfs-modules"
PACKAGE_EXCLUDE = "kernel-image-*"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_NAME_SUFFIX ?= ""
# Not compressed is fastest to boot: INITRAMFS_FSTYPES = "cpio".
IMAGE_FSTYPES = "${INITRAMFS_FSTYPES}"

inherit core-image features_check mini-initramfs
REQUIRED_DISTRO_FEATURES = "initoverlayfs"

IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
