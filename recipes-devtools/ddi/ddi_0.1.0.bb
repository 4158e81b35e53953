# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "Makes and checks signed images for initoverlayfs"
DESCRIPTION = "Builds UAPI discoverable disk images of an erofs, its dm-verity hash tree and a signature; joins signatures made \
elsewhere; checks images as the boot does."
SECTION = "devel"

INITOVERLAYFS_PACKAGE = "ddi"
require recipes-core/initoverlayfs-rust.inc

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/ddi ${D}${bindir}/ddi
}

# `ddi build --tree` and `--tar` run mkfs.erofs.
RRECOMMENDS:${PN}:class-target = "erofs-utils"

BBCLASSEXTEND = "native nativesdk"
