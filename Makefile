# SPDX-License-Identifier: MIT OR Apache-2.0
# The two commands of this project, and how to be rid of what they wrote. The work is in xtask/.

CARGO ?= cargo
XTASK = $(CARGO) run --quiet --manifest-path xtask/Cargo.toml --

.PHONY: help qemu test uninstall host-packages

help:
	@echo "make qemu                          build a signed image and boot it in QEMU: UEFI, TPM, encrypted root"
	@echo "make qemu ARGS='--firmware none'     the same without them"
	@echo "make qemu ARGS='--source partition'  the same, the image in a partition of its own"
	@echo "make qemu ARGS='--storage ufs'       the same from another kind of disk (ARGS='--help' lists them)"
	@echo "make qemu ARGS='--tamper tree'       see a spoilt image refused (ARGS='--help' lists what can be spoilt)"
	@echo "make test                          run every tier of tests"
	@echo "make uninstall                     remove the cache, ~/.cache/meta-initoverlayfs"

qemu: host-packages
	@$(XTASK) qemu $(ARGS)

test: host-packages
	@$(XTASK) test

uninstall:
	@$(XTASK) uninstall

host-packages:
	@xtask/host-packages
