# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "TEST ONLY: Rust's standard library for openembedded-core's target specification"
DESCRIPTION = "Built by cargo -Zbuild-std with the build host's compiler, from the source that belongs to it."
SECTION = "devel"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

S = "${UNPACKDIR}"
RUSTLIB_DEP = ""
inherit cargo

# The library's own crates lie beside it; Debian leaves out those of its tests, so it cannot be built as a workspace.
CARGO_VENDORING_DIRECTORY = "/usr/lib/rustlib/src/rust/library/vendor"

# A crate of nothing: what cargo builds for it is std. That aborts on panic, as all programs of rust/ do: with -Zbuild-std
# one library is for one strategy. openembedded-core's is for both (since Rust 1.89).
do_configure:append() {
    mkdir -p ${S}/src
    printf '[package]\nname = "nothing"\nversion = "0.0.0"\nedition = "2024"\n\n[profile.release]\npanic = "abort"\n' > ${S}/Cargo.toml
    printf 'version = 4\n\n[[package]]\nname = "nothing"\nversion = "0.0.0"\n' > ${S}/Cargo.lock
    : > ${S}/src/lib.rs
}
CARGO_BUILD_FLAGS += "-Zbuild-std=std,panic_abort"
# With bitcode for programs that want LTO; programs may not use the library's own crates.
RUSTFLAGS += "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked"

do_install() {
    install -d ${D}${rustlibdir}
    install -m 0644 ${B}/target/${CARGO_TARGET_SUBDIR}/deps/*.rlib ${D}${rustlibdir}
    rm -f ${D}${rustlibdir}/libnothing*
}
