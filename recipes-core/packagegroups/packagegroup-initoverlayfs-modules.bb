# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "The kernel modules that a mini-initramfs may hold"
DESCRIPTION = "Recommendations alone: what a kernel has built in has no package. The program mini-initramfs takes out of them what \
the configuration names, and what that needs."

# The packages are the machine's kernel's.
PACKAGE_ARCH = "${MACHINE_ARCH}"
inherit packagegroup features_check
REQUIRED_DISTRO_FEATURES = "initoverlayfs"

require conf/initoverlayfs.inc

# What others need by their symbols comes along; what they ask the kernel for by an algorithm's name (crc32c) has to be named.
MODULES = "dm-mod dm-bufio dm-verity erofs vfat fat nls-cp437 nls-iso8859-1 loop overlay \
           libcrc32c crc32c-generic crc32c-cryptoapi \
           sha256-generic sha256-arm64 sha2-ce libsha256 \
           dm-crypt xts aes-generic aes-ce-cipher aes-ce-blk \
           mmc-core mmc-block nvme nvme-core ufshcd-core scsi-mod sd-mod virtio-pci virtio-blk"
# By name, as packages have it: `sdhci_pci` is in kernel-module-sdhci-pci.
MODULES += "${@(d.getVar('INITOVERLAYFS_MODULES') or '').replace('_', '-')}"
RRECOMMENDS:${PN} = "${@' '.join('kernel-module-' + name for name in d.getVar('MODULES').split())}"
