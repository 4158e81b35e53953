// SPDX-License-Identifier: MIT OR Apache-2.0
//! `fcntl(F_GETFD)`, `open`: descriptors 0 to 2.
//!
//! The kernel opens them on /dev/console for PID 1, and leaves them closed where there is no console or no node for it. What
//! PID 1 opens next would then become its standard error.
//!
//! See init/main.c (`console_on_rootfs`).

use std::os::fd::IntoRawFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_getfd;
use rustix::stdio::{stderr, stdin, stdout};

/// Opens those of the three that are closed: on the console, or on /dev/null. They stay open over exec, for init.
pub fn fill_standard_descriptors() {
    let open = |path| rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
    for standard in [stdin(), stdout(), stderr()] {
        if fcntl_getfd(standard).is_ok() {
            continue;
        }
        // A board with neither has no use for them.
        let Ok(fd) = open("/dev/console").or_else(|_| open("/dev/null")) else { return };
        // The lowest free number: it is this one, and nobody closes it.
        let _ = fd.into_raw_fd();
    }
}
