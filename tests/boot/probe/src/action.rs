// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a test has the probe do before it reports the verity device: `/probe/actions`, one a line.
//!
//! * `read PATH`: the file's bytes. A component `*` stands for the first entry of its folder: some names are the kernel's choice.
//! * `write PATH`: creates PATH with the word `written` in it.
//! * `put WORD PATH`: writes WORD into a file that is there, such as one of sysfs.
//! * `remove PATH`: unlinks PATH.
//! * `rename PATH PATH`: the second may be there.
//! * `truncate PATH`: to nothing.
//! * `fill PATH`: creates a file of zeros and extends it until the file system is full.
//! * `invert PATH IMAGE`: finds the contents of PATH in the file IMAGE, and inverts them there.
//! * `mount-vfat DEVICE DIRECTORY`: read-write, the directory made first.
//! * `lock-memory`: keeps this program in memory, whatever becomes of its file.
//! * `mount TYPE DIRECTORY`: a file system of the kernel's own, on a directory that is there; `ok`, or `error: ERRNO`.
//! * `run PROGRAM ARGUMENT...`: its standard output and error, then `exit status NUMBER`; or `error: ERRNO`.
//! * `drop-caches`: writes everything out, so that later reads go to the disk again.
//! * `judge-signatures DEVICE ROOT-HASH`: what the kernel says of each file in `/probe/signatures`, see [`signatures`].
//! * `time-signature DEVICE ROOT-HASH`: how long the kernel takes to check `/probe/own-signature`, see [`signatures::time`].
//! * `hang`: sleeps for ever, in the middle of the report.
//!
//! All but `read`, `run`, `judge-signatures` and `time-signature` are answered `ok`, and all with `error: ERRNO` (a number, as the kernel said it)
//! where they fail.
//! A line that is none of these is answered `unknown action`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mm::MlockAllFlags;
use rustix::mount::MountFlags;

use crate::signatures;

/// Unit in which files lie in an image, in bytes: no smaller file is looked for.
const BLOCK: usize = 4096;

/// Carries out one line.
pub fn carry_out(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let outcome = match words.as_slice() {
        ["read", path] => first_match(path).and_then(fs::read),
        ["write", path] => fs::write(path, "written").map(ok),
        ["put", word, path] => {
            File::options().write(true).open(path).and_then(|mut file| file.write_all(word.as_bytes())).map(ok)
        }
        ["remove", path] => fs::remove_file(path).map(ok),
        ["rename", from, to] => fs::rename(from, to).map(ok),
        ["truncate", path] => File::options().write(true).open(path).and_then(|file| file.set_len(0)).map(ok),
        ["fill", path] => fill(path).map(ok),
        ["invert", path, image] => invert(path, image).map(ok),
        ["mount-vfat", device, directory] => mount_vfat(device, directory).map(ok),
        ["mount", kind, directory] => mount(kind, directory).map(ok),
        ["run", program, arguments @ ..] => run(program, arguments),
        ["judge-signatures", device, root_hash] => signatures::judge(device, root_hash),
        ["time-signature", device, root_hash] => signatures::time(device, root_hash),
        ["hang"] => loop {
            std::thread::park();
        },
        ["lock-memory"] => {
            rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).map_err(io::Error::from).map(ok)
        }
        ["drop-caches"] => {
            rustix::fs::sync();
            fs::write("/proc/sys/vm/drop_caches", "3").map(ok)
        }
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

fn mount(kind: &str, directory: &str) -> io::Result<()> {
    rustix::mount::mount(kind, directory, kind, MountFlags::empty(), None)?;
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> io::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output()?;
    let status = output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string());
    Ok([&output.stdout[..], &output.stderr, format!("exit status {status}").as_bytes()].concat())
}

fn mount_vfat(device: &str, directory: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    rustix::mount::mount(device, directory, "vfat", MountFlags::NOATIME, None)?;
    Ok(())
}

/// The path with each `*` replaced by the first name in its folder.
fn first_match(path: &str) -> io::Result<PathBuf> {
    let mut found = PathBuf::new();
    for component in Path::new(path).components() {
        if component.as_os_str() == "*" {
            let names = fs::read_dir(&found)?.map(|entry| entry.map(|entry| entry.file_name()));
            let names: Vec<_> = names.collect::<io::Result<_>>()?;
            found.push(names.iter().min().ok_or(io::ErrorKind::NotFound)?);
        } else {
            found.push(component);
        }
    }
    Ok(found)
}

fn fill(path: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 16];
    loop {
        match file.write_all(&zeros) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return file.sync_all(),
            other => other?,
        }
    }
}

fn invert(path: &str, image: &str) -> io::Result<()> {
    let wanted = fs::read(path)?;
    let file = File::options().read(true).write(true).open(image)?;
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    // Until the end of the image, which is an error of its own.
    loop {
        file.read_exact_at(&mut block, offset)?;
        if wanted.starts_with(&block) {
            break;
        }
        offset = offset.saturating_add(BLOCK as u64);
    }
    let inverted: Vec<u8> = wanted.iter().map(|byte| !byte).collect();
    file.write_all_at(&inverted, offset)?;
    file.sync_all()
}
