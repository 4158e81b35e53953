# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The layer's variables and their checks. Inherited by signed-ddi and mini-initramfs; recipes use those.
#
# A value that is wrong ends the build when the recipe is parsed, or in the task that finds it, by naming variable, value and what is
# allowed. A value that has to be set and is not makes the recipe unbuildable, with that as the reason: the layer can be parsed without it.

require conf/initoverlayfs.inc

INITOVERLAYFS_CHOICES[INITOVERLAYFS_SIGNING] = "key detached"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_SIGNATURE_CHECK] = "kernel user-space"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_OVERLAY] = "on off"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_MEASURE] = "none prefer require"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_UNLOCK_FAILURE] = "refuse ignore"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_UNLOCK_DISCARD] = "on off"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_UNLOCK_LATCH] = "on off"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_DANGEROUSLY_UNSIGNED] = "0 1"
INITOVERLAYFS_CHOICES[INITOVERLAYFS_DEBUG] = "0 1"
# Several of these, none twice.
INITOVERLAYFS_LISTS[INITOVERLAYFS_SOURCES] = "esp-file partition"
INITOVERLAYFS_LISTS[INITOVERLAYFS_STORAGE] = "mmc nvme ufs virtio"
INITOVERLAYFS_LISTS[INITOVERLAYFS_FEATURES] = "cryptsetup lvm2 mdadm"

def initoverlayfs_fatal(d, name, allowed):
    bb.fatal('%s = "%s": %s' % (name, d.getVar(name) or '', allowed))

def initoverlayfs_check_file(d, name, path):
    import os
    if not os.path.isabs(path) or not os.path.isfile(path):
        initoverlayfs_fatal(d, name, 'expected the absolute path of a file, and %s is none' % path)

def initoverlayfs_check_number(d, name):
    value = d.getVar(name) or ''
    if not value.isdecimal() or int(value) == 0:
        initoverlayfs_fatal(d, name, 'expected a whole number greater than 0')

# What becomes lines of the configuration as it is. Whether they go together with all others, the program mini-initramfs says.
def initoverlayfs_check_config(d):
    import re
    # Visible ASCII, without what other patterns take for wildcards and without what ends or quotes a key.
    path, key = '[/*][!->@-Z^-z|~]{0,127}', r'[!#-&(-<>-\[\]-~]{1,64}'
    for name, pattern, most, allowed in (
        ('INITOVERLAYFS_DEVICES', path, 16, 'paths below /sys of at most 128 characters, with * as the only wildcard'),
        ('INITOVERLAYFS_MODULES', '[A-Za-z0-9_-]{1,55}', 64, 'names of kernel modules: letters, digits, "_" and "-"'),
        ('INITOVERLAYFS_CMDLINE_ALLOW', key, 64, 'keys of the kernel command line, without their values, none twice'),
    ):
        words = (d.getVar(name) or '').split()
        twice = name == 'INITOVERLAYFS_CMDLINE_ALLOW' and len(set(words)) != len(words)
        if twice or len(words) > most or not all(re.fullmatch(pattern, word) for word in words):
            initoverlayfs_fatal(d, name, 'expected at most %d %s' % (most, allowed))
    init = d.getVar('INITOVERLAYFS_INIT') or ''
    if len(init) > 128 or not re.fullmatch(r'(/(?!\.{1,2}(/|$))[!-.0-~]+)+', init):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_INIT', 'expected the absolute path of a program in the image, at most 128 characters')
    watchdog = d.getVar('INITOVERLAYFS_WATCHDOG') or ''
    seconds = re.fullmatch('([0-9]{1,3})s', watchdog)
    if watchdog and not (seconds and 1 <= int(seconds.group(1)) <= 600):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_WATCHDOG', 'expected nothing, or 1s to 600s')
    more = (d.getVar('INITOVERLAYFS_CONFIG_MORE') or '').replace('\\n', '\n').split('\n')
    if not all(re.fullmatch(r'\s*|[a-z-]+ *= *[ -~]*[!-~]', line.strip()) for line in more):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_CONFIG_MORE', r'expected lines "key = value", separated by \n')
    if any(line.strip() for line in more) and d.getVar('INITOVERLAYFS_CONFIG'):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_CONFIG_MORE', 'but INITOVERLAYFS_CONFIG is set, which is used as it is')

