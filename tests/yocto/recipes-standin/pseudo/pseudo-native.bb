# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: nothing, by the name of pseudo"
DESCRIPTION = "Setscene tasks want a recipe of this name; FAKEROOTCMD of the distribution does the work."
SECTION = "devel"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"
PROVIDES = "virtual/fakeroot-native"

S = "${UNPACKDIR}"
inherit native
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    :
}
