# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Makes an image recipe's cpio a mini-initramfs: storage-init, its configuration, the trusted certificates, and the kernel modules
# that are not built in. The program `mini-initramfs` makes it out of the recipe's root file system; nothing else gets in, and
# what storage-init would refuse at boot is refused here.
#
#     inherit core-image mini-initramfs
#
# The configuration is made of the INITOVERLAYFS_ variables (docs/variables.md), or is INITOVERLAYFS_CONFIG.

inherit initoverlayfs

# What dm-verity, erofs, vfat and the loop device need, built in or not; then what each storage is.
MINI_INITRAMFS_MODULES = "dm_mod dm_verity crypto-sha256 erofs vfat nls_cp437 nls_iso8859-1 loop"
MINI_INITRAMFS_MODULES += "${@'overlay' if d.getVar('INITOVERLAYFS_OVERLAY') == 'on' else ''}"
MINI_INITRAMFS_MODULES += "${@'dm_crypt crypto-xts crypto-aes' if d.getVar('INITOVERLAYFS_UNLOCK') else ''}"
MINI_INITRAMFS_MODULES_OF[mmc] = "mmc_block"
MINI_INITRAMFS_MODULES_OF[nvme] = "nvme"
MINI_INITRAMFS_MODULES_OF[ufs] = "ufshcd-core sd_mod"
MINI_INITRAMFS_MODULES_OF[virtio] = "virtio_pci virtio_blk"

def mini_initramfs_modules(d):
    storage = (d.getVar('INITOVERLAYFS_STORAGE') or '').split()
    of_storage = [d.getVarFlag('MINI_INITRAMFS_MODULES_OF', name) for name in storage]
    words = ' '.join([d.getVar('MINI_INITRAMFS_MODULES') or ''] + of_storage + [d.getVar('INITOVERLAYFS_MODULES') or ''])
    return list(dict.fromkeys(words.split()))

# The configuration's text.
def mini_initramfs_config(d):
    lines = ['# Made from the INITOVERLAYFS_ variables of meta-initoverlayfs.']
    def line(key, name):
        for value in (d.getVar(name) or '').split():
            lines.append('%s = %s' % (key, value))
    line('image-id', 'INITOVERLAYFS_IMAGE_ID')
    lines.append('sources = ' + ' '.join((d.getVar('INITOVERLAYFS_SOURCES') or '').split()))
    line('device', 'INITOVERLAYFS_DEVICES')
    lines += ['modules = ' + module for module in mini_initramfs_modules(d)]
    line('signature', 'INITOVERLAYFS_SIGNATURE_CHECK')
    for index, _ in enumerate((d.getVar('INITOVERLAYFS_TRUSTED_CERTIFICATES') or '').split()):
        lines.append('certificate = certificate-%d.der' % index)
    line('measure', 'INITOVERLAYFS_MEASURE')
    volumes = (d.getVar('INITOVERLAYFS_UNLOCK') or '').split()
    lines += ['unlock = ' + volume.replace('=', ' ') for volume in volumes]
    if volumes:
        line('unlock-failure', 'INITOVERLAYFS_UNLOCK_FAILURE')
        line('unlock-discard', 'INITOVERLAYFS_UNLOCK_DISCARD')
        line('unlock-latch', 'INITOVERLAYFS_UNLOCK_LATCH')
    line('overlay', 'INITOVERLAYFS_OVERLAY')
    line('init', 'INITOVERLAYFS_INIT')
    line('watchdog', 'INITOVERLAYFS_WATCHDOG')
    line('cmdline-allow', 'INITOVERLAYFS_CMDLINE_ALLOW')
    if d.getVar('INITOVERLAYFS_DEBUG') == '1':
        lines.append('cmdline-other = ignore')
    more = (d.getVar('INITOVERLAYFS_CONFIG_MORE') or '').replace('\\n', '\n').split('\n')
    lines += [text for text in more if text.strip()]
    return '\n'.join(lines) + '\n'

