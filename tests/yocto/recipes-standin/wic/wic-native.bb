# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: wic as it was in openembedded-core, before it got a repository of its own"
DESCRIPTION = "Out of the history of the clone that the build has: nothing is fetched."
SECTION = "devel"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/GPL-2.0-only;md5=801f80980d171dd6425610833a22dbe6"

# Set by xtask: scripts/wic and what it is made of, as a tar.
STANDIN_WIC ?= "/nonexistent"
STANDIN_WIC[doc] = "The program's tar."
# wic imports the library `oe`, and that `bb`: as a part of openembedded-core it found them beside it.
STANDIN_LIBRARIES = "${COREBASE}/meta/lib:${@os.path.dirname(os.path.dirname(bb.__file__))}"

S = "${UNPACKDIR}"
inherit native
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    install -d ${D}${datadir}/wic ${D}${bindir}
    tar --extract --no-same-owner --directory ${D}${datadir}/wic --file ${STANDIN_WIC}
    printf '#!/bin/sh\nPYTHONPATH=%s exec python3 ${datadir}/wic/scripts/wic "$@"\n' '${STANDIN_LIBRARIES}' > ${D}${bindir}/wic
    chmod 0755 ${D}${bindir}/wic
}
do_install[file-checksums] += "${STANDIN_WIC}:True"
# Contents count, not where they lie.
do_install[vardepsexclude] += "STANDIN_WIC STANDIN_LIBRARIES"
