# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: the configuration that openembedded-core's apt has, for the build host's apt"
DESCRIPTION = "A template of apt.conf: what do_rootfs reads of a package feed in a folder."
SECTION = "devel"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://apt.conf.sample file://dpkg-root"
S = "${UNPACKDIR}"
inherit native
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    install -D -m 0644 ${UNPACKDIR}/apt.conf.sample ${D}${sysconfdir}/apt/apt.conf.sample
    install -D -m 0755 ${UNPACKDIR}/dpkg-root ${D}${bindir}/dpkg-root
}