MINI_INITRAMFS_CONFIG = "${@mini_initramfs_config(d)}"
MINI_INITRAMFS_INPUT = "${WORKDIR}/mini-initramfs"

python () {
    initoverlayfs_check_required(d, ['INITOVERLAYFS_TRUSTED_CERTIFICATES', 'INITOVERLAYFS_DEVICES'])
}

# Configuration and certificates, under the names that the one has for the others.
python mini_initramfs_input() {
    import os
    folder = d.getVar('MINI_INITRAMFS_INPUT')
    bb.utils.remove(folder, recurse=True)
    bb.utils.mkdirhier(folder)
    given = d.getVar('INITOVERLAYFS_CONFIG')
    if given:
        bb.utils.copyfile(given, os.path.join(folder, 'initoverlayfs.conf'))
    else:
        with open(os.path.join(folder, 'initoverlayfs.conf'), 'w') as file:
            file.write(d.getVar('MINI_INITRAMFS_CONFIG'))
    for index, path in enumerate(d.getVar('INITOVERLAYFS_TRUSTED_CERTIFICATES').split()):
        with open(os.path.join(folder, 'certificate-%d.der' % index), 'wb') as file:
            file.write(initoverlayfs_der(path))
}
MINI_INITRAMFS_CONFIG[vardepvalue] = "${MINI_INITRAMFS_CONFIG}"
mini_initramfs_input[vardepsexclude] += "INITOVERLAYFS_TRUSTED_CERTIFICATES INITOVERLAYFS_CONFIG"
mini_initramfs_input[vardeps] += "MINI_INITRAMFS_CONFIG"

do_image_cpio[prefuncs] += "mini_initramfs_input"
do_image_cpio[depends] += "mini-initramfs-tool-native:do_populate_sysroot"
do_image_cpio[file-checksums] += "${@' '.join(path + ':True' for path in ((d.getVar('INITOVERLAYFS_TRUSTED_CERTIFICATES') or '') + ' ' + (d.getVar('INITOVERLAYFS_CONFIG') or '')).split())}"

# forcevariable: image.bbclass inherits image_types last of all, whose command would be the whole root file system.
IMAGE_CMD:cpio:forcevariable = "mini_initramfs_image"

mini_initramfs_image() {
	set -- --init ${IMAGE_ROOTFS}/init --config ${MINI_INITRAMFS_INPUT}/initoverlayfs.conf
	for certificate in ${MINI_INITRAMFS_INPUT}/*.der; do
		set -- "$@" --certificate $certificate
	done
	for modules in ${IMAGE_ROOTFS}${nonarch_base_libdir}/modules/*; do
		[ ! -d $modules ] || set -- "$@" --modules $modules
	done
	mini-initramfs "$@" --output ${IMGDEPLOYDIR}/${IMAGE_NAME}.cpio \
		|| bbfatal ${@mini_initramfs_blamed(d)}
}

# What may be to blame where the program refuses what each variable's check has taken, as one word of the shell's.
def mini_initramfs_blamed(d):
    import shlex
    made_of = ('INITOVERLAYFS_DEBUG INITOVERLAYFS_MODULES INITOVERLAYFS_STORAGE INITOVERLAYFS_WATCHDOG INITOVERLAYFS_MEASURE '
               'INITOVERLAYFS_UNLOCK INITOVERLAYFS_CONFIG_MORE').split()
    names = ['INITOVERLAYFS_CONFIG'] if d.getVar('INITOVERLAYFS_CONFIG') else made_of
    values = ['%s = "%s"' % (name, d.getVar(name)) for name in ['INITOVERLAYFS_TRUSTED_CERTIFICATES'] + names if d.getVar(name)]
    return shlex.quote('no mini-initramfs by %s: mini-initramfs says what it expected, above' % ', '.join(values))
# Where a file lies does not count.
mini_initramfs_blamed[vardepsexclude] += "INITOVERLAYFS_CONFIG"
