// SPDX-License-Identifier: MIT OR Apache-2.0
//! A build that is told to stop leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Pair, ddi_build, directory, names, pair, run, tool, write};

/// mkfs.erofs is at work when the signal comes: `ddi` ends with the status of an interrupted program, and both the
/// work directory and the file mkfs.erofs has begun in it are gone.
#[test]
fn signals_leave_nothing_behind() {
    for signal in ["INT", "TERM", "HUP"] {
        let directory = directory();
        fs::create_dir(directory.path().join("tree")).unwrap();
        let begun = directory.path().join("tree/begun");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = -V ]; then echo 'mkfs.erofs (erofs-utils) 1.8.6'; exit; fi\n\
             for last; do :; done; for image; do [ \"$image\" = \"$last\" ] || made=$image; done\n\
             : > \"$made\"; : > '{}'; exec sleep 3\n",
            begun.display()
        );
        let mkfs = write(directory.path(), "mkfs", script);
        fs::set_permissions(&mkfs, fs::Permissions::from_mode(0o755)).unwrap();
        let Pair { key, certificate } = pair();
        let mut ddi = ddi_build(["--tree", "tree", "--output", "out", "--mkfs-erofs"]);
        ddi.arg(&mkfs).arg("--key").arg(key).arg("--cert").arg(certificate).current_dir(directory.path());
        let mut child = ddi.stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while !begun.exists() {
            assert!(start.elapsed() < Duration::from_secs(30), "the build did not begin");
            sleep(Duration::from_millis(10));
        }
        assert_eq!(names(directory.path()).iter().filter(|name| name.starts_with(".ddi-")).count(), 1);
        run(tool("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())));
        assert_eq!(child.wait().unwrap().code(), Some(130), "SIG{signal}");
        assert_eq!(names(directory.path()), ["mkfs", "tree"], "SIG{signal}");
    }
}
