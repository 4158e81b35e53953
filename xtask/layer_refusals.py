#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Give the layer's variables wrong values, one at a time: layer_refusals.py LAYER

A recipe that inherits the layer's image classes is parsed by BitBake's own parser. Each wrong value has to end that with an error that
names the variable, its value and what is allowed; right ones have to pass. What only a task can tell is in `cargo xtask yocto refusals`.

Needs the `bb` package, as parse_layer.py. The last line is `N passed, N failed`; the exit status is 1 if any failed.
"""

import base64
import logging
import pathlib
import sys
import tempfile

import parse_layer
from parse_layer import bb

RECIPE = 'LICENSE = "MIT"\nSUMMARY = "stand-in"\nIMAGE_FSTYPES = "signed-ddi"\ninherit signed-ddi mini-initramfs\n'


class Heard(logging.Handler):
    """What BitBake logs."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def certificate(path, common_name):
    """A file that has of a certificate what the class looks at: the subject's common name."""
    name = common_name.encode()
    der = b"\x06\x03\x55\x04\x03\x0c" + bytes([len(name)]) + name
    path.write_text(f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n")
    return str(path)


def cases(folder):
    """Name, settings, and what has to be said; None where nothing may be wrong."""
    key = folder / "key.pem"
    key.touch()
    development = certificate(folder / "development.pem", "demo DEVELOPMENT")
    release = certificate(folder / "release.pem", "demo release")
    good = {
        "INITOVERLAYFS_CERTIFICATE": development,
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
    yield "debug, development key", good | {"INITOVERLAYFS_DEBUG": "1"}, None
    yield wrong("SIGNING_KEY", str(key), "a key without a certificate", CERTIFICATE="")
    yield wrong("SIGNING_KEY", "/nonexistent/key.pem", "/nonexistent/key.pem is none")
    yield wrong("SIGNING_KEY", "pkcs11:object=boot", "set INITOVERLAYFS_OPENSSL_CONF")
    yield wrong("CERTIFICATE", "certificate.pem", "expected the absolute path of a file")
    yield wrong("TRUSTED_CERTIFICATES", " ".join([development] * 5), "expected at most four paths")
    two = folder / "two.pem"
    two.write_text(pathlib.Path(development).read_text() * 2)
    yield wrong("TRUSTED_CERTIFICATES", str(two), "expected one certificate, as PEM")
    yield wrong("SIGNING_KEY", "pkcs11:object=boot?pin-value=1234", "use pin-source=")
    yield wrong("TRUSTED_CERTIFICATES", f"{development} /nonexistent.pem", "/nonexistent.pem is none")
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
    yield wrong("DEBUG", "1", "a debug option together with the production certificate", CERTIFICATE=release)


def check(layer, stubs, recipe, settings, expected, heard):
    """Raises where BitBake says something else."""
    heard.lines.clear()
    try:
        data = parse_layer.parse(layer, stubs, str(recipe), settings=settings)
        # A recipe that cannot be built says so to whoever asks for it.
        said = data.getVar("__SKIPPED", False)
    except (Exception, SystemExit) as error:  # bb.fatal and bb.parse.SkipRecipe among them
        said = "\n".join([*heard.lines, str(error)])
    if expected is None:
        if said is not None:
            raise ValueError(f"refused: {said}")
    elif said is None:
        raise ValueError(f"was taken; expected an error with {expected}")
    elif not all(words in said for words in expected):
        raise ValueError(f"expected {expected}, BitBake said: {said}")


def main():
    layer = pathlib.Path(sys.argv[1]).resolve()
    heard = Heard()
    logging.getLogger("BitBake").addHandler(heard)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        parse_layer.write_stubs(parse_layer.files_of(layer), folder)
        recipe = folder / "image_1.0.bb"
        recipe.write_text(RECIPE)
        for case, settings, expected in cases(folder):
            try:
                check(layer, folder, recipe, settings, expected, heard)
                passed += 1
                print(f"ok {case.replace(str(folder), '')}")
            except ValueError as error:
                failed += 1
                print(f"FAILED {case}: {error}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
