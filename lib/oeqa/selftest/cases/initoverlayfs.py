#
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# For those with a full build: oe-selftest -r initoverlayfs
# Builds the disk for qemuarm64 and boots it: as it is, with a changed block, without a signature, by another key.

import os
import shutil
import subprocess
import tempfile
import threading

from oeqa.selftest.case import OESelftestTestCase
from oeqa.utils.commands import bitbake, get_bb_var, runCmd

# A boot under emulation takes a minute or less; a hang must not take the night.
BOOT_SECONDS = 300


def make_key(folder, name):
    """A development key; gives the lines of local.conf that use it."""
    key, certificate = (os.path.join(folder, '%s.%s' % (name, suffix)) for suffix in ('key', 'pem'))
    runCmd(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-noenc', '-sha256', '-days', '30',
            '-subj', '/CN=%s DEVELOPMENT' % name, '-keyout', key, '-out', certificate])
    return key, certificate


class InitoverlayfsTests(OESelftestTestCase):
    """What the layer promises, on a disk that this build made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = tempfile.mkdtemp(prefix='initoverlayfs-keys-')
        cls.key, cls.certificate = make_key(cls.keys, 'selftest')
        cls.other_key, cls.other_certificate = make_key(cls.keys, 'other')

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.keys, ignore_errors=True)
        super().tearDownClass()

    def configure(self, more=''):
        self.write_config('\n'.join([
            'MACHINE = "qemuarm64"',
            'DISTRO_FEATURES:append = " initoverlayfs"',
            'INIT_MANAGER = "systemd"',
            'INITRAMFS_IMAGE = "mini-initramfs"',
            'INITRAMFS_FSTYPES = "cpio"',
            'INITOVERLAYFS_SOURCES = "partition"',
            'INITOVERLAYFS_SIGNING_KEY = "%s"' % self.key,
            'INITOVERLAYFS_CERTIFICATE = "%s"' % self.certificate,
            more]))

    def deployed(self, name):
        return os.path.join(get_bb_var('DEPLOY_DIR_IMAGE'), name)

    def boot(self, disk):
        """The console of a boot, to multi-user.target or to the machine's end."""
        bitbake('qemu-helper-native -c addto_recipe_sysroot')
        qemu = os.path.join(get_bb_var('STAGING_BINDIR_NATIVE', 'qemu-helper-native'), 'qemu-system-aarch64')
        command = [qemu, '-machine', 'virt', '-cpu', 'cortex-a57', '-m', '1G', '-nographic', '-no-reboot',
                   '-kernel', self.deployed('Image'), '-initrd', self.deployed('mini-initramfs-qemuarm64.cpio'),
                   '-append', 'console=ttyAMA0 root=PARTLABEL=root rw panic=-1',
                   '-drive', 'if=none,id=disk,format=raw,snapshot=on,file=' + disk,
                   '-device', 'virtio-blk-pci,drive=disk']
        console = []
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors='replace')
        timer = threading.Timer(BOOT_SECONDS, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                console.append(line)
                if self.reached(line):
                    break
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        return ''.join(console)

    @staticmethod
    def reached(line):
        """Whether the line says so, and does not only name the target."""
        return 'Reached target' in line and 'Multi-User System' in line

    def disk(self):
        return self.deployed('initoverlayfs-disk-qemuarm64.rootfs.wic')

    def partition_offset(self, disk):
        """Where the image lies in the disk, in bytes."""
        output = runCmd(['sfdisk', '--dump', disk]).output.lower()
        line = next(line for line in output.splitlines() if '5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27' in line)
        return 512 * int(line.split('start=')[1].split(',')[0])

    def test_good_image_boots(self):
        self.configure()
        bitbake('initoverlayfs-disk')
        console = self.boot(self.disk())
        self.assertIn('storage-init: executing /sbin/init', console)
        self.assertIn('DEVELOPMENT key selftest DEVELOPMENT', console)
        self.assertNotIn('BOOT FAILED', console)
        self.assertTrue(any(self.reached(line) for line in console.splitlines()), console)

    def test_tampered_image_is_refused(self):
        self.configure()
        bitbake('initoverlayfs-disk')
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.realpath(self.disk()))) as copy:
            shutil.copyfile(self.disk(), copy.name)
            ddi = self.deployed('initoverlayfs-image-qemuarm64.rootfs.signed-ddi')
            facts = runCmd(['sfdisk', '--dump', ddi]).output.lower()
            # The root partition of the image, by its type: its first block is the erofs superblock.
            line = next(line for line in facts.splitlines() if 'b921b045-1df0-41c3-af44-4c6f280d3fae' in line)
            root = 512 * int(line.split('start=')[1].split(',')[0])
            copy.seek(self.partition_offset(self.disk()) + root + 1024 + 64)
            copy.write(b'\xff')
            copy.flush()
            console = self.boot(copy.name)
        self.assertIn('BOOT FAILED: corrupt:', console)

    def test_unsigned_image_is_refused(self):
        self.configure()
        bitbake('initoverlayfs-disk')
        unsigned = 'INITOVERLAYFS_DANGEROUSLY_UNSIGNED = "1"\n'
        self.configure(unsigned)
        bitbake('initoverlayfs-image')
        console = self.boot_with('initoverlayfs-image-qemuarm64.rootfs.unsigned-ddi')
        self.assertIn('BOOT FAILED: unsigned:', console)

    def test_image_by_another_key_is_refused(self):
        self.configure()
        bitbake('initoverlayfs-disk')
        self.write_config('\n'.join([
            'INITOVERLAYFS_SIGNING_KEY = "%s"' % self.other_key,
            'INITOVERLAYFS_CERTIFICATE = "%s"' % self.other_certificate,
            'MACHINE = "qemuarm64"',
            'DISTRO_FEATURES:append = " initoverlayfs"',
            'INIT_MANAGER = "systemd"']))
        bitbake('initoverlayfs-image')
        console = self.boot_with('initoverlayfs-image-qemuarm64.rootfs.signed-ddi')
        self.assertIn('BOOT FAILED: signer-unknown:', console)

    def boot_with(self, image):
        """Boots the disk with another image in its partition."""
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.realpath(self.disk()))) as copy:
            shutil.copyfile(self.disk(), copy.name)
            copy.seek(self.partition_offset(self.disk()))
            with open(self.deployed(image), 'rb') as source:
                shutil.copyfileobj(source, copy)
            copy.flush()
            return self.boot(copy.name)

    def test_certificate_outside_of_the_trust_anchors_fails_the_build(self):
        self.configure('INITOVERLAYFS_TRUSTED_CERTIFICATES = "%s"' % self.other_certificate)
        result = bitbake('initoverlayfs-image', ignore_status=True)
        self.assertNotEqual(result.status, 0)
        self.assertIn('INITOVERLAYFS_TRUSTED_CERTIFICATES = "%s"' % self.other_certificate, result.output)
