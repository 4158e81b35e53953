# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "Shows the log of a boot by storage-init: table, JSON, picture"
DESCRIPTION = "Decodes /run/initoverlayfs/boot.defmt, or with --previous the log that a failed boot left in pstore."
SECTION = "devel"

INITOVERLAYFS_PACKAGE = "bootlog"
require recipes-core/initoverlayfs-rust.inc

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/bootlog ${D}${bindir}/bootlog
}

# Without the strings of the build that booted there is nothing to show.
RDEPENDS:${PN}:class-target = "storage-init-strings"

BBCLASSEXTEND = "native nativesdk"
