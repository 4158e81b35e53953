#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Give the layer's variables wrong values, one at a time: layer_refusals.py LAYER

A recipe that inherits the layer's image classes is parsed by BitBake's own parser. Each wrong value has to end that with an error that
names the variable, its value and what is allowed; right ones have to pass. What only a task can tell is in `cargo xtask yocto refusals`.

Needs the `bb` package, as parse_layer.py. The last line is `N passed, N failed`; the exit status is 1 if any failed.
"""

import functools
import logging
import pathlib
import sys
import tempfile

import parse_layer
import tally
from parse_layer import bb

# Before the reason of a recipe that cannot be built, which ends no build of others.
SKIPPED = "skipped: "
# The value of a PIN: nothing may say it.
SECRET = "1234"
RECIPE = 'LICENSE = "MIT"\nSUMMARY = "stand-in"\nIMAGE_FSTYPES = "signed-ddi"\ninherit signed-ddi mini-initramfs\n'


class Heard(logging.Handler):
    """What BitBake logs."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def cases(folder):
    """Name, settings, what has to be said (None where nothing may be wrong), and lines that the configuration has to have."""
    key = folder / "key.pem"
    key.touch()
    certificate = folder / "certificate.pem"
    # Of its contents the classes count the certificates.
    certificate.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    good = {
        "INITOVERLAYFS_CERTIFICATE": str(certificate),
        "INITOVERLAYFS_SIGNING_KEY": str(key),
        "INITOVERLAYFS_DEVICES": "/devices/x",
    }

    def wrong(name, value, allowed, **more):
        variable = f"INITOVERLAYFS_{name}"
        settings = good | {f"INITOVERLAYFS_{other}": text for other, text in more.items()} | {variable: value}
        return f"{variable} = {value!r}", settings, (f'{variable} = "{value}"', allowed)

    yield "values that are right", good, None
    yield "no key and no certificate", {}, ("INITOVERLAYFS_CERTIFICATE is not set", "docs/variables.md")
    yield "no disk", good | {"INITOVERLAYFS_DEVICES": ""}, ("INITOVERLAYFS_DEVICES is not set", "docs/variables.md")
    yield "debug", good | {"INITOVERLAYFS_DEBUG": "1"}, None
    yield wrong("SIGNING_KEY", str(key), "a key without a certificate", CERTIFICATE="")
    yield wrong("SIGNING_KEY", "/nonexistent/key.pem", "/nonexistent/key.pem is none")
    yield wrong("SIGNING_KEY", "pkcs11:object=boot", "set INITOVERLAYFS_OPENSSL_CONF")
    yield wrong("CERTIFICATE", "certificate.pem", "expected the absolute path of a file")
    yield wrong("TRUSTED_CERTIFICATES", " ".join([str(certificate)] * 5), "expected at most four paths")
    two = folder / "two.pem"
    two.write_text(certificate.read_text() * 2)
    yield wrong("TRUSTED_CERTIFICATES", str(two), "expected one certificate, as PEM")
    pin = {"INITOVERLAYFS_SIGNING_KEY": f"pkcs11:object=boot?pin-value={SECRET}"}
    yield "PIN", good | pin, ('INITOVERLAYFS_SIGNING_KEY = "pkcs11:object=boot?…"', "use pin-source=")
    yield wrong("TRUSTED_CERTIFICATES", f"{certificate} /nonexistent.pem", "/nonexistent.pem is none")
    yield wrong("SOURCES", "esp-file tape", "expected words out of: esp-file partition")
    yield wrong("SOURCES", "", "expected at least one of: esp-file partition")
    yield wrong("STORAGE", "mmc mmc", "none twice")
    yield wrong("FEATURES", "zfs", "expected words out of: cryptsetup lvm2 mdadm")
    yield wrong("FEATURES", "lvm2", "lvm2 needs the layer meta-oe")
    yield wrong("IMAGE_ID", "My_Image", "expected lower-case letters")
    yield wrong("IMAGE_VERSION", "1.0+3", "expected letters, digits")
    yield wrong("PARTITION_SIZE", "256M", "expected a whole number greater than 0")
    yield wrong("BINARY_MAX_KIB", "0", "expected a whole number greater than 0")
    yield wrong("SIGNING", "hsm", "expected one of: key detached")
    yield wrong("SIGNING", "detached", "but INITOVERLAYFS_SIGNING_KEY is set")
    yield wrong("SIGNATURE", str(key), 'is for INITOVERLAYFS_SIGNING = "detached" alone')
    yield wrong("SIGNATURE_CHECK", "nobody", "expected one of: kernel user-space")
    yield wrong("MEASURE", "maybe", "expected one of: none prefer require")
    yield wrong("OVERLAY", "yes", "expected one of: on off")
    yield wrong("DANGEROUSLY_UNSIGNED", "yes", "expected one of: 0 1")
    yield wrong("DEBUG", "yes", "expected one of: 0 1")
    data, other = "c97f2d04-6f44-4a0e-9d7f-0a6d2c0f1b11", "4B0E9C61-1F0E-4d4a-8b27-5a2f0ab47d3c"
    volume = f"data={data}"
    settings = good | {
        "INITOVERLAYFS_UNLOCK": f"{volume} o-2={other}",
        "INITOVERLAYFS_MEASURE": "prefer",
        "INITOVERLAYFS_UNLOCK_LATCH": "off",
    }
    lines = [f"unlock = data {data}", f"unlock = o-2 {other}", "unlock-failure = ignore", "unlock-latch = off"]
    yield "volumes", settings, None, *lines, "modules = dm_crypt", "modules = crypto-xts"
    yield wrong("UNLOCK", volume, 'expected INITOVERLAYFS_MEASURE = "prefer" or "require"')
    yield wrong("UNLOCK", volume, 'expected INITOVERLAYFS_DEBUG = "0"', MEASURE="require", DEBUG="1")
    yield wrong("UNLOCK", "data=/dev/vda4", "expected at most four NAME=PARTUUID", MEASURE="require")
    yield wrong("UNLOCK", " ".join([volume] * 5), "expected at most four NAME=PARTUUID", MEASURE="require")
    for twice in (f"{volume} data={other}", f"{volume} home={data.upper()}"):
        yield wrong("UNLOCK", twice, "expected no name and no PARTUUID twice", MEASURE="require")
    yield wrong("DEVICES", "vda", "expected at most 16 paths below /sys")
    yield wrong("DEVICES", "/devices/vd?", "with * as the only wildcard")
    yield wrong("DEVICES", " ".join(f"/devices/{number}" for number in range(17)), "expected at most 16 paths")
    yield wrong("MODULES", "sdhci_pci.ko", "names of kernel modules")
    yield wrong("CMDLINE_ALLOW", "console=ttyS0", "keys of the kernel command line, without their values")
    yield wrong("CMDLINE_ALLOW", "quiet quiet", "none twice")
    for init in ("sbin/init", "/usr/../init", "/sbin/init -v", "/" + "i" * 128, ""):
        yield wrong("INIT", init, "expected the absolute path of a program in the image")
    for time in ("30", "0s", "601s", "30000ms"):
        yield wrong("WATCHDOG", time, "expected nothing, or 1s to 600s")
    yield wrong("CONFIG_MORE", r"tpm-deadline = 2s\nmeasure-pcr", r'expected lines "key = value", separated by \n')
    yield wrong("CONFIG_MORE", "tpm-deadline = 2s", "but INITOVERLAYFS_CONFIG is set", CONFIG=str(certificate))
    yield wrong("CONFIG", "/nonexistent.conf", "/nonexistent.conf is none")
    yield wrong("OPENSSL_CONF", "openssl.cnf", "expected the absolute path of a file")
    settings = good | {
        "INITOVERLAYFS_DEVICES": "/devices/platform/*.mmc/mmc_host/mmc*/mmc*:0001/block/mmcblk* */block/vd*",
        "INITOVERLAYFS_MODULES": "sdhci_pci crypto-sha256",
        "INITOVERLAYFS_CMDLINE_ALLOW": "console systemd.show_status",
        "INITOVERLAYFS_INIT": "/usr/lib/systemd/systemd",
        "INITOVERLAYFS_WATCHDOG": "600s",
        "INITOVERLAYFS_CONFIG_MORE": r"device-deadline = 10s\ntpm-deadline = 2s\n",
    }
    lines = ["device = */block/vd*", "modules = sdhci_pci", "init = /usr/lib/systemd/systemd", "watchdog = 600s"]
    lines += ["cmdline-allow = systemd.show_status", "device-deadline = 10s", "tpm-deadline = 2s"]
    yield "configuration", settings, None, *lines
    yield wrong("UNLOCK_FAILURE", "reboot", "expected one of: refuse ignore")
    yield wrong("UNLOCK_DISCARD", "yes", "expected one of: on off")
    yield wrong("UNLOCK_LATCH", "1", "expected one of: on off")


