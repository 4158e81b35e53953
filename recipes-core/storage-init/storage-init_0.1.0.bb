# SPDX-License-Identifier: MIT OR Apache-2.0
SUMMARY = "PID 1 of the mini-initramfs: mounts a signed DDI and executes its init"
DESCRIPTION = "A static Rust binary that finds a UAPI discoverable disk image on the ESP or in a partition, has the \
kernel check its signature (or checks it itself), mounts it by dm-verity and hands over to its init."
SECTION = "base"

INITOVERLAYFS_PACKAGE = "storage-init"
require ../initoverlayfs-rust.inc
require conf/initoverlayfs.inc

DEPENDS += "virtual/cross-binutils"

# tpm: `measure` and `unlock`. user-signature: `signature = user-space`, for kernels that cannot check signatures themselves
# (docs/boot-flow.md). A binary without what is configured refuses to boot, and says so.
# A configuration of one's own may measure, whatever INITOVERLAYFS_MEASURE says; where it lies does not count.
STORAGE_INIT_TPM = "${@'' if d.getVar('INITOVERLAYFS_MEASURE') == 'none' and not d.getVar('INITOVERLAYFS_CONFIG') else 'tpm'}"
STORAGE_INIT_TPM[vardepvalue] = "${STORAGE_INIT_TPM}"
PACKAGECONFIG ??= "\
    ${STORAGE_INIT_TPM} \
    ${@bb.utils.contains('INITOVERLAYFS_SIGNATURE_CHECK', 'user-space', 'user-signature', '', d)} \
"
PACKAGECONFIG[tpm] = ",,"
PACKAGECONFIG[user-signature] = ",,"
CARGO_BUILD_FLAGS += "${@' '.join('--features ' + feature for feature in (d.getVar('PACKAGECONFIG') or '').split())}"

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
RUSTFLAGS:append:class-target = " -Clink-arg=-Wl,-Bstatic,--start-group,-lgcc,${STORAGE_INIT_UNWINDER}-lc,--end-group"
# With musl openembedded-core's std brings LLVM's unwinder, and gcc's is not for static programs there.
STORAGE_INIT_UNWINDER = "-lgcc_eh,"
STORAGE_INIT_UNWINDER:libc-musl = ""

# Where bootlog looks for the strings of a build's log: by build ID, as debuggers do.
STORAGE_INIT_STRINGS = "${nonarch_libdir}/debug/.build-id"

do_install() {
    binary=${B}/target/${CARGO_TARGET_SUBDIR}/storage-init
    install -m 0755 $binary ${D}/init
    if ${READELF} --program-headers --wide ${D}/init | grep -q INTERP; then
        bbfatal "storage-init asks for a program interpreter: it is not static, and cannot run as PID 1 of the mini-initramfs"
    fi

    id=$(${READELF} --notes --wide $binary | sed -n 's/.*Build ID: *//p' | head -n 1)
    [ ${#id} -eq 40 ] || bbfatal "storage-init has no build ID by which its log would be read"
    folder=${D}${STORAGE_INIT_STRINGS}/$(printf %.2s $id)
    install -d $folder
    ${OBJCOPY} --only-section=.defmt --only-section=.note.gnu.build-id $binary $folder/$(printf %s $id | cut -c 3-).debug
    # Programs are stripped when they are packaged, and this of all that it is for.
    chmod 0644 $folder/*.debug
}

# The limit is for the binary as it is shipped, without what debuggers read.
PACKAGEFUNCS += "storage_init_size"
storage_init_size() {
    bytes=$(stat -c %s ${PKGDEST}/${PN}/init)
    [ $bytes -le $(expr ${INITOVERLAYFS_BINARY_MAX_KIB} \* 1024) ] \
        || bbfatal "INITOVERLAYFS_BINARY_MAX_KIB = \"${INITOVERLAYFS_BINARY_MAX_KIB}\": storage-init has $bytes bytes"
}

# It is /init of an initramfs and nothing else: no other path of any image has it.
FILES:${PN} = "/init"
PACKAGES =+ "${PN}-strings"
SUMMARY:${PN}-strings = "The strings of storage-init's log, for bootlog"
FILES:${PN}-strings = "${STORAGE_INIT_STRINGS}"
# Which comes before any other package, and by itself takes all of /usr/lib/debug.
FILES:${PN}-dbg = "/usr/lib/debug/init.debug /usr/lib/debug-static /usr/src/debug"
