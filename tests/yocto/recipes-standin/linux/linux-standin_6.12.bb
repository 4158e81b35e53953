# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: Debian's arm64 kernel in place of linux-yocto"
DESCRIPTION = "What `cargo xtask yocto` unpacked of the package linux-image-arm64: storage drivers and file systems are modules."
SECTION = "kernel"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/GPL-2.0-only;md5=801f80980d171dd6425610833a22dbe6"
PROVIDES = "virtual/kernel"

# Set by xtask: a folder with boot/ and usr/lib/modules/, and the name of the kernel in it. The name changes with the contents.
STANDIN_KERNEL_ROOT ?= "/nonexistent"
STANDIN_KERNEL_ROOT[doc] = "Where the kernel was unpacked."
STANDIN_KERNEL_RELEASE ?= "0"
STANDIN_KERNEL_RELEASE[doc] = "What uname -r says of it."
KERNEL_VERSION = "${STANDIN_KERNEL_RELEASE}"
KERNEL_PACKAGE_NAME = "kernel"

inherit deploy kernel-module-split
COMPATIBLE_MACHINE = "qemuarm64"
PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"
DEPENDS = "kmod-native"

S = "${UNPACKDIR}"
do_configure[noexec] = "1"
do_compile[noexec] = "1"

# Only what a boot from virtio, eMMC, UFS or NVMe can need, and what that needs: to make packages of 4000 modules takes minutes.
STANDIN_MODULES = "\
    aes-ce-blk aes-ce-cipher crc32c-arm64 crc32c_generic dm-crypt dm-verity erofs ext4 loop mmc_block nls_ascii nls_cp437 nls_iso8859-1 nvme overlay sd_mod \
    sdhci-pci sha2-ce sha256-arm64 sha256_generic ufshcd-core ufshcd-pci vfat virtio_blk virtio_console virtio_pci xts \
"
do_install() {
    modules=${nonarch_base_libdir}/modules/${KERNEL_VERSION}
    install -d ${D}$modules
    cd ${STANDIN_KERNEL_ROOT}/usr/lib/modules/${KERNEL_VERSION}
    # A line of modules.dep is `FILE: FILE...`, with all that is to be loaded before. What is built in has none.
    for name in ${STANDIN_MODULES}; do
        for file in $(sed -n "s|^\(.*/$name\.ko[.a-z]*\):|\1|p" modules.dep); do
            cp --parents $file ${D}$modules
        done
    done
    cp modules.order modules.builtin modules.builtin.modinfo ${D}$modules
    install -D -m 0644 ${STANDIN_KERNEL_ROOT}/boot/vmlinuz-${KERNEL_VERSION} ${D}/boot/Image-${KERNEL_VERSION}
}

# What depmodwrapper looks for.
PACKAGEFUNCS =+ "standin_depmod_data"
standin_depmod_data() {
    install -d ${PKGDESTWORK}/kernel-depmod
    echo ${KERNEL_VERSION} > ${PKGDESTWORK}/kernel-depmod/kernel-abiversion
}

do_deploy() {
    install -m 0644 ${STANDIN_KERNEL_ROOT}/boot/vmlinuz-${KERNEL_VERSION} ${DEPLOYDIR}/Image
}
addtask deploy after do_install before do_build

# Others wait for these tasks of a kernel.
do_shared_workdir() {
    :
}
addtask shared_workdir after do_configure before do_install

PACKAGES = "kernel kernel-base kernel-image kernel-modules"
PACKAGES_DYNAMIC = "^kernel-module-.*"
RPROVIDES:kernel = "kernel-${KERNEL_VERSION}"
FILES:kernel = ""
FILES:kernel-base = "${nonarch_base_libdir}/modules/${KERNEL_VERSION}/modules.*"
FILES:kernel-image = "/boot/*"
ALLOW_EMPTY:kernel = "1"
ALLOW_EMPTY:kernel-modules = "1"
PKG:kernel-image = "kernel-image-image"
INSANE_SKIP:kernel-image = "arch"
EXCLUDE_FROM_SHLIBS = "1"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_SYSROOT_STRIP = "1"