# What can be told without building anything.
def initoverlayfs_check(d):
    import re
    for name, allowed in (d.getVarFlags('INITOVERLAYFS_CHOICES') or {}).items():
        if d.getVar(name) not in allowed.split():
            initoverlayfs_fatal(d, name, 'expected one of: ' + allowed)
    for name, allowed in (d.getVarFlags('INITOVERLAYFS_LISTS') or {}).items():
        words = (d.getVar(name) or '').split()
        if len(set(words)) != len(words) or not set(words) <= set(allowed.split()):
            initoverlayfs_fatal(d, name, 'expected words out of: %s, none twice' % allowed)
    if not (d.getVar('INITOVERLAYFS_SOURCES') or '').split():
        initoverlayfs_fatal(d, 'INITOVERLAYFS_SOURCES', 'expected at least one of: esp-file partition')
    if not re.fullmatch(r'[a-z0-9][a-z0-9.-]{0,63}', d.getVar('INITOVERLAYFS_IMAGE_ID') or ''):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_IMAGE_ID', 'expected lower-case letters, digits, "-" and ".", at most 64')
    if not re.fullmatch(r'[A-Za-z0-9.~^-]{1,64}', d.getVar('INITOVERLAYFS_IMAGE_VERSION') or ''):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_IMAGE_VERSION', 'expected letters, digits, ".", "~", "^" and "-", at most 64')
    initoverlayfs_check_number(d, 'INITOVERLAYFS_PARTITION_SIZE')
    initoverlayfs_check_number(d, 'INITOVERLAYFS_BINARY_MAX_KIB')

    certificate = d.getVar('INITOVERLAYFS_CERTIFICATE') or ''
    if certificate:
        initoverlayfs_check_file(d, 'INITOVERLAYFS_CERTIFICATE', certificate)
    trusted = (d.getVar('INITOVERLAYFS_TRUSTED_CERTIFICATES') or '').split()
    if len(trusted) > 4:
        initoverlayfs_fatal(d, 'INITOVERLAYFS_TRUSTED_CERTIFICATES', 'expected at most four paths')
    for path in trusted:
        initoverlayfs_check_file(d, 'INITOVERLAYFS_TRUSTED_CERTIFICATES', path)
        # One in each: kernel and mini-initramfs must not understand a file differently.
        with open(path, 'rb') as file:
            if file.read().count(b'-----BEGIN CERTIFICATE-----') != 1:
                initoverlayfs_fatal(d, 'INITOVERLAYFS_TRUSTED_CERTIFICATES', 'expected one certificate, as PEM, in %s' % path)
        bb.parse.mark_dependency(d, path)
    for name in ('INITOVERLAYFS_SIGNATURE', 'INITOVERLAYFS_OPENSSL_CONF', 'INITOVERLAYFS_CONFIG'):
        if d.getVar(name):
            initoverlayfs_check_file(d, name, d.getVar(name))
    initoverlayfs_check_config(d)

    key = d.getVar('INITOVERLAYFS_SIGNING_KEY') or ''
    if 'pin-value=' in key:
        # Not with the value, of all things.
        bb.fatal('INITOVERLAYFS_SIGNING_KEY = "%s…": a PIN in a variable is in logs: use pin-source=' % key.split('pin-value=')[0])
    if key and not key.startswith('pkcs11:'):
        initoverlayfs_check_file(d, 'INITOVERLAYFS_SIGNING_KEY', key)
    if key and not certificate:
        initoverlayfs_fatal(d, 'INITOVERLAYFS_SIGNING_KEY', 'a key without a certificate: set INITOVERLAYFS_CERTIFICATE')
    if key.startswith('pkcs11:') and not d.getVar('INITOVERLAYFS_OPENSSL_CONF'):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_SIGNING_KEY', 'a PKCS#11 URI: set INITOVERLAYFS_OPENSSL_CONF')
    if key and d.getVar('INITOVERLAYFS_SIGNING') == 'detached':
        initoverlayfs_fatal(d, 'INITOVERLAYFS_SIGNING', 'but INITOVERLAYFS_SIGNING_KEY is set: expected "key", or no key')
    if d.getVar('INITOVERLAYFS_SIGNATURE') and d.getVar('INITOVERLAYFS_SIGNING') != 'detached':
        initoverlayfs_fatal(d, 'INITOVERLAYFS_SIGNATURE', 'is for INITOVERLAYFS_SIGNING = "detached" alone')
    volumes = (d.getVar('INITOVERLAYFS_UNLOCK') or '').split()
    guid = '-'.join('[0-9A-Fa-f]{%d}' % digits for digits in (8, 4, 4, 4, 12))
    if len(volumes) > 4 or not all(re.fullmatch('[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}=' + guid, volume) for volume in volumes):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_UNLOCK', 'expected at most four NAME=PARTUUID')
    # Partitions are the same whatever the case of their digits, names are not.
    names, partitions = ([volume.split('=')[part] for volume in volumes] for part in (0, 1))
    if len(set(names)) != len(volumes) or len({partition.lower() for partition in partitions}) != len(volumes):
        initoverlayfs_fatal(d, 'INITOVERLAYFS_UNLOCK', 'expected no name and no PARTUUID twice')
    if volumes and d.getVar('INITOVERLAYFS_MEASURE') == 'none':
        initoverlayfs_fatal(d, 'INITOVERLAYFS_UNLOCK', 'a key that the TPM gives for what was measured: '
                            'expected INITOVERLAYFS_MEASURE = "prefer" or "require"')
    if volumes and d.getVar('INITOVERLAYFS_DEBUG') == '1':
        initoverlayfs_fatal(d, 'INITOVERLAYFS_UNLOCK', 'no volume is opened where any command line is taken: '
                            'expected INITOVERLAYFS_DEBUG = "0"')

    collections = (d.getVar('BBFILE_COLLECTIONS') or '').split()
    for feature in (d.getVar('INITOVERLAYFS_FEATURES') or '').split():
        if feature in ('cryptsetup', 'lvm2') and 'openembedded-layer' not in collections:
            initoverlayfs_fatal(d, 'INITOVERLAYFS_FEATURES', '%s needs the layer meta-oe (meta-openembedded)' % feature)

# A certificate as DER. What is not one is refused by the programs that use it, in their words.
def initoverlayfs_der(path):
    import base64, re
    with open(path) as file:
        found = re.search('-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----', file.read(), re.S)
    return base64.b64decode(found.group(1)) if found else b''

# Settings without which nothing can be built.
def initoverlayfs_check_required(d, names):
    for name in names:
        if not (d.getVar(name) or '').strip():
            raise bb.parse.SkipRecipe('%s is not set (docs/variables.md of meta-initoverlayfs)' % name)

python () {
    initoverlayfs_check(d)
}
