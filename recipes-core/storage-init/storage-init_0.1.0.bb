# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "PID 1 of the mini-initramfs: mounts a signed DDI and executes its init"
DESCRIPTION = "A static Rust binary that finds a UAPI discoverable disk image on the ESP or in a partition, has the \
kernel check its signature (or checks it itself), mounts it by dm-verity and hands over to its init."
SECTION = "base"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=a53353d5a740152cce4b59c6494c1394 \
                    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The sources are this layer's own: an edit in rust/ rebuilds. Cargo wants every member of the workspace to be there.
FILESEXTRAPATHS:prepend := "${THISDIR}/../../rust:${THISDIR}/../..:"
SRC_URI = "file://Cargo.toml \
           file://Cargo.lock \
           file://boot-formats \
           file://boot-record \
           file://bootlog \
           file://ddi \
           file://kernel-edge \
           file://mini-initramfs \
           file://signature-check \
           file://storage-init \
           file://tpm-policy \
           file://tpm-unlock \
           file://LICENSE-MIT \
           file://LICENSE-APACHE"

require ../initoverlayfs-crates.inc

S = "${UNPACKDIR}"

inherit cargo

# user-signature: `signature = user-space`, for kernels that cannot check signatures themselves (docs/boot-flow.md).
PACKAGECONFIG ??= ""
PACKAGECONFIG[user-signature] = ",,"
CARGO_BUILD_FLAGS += "--package storage-init \
                      ${@bb.utils.contains('PACKAGECONFIG', 'user-signature', '--features user-signature', '', d)}"

# oe-core's target specification knows static linking for musl only; elsewhere rustc would ignore the request and make
# a dynamic program, which cannot run where there is no loader.
python storage_init_static_target() {
    import glob, json
    for path in glob.glob(d.expand("${WORKDIR}/rust-targets/*.json")):
        with open(path) as file:
            target = json.load(file)
        target["crt-static-respected"] = True
        with open(path, "w") as file:
            json.dump(target, file, indent=4)
}
do_rust_gen_targets[postfuncs] += "storage_init_static_target"
RUSTFLAGS:append:class-target = " -Ctarget-feature=+crt-static -Crelocation-model=static"
# rustc names each library once, in one order; glibc's and gcc's static ones need each other (outline atomics of aarch64).
RUSTFLAGS:append:class-target = " -Clink-arg=-Wl,-Bstatic,--start-group,-lgcc,-lgcc_eh,-lc,--end-group"

do_install() {
    install -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/storage-init ${D}/init
    if ${READELF} --program-headers --wide ${D}/init | grep -q INTERP; then
        bbfatal "storage-init asks for a program interpreter: it is not static, and cannot run as PID 1 of the mini-initramfs"
    fi
}

# It is /init of an initramfs and nothing else: no other path of any image has it.
FILES:${PN} = "/init"
