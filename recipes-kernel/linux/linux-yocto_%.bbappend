# SPDX-License-Identifier: MIT OR Apache-2.0
# Nothing, unless the distribution asks for it: a layer that is only added changes no kernel.
require ${@bb.utils.contains('DISTRO_FEATURES', 'initoverlayfs', 'recipes-kernel/linux/initoverlayfs-kernel.inc', '', d)}
require ${@bb.utils.contains('DISTRO_FEATURES', 'initoverlayfs', 'recipes-kernel/linux/initoverlayfs-kernel-rsa.inc', '', d)}
