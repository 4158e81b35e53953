# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: the build host's depmod, for modules below /usr/lib"
DESCRIPTION = "Debian's looks below /lib, which a root file system without base-files does not have."
SECTION = "base"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://depmod"
S = "${UNPACKDIR}"
inherit native
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    install -D -m 0755 ${UNPACKDIR}/depmod ${D}${base_sbindir}/depmod
}
