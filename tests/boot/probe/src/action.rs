// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a test has the probe do before it reports the verity device: `/probe/actions`, one a line.
//!
//! * `read PATH`: the file's bytes, or `error: ERRNO` (a number, as the kernel said it).
//! * `write PATH`: creates PATH with the word `written` in it; `ok`, or `error: ERRNO`.
//! * `remove PATH`: unlinks PATH; `ok`, or `error: ERRNO`.
//! * `mount-vfat DEVICE DIRECTORY`: read-write, the directory made first; `ok`, or `error: ERRNO`.
//! * `drop-caches`: so that later reads go to the disk again.
//! * `hang`: sleeps for ever, in the middle of the report.
//!
//! A line that is none of these is answered `unknown action`.

use std::fs;
use std::io;

use rustix::mount::MountFlags;

/// Carries out one line.
pub fn carry_out(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let outcome = match words.as_slice() {
        ["read", path] => fs::read(path),
        ["write", path] => fs::write(path, "written").map(ok),
        ["remove", path] => fs::remove_file(path).map(ok),
        ["mount-vfat", device, directory] => mount_vfat(device, directory).map(ok),
        ["hang"] => loop {
            std::thread::park();
        },
        ["drop-caches"] => fs::write("/proc/sys/vm/drop_caches", "3").map(ok),
        _ => Ok(b"unknown action".to_vec()),
    };
    outcome.unwrap_or_else(|error| match error.raw_os_error() {
        Some(errno) => format!("error: {errno}").into_bytes(),
        None => format!("error: {error}").into_bytes(),
    })
}

fn ok((): ()) -> Vec<u8> {
    b"ok".to_vec()
}

fn mount_vfat(device: &str, directory: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    rustix::mount::mount(device, directory, "vfat", MountFlags::NOATIME, None)?;
    Ok(())
}
