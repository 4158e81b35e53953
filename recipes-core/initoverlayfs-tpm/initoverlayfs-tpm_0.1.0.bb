# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "Binds encrypted volumes to the TPM, for initoverlayfs and systemd to open"
DESCRIPTION = "Enrols LUKS2 volumes with the TPM by tokens of systemd's type, says what is enrolled and takes it away again, and latches the \
register that the image was measured into."
SECTION = "base"

INITOVERLAYFS_PACKAGE = "initoverlayfs-tpm"
require ../initoverlayfs-rust.inc

SRC_URI += "file://initoverlayfs-latch.service"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/initoverlayfs-tpm ${D}${bindir}/initoverlayfs-tpm
    # For an image, which is never changed: enabled by being installed.
    install -D -m 0644 ${UNPACKDIR}/initoverlayfs-latch.service ${D}${nonarch_libdir}/systemd/system/initoverlayfs-latch.service
    for dependent in initrd.target.wants initrd-switch-root.target.requires; do
        install -d ${D}${nonarch_libdir}/systemd/system/$dependent
        ln -s ../initoverlayfs-latch.service ${D}${nonarch_libdir}/systemd/system/$dependent/
    done
}

# For images whose own systemd opens volumes by the TPM.
PACKAGES =+ "${PN}-latch"
SUMMARY:${PN}-latch = "Latches the register of the image once its systemd has opened the volumes"
FILES:${PN}-latch = "${nonarch_libdir}/systemd/system"
RDEPENDS:${PN}-latch = "${PN}"

# It writes the headers of volumes. Of meta-oe: BitBake builds nothing for which a recommended package is not to be had.
RRECOMMENDS:${PN} = "${@bb.utils.contains('BBFILE_COLLECTIONS', 'openembedded-layer', 'cryptsetup', '', d)}"
