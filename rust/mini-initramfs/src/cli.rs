// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line. Every option's help is the manual; what the options mean in code is in [`build`](crate::build).

use std::path::PathBuf;

use clap::Parser;

use crate::build::Request;

const LONG: &str = "\
Makes the mini-initramfs of initoverlayfs: the archive that the kernel starts the boot stage from.

It holds /init, /etc/initoverlayfs.conf, the certificates that this names, and the kernel modules that this names, with \
all that they need, in the order in which they are loaded. Nothing else is in it. What the boot stage would refuse is \
refused here, in its words.

The same input gives the same bytes. It is not compressed: a megabyte costs a millisecond of boot as it is, and forty as \
zstd. The output appears under its name only when it is whole and on the disk.

Modules: `modules = NAME...` of the configuration are resolved as modprobe would. A name that is built in is said and \
needs nothing; an alias such as crypto-sha256 stands for every module that has it. Modules that another only wants \
(softdep), and those of an alias with several, are optional: at boot, they may find no hardware that they are for. \
Compressed modules (.gz, .xz, .zst) are stored decompressed. Firmware and parameters of modules are not looked at. The \
boot has no modprobe: what the kernel would ask it for has to be named, such as the character set of vfat (nls_cp437).";

const EXAMPLES: &str = "\
Examples:
  A kernel with everything built in:
    mini-initramfs --init storage-init --config board.conf --certificate release.der --output mini.cpio

  A kernel with modules, as installed in an image's root file system:
    mini-initramfs --init storage-init --config board.conf --certificate release.der \\
      --modules rootfs/lib/modules/6.12.40-yocto-standard --output mini.cpio

  What is in it:
    cpio --list --verbose < mini.cpio

Exit status: 0 the archive is there, 1 it is not, 2 the command line is wrong.";

/// Makes the mini-initramfs of initoverlayfs.
#[derive(Debug, Parser)]
#[command(name = "mini-initramfs", version, long_about = LONG, after_long_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// The boot stage: a static program, for the machine that the modules are for
    #[arg(long, value_name = "FILE")]
    init: PathBuf,

    /// Its configuration, initoverlayfs.conf
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// A certificate as DER, in a file named as in the configuration. Once for each that is named there
    #[arg(long = "certificate", value_name = "FILE", required = true)]
    certificates: Vec<PathBuf>,

    /// The kernel's modules: lib/modules/RELEASE, where depmod has been. Needed if the configuration names modules
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// The archive to write; an existing file is replaced
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl Cli {
    /// What was asked for.
    #[must_use]
    pub fn into_request(self) -> Request {
        let Self { init, config, certificates, modules, output } = self;
        Request { init, config, certificates, modules, output }
    }
}
