# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: names that the SDK's tasks resolve and never run"
DESCRIPTION = "populate_sdk_base of every image depends on them."
SECTION = "devel"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"
S = "${UNPACKDIR}"

NAMES = "meta-environment-extsdk-${MACHINE}"
PROVIDES += "${NAMES}"
PACKAGES = "${PN}"
ALLOW_EMPTY:${PN} = "1"
RPROVIDES:${PN} = "${NAMES}"
