# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: Debian's arm64 user space as the real root, under the package name of openembedded-core's"
DESCRIPTION = "The root file system of the boot tests, whose multi-user.target reports."
SECTION = "base"
LICENSE = "GPL-2.0-or-later & LGPL-2.1-or-later & MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

STANDIN_PACKAGE = "packagegroup-core-boot"
# Set by xtask: the files as a tar.
STANDIN_TREE = "${STANDIN_ROOT}"
STANDIN_ROOT ?= "/nonexistent"
STANDIN_ROOT[doc] = "The tree's tar."
require recipes-standin/standin-tree.inc
