# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: Debian's arm64 systemd, under the package names of openembedded-core's recipes"
DESCRIPTION = "One package has all files; the others are names that an image asks for."
SECTION = "base"
LICENSE = "GPL-2.0-or-later & LGPL-2.1-or-later & MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

STANDIN_PACKAGE = "systemd"
# Set by xtask: the files as a tar.
STANDIN_TREE = "${STANDIN_USERSPACE}"
STANDIN_USERSPACE ?= "/nonexistent"
STANDIN_USERSPACE[doc] = "The tree's tar."
require recipes-standin/standin-tree.inc

NAMES = "base-files base-passwd kmod run-postinsts udev util-linux-fsck util-linux-mount e2fsprogs-e2fsck"
PACKAGES += "${NAMES}"
python () {
    for name in d.getVar('NAMES').split():
        d.setVar('FILES:' + name, '')
        d.setVar('ALLOW_EMPTY:' + name, '1')
}
