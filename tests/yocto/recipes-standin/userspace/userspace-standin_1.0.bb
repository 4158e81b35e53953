# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: Debian's arm64 systemd, under the package names of openembedded-core's recipes"
DESCRIPTION = "One package has all files; the others are names that an image asks for."
SECTION = "base"
LICENSE = "GPL-2.0-or-later & LGPL-2.1-or-later & MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

# Set by xtask: the files as a tar.
STANDIN_USERSPACE ?= "/nonexistent"
STANDIN_USERSPACE[doc] = "The tree's tar."

INHIBIT_DEFAULT_DEPS = "1"
S = "${UNPACKDIR}"
do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    tar --extract --no-same-owner --directory ${D} --file ${STANDIN_USERSPACE}
}
do_install[file-checksums] += "${STANDIN_USERSPACE}:True"
# Its contents count, not where it lies.
do_install[vardepsexclude] += "STANDIN_USERSPACE"

NAMES = "base-files base-passwd kmod run-postinsts udev util-linux-fsck util-linux-mount e2fsprogs-e2fsck"
PACKAGES = "systemd ${NAMES}"
FILES:systemd = "/*"
python () {
    for name in d.getVar('NAMES').split():
        d.setVar('FILES:' + name, '')
        d.setVar('ALLOW_EMPTY:' + name, '1')
}

# These files are Debian's: how they were made is not for this build to judge.
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_SYSROOT_STRIP = "1"
EXCLUDE_FROM_SHLIBS = "1"
SKIP_FILEDEPS = "1"
ERROR_QA = ""
WARN_QA = ""
deltask do_populate_sysroot
