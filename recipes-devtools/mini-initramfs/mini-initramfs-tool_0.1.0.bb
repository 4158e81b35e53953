# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "Makes the mini-initramfs of initoverlayfs"
DESCRIPTION = "Puts the boot binary, its configuration, certificates and kernel modules into a cpio archive; resolves modules as \
modprobe would, and refuses what the boot stage would refuse."
SECTION = "devel"

INITOVERLAYFS_PACKAGE = "mini-initramfs"
require recipes-core/initoverlayfs-rust.inc

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/mini-initramfs ${D}${bindir}/mini-initramfs
}

BBCLASSEXTEND = "native nativesdk"