def disk_cases():
    """As cases(), of the disk."""
    name = "INITOVERLAYFS_IMAGE_VERSION"
    yield "disk with a version that is right", {name: "1.0-rc1"}, None
    for version in ("1.0~rc1", "1.0^1"):
        # Not the end of a build: who builds something else goes on.
        yield f"disk with {name} = {version!r}", {name: version}, (SKIPPED, f'{name} = "{version}"', "cannot put a name")


def check(layer, stubs, recipe, settings, expected, lines, heard):
    """Raises where BitBake says something else."""
    heard.lines.clear()
    try:
        data = parse_layer.parse(layer, stubs, str(recipe), settings=settings)
        # A recipe that cannot be built says so to whoever asks for it.
        skipped = data.getVar("__SKIPPED", False)
        said = skipped and f"{SKIPPED}{skipped}"
    except (Exception, SystemExit) as error:  # bb.fatal and bb.parse.SkipRecipe among them
        said = "\n".join([*heard.lines, str(error)])
    if expected is None:
        if said is not None:
            raise ValueError(f"refused: {said}")
        config = (data.getVar("MINI_INITRAMFS_CONFIG") or "").splitlines()
        if missing := [line for line in lines if line not in config]:
            raise ValueError(f"the configuration lacks {missing}: {config}")
    elif said is None:
        raise ValueError(f"was taken; expected an error with {expected}")
    elif SECRET in said:
        raise ValueError(f"BitBake said the PIN: {said}")
    elif not all(words in said for words in expected):
        raise ValueError(f"expected {expected}, BitBake said: {said}")


def main():
    layer = pathlib.Path(sys.argv[1]).resolve()
    heard = Heard()
    logging.getLogger("BitBake").addHandler(heard)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        parse_layer.write_stubs(parse_layer.files_of(layer), folder)
        recipe = folder / "image_1.0.bb"
        recipe.write_text(RECIPE)
        disk = layer / "recipes-core/images/initoverlayfs-disk.bb"
        tried = [(recipe, case) for case in cases(folder)] + [(disk, case) for case in disk_cases()]
        return tally.run(
            (case.replace(name, ""), functools.partial(check, layer, folder, recipe, settings, expected, lines, heard))
            for recipe, (case, settings, expected, *lines) in tried
        )


if __name__ == "__main__":
    sys.exit(main())
