// SPDX-License-Identifier: MIT OR Apache-2.0
//! The init of the boot tests' small DDIs: tells the host what it finds, and powers off.
//!
//! * Runs as PID 1, right after storage-init's hand-over; shares no code with it.
//! * Asks libdevmapper (Debian's `dmsetup`, in the same DDI) about the verity device, so that what the kernel says reaches
//!   the host by a way that storage-init has no part in.
//! * Carries out `/probe/actions`, see [`action`], and reports what came of each.
//! * Does not judge: the host compares. Whatever goes wrong becomes a section of the report or a console line.

mod action;
mod port;
mod signatures;

use std::fs;
use std::io;
use std::process::Command;

use port::{Answer, Port};
use rustix::system::RebootCommand;

/// Files that go into the report as they are: section, path.
const FILES: [(&str, &str); 5] = [
    ("boot.json", "/run/initoverlayfs/boot.json"),
    ("boot.defmt", "/run/initoverlayfs/boot.defmt"),
    ("mounts", "/proc/self/mounts"),
    ("os-release", "/usr/lib/os-release"),
    ("cmdline", "/proc/cmdline"),
];

/// Sections made by `dmsetup`, under the names the real root's report uses too.
const DMSETUP: [(&str, &str); 3] = [("verity-table", "table"), ("verity-status", "status"), ("verity-info", "info")];

fn main() {
    let command = match report() {
        Ok(Answer::Reset) => RebootCommand::Restart,
        Ok(Answer::PowerOff) => RebootCommand::PowerOff,
        Err(error) => {
            println!("probe: {error}");
            RebootCommand::PowerOff
        }
    };
    // Returns only on failure, and PID 1 must not end.
    if let Err(errno) = rustix::system::reboot(command) {
        println!("probe: reboot(2): {errno}");
    }
    loop {
        std::thread::park();
    }
}

/// Sends every section, then waits for what the host wants next.
fn report() -> io::Result<Answer> {
    let mut port = Port::open()?;
    for (section, path) in FILES {
        port.send(section, &read_or_error(path))?;
    }
    port.send("processes", processes()?.as_bytes())?;
    if let Ok(actions) = fs::read_to_string("/probe/actions") {
        for (number, line) in actions.lines().enumerate() {
            port.send(&format!("action-{}", number.saturating_add(1)), &action::carry_out(line))?;
        }
    }
    // Last, so that the kernel's verdict covers what the actions read.
    for (section, subcommand) in DMSETUP {
        port.send(section, &dmsetup(subcommand))?;
    }
    port.finish()
}

fn read_or_error(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| format!("error: {path}: {error}").into_bytes())
}

/// Names of all processes with a command line: kernel threads have none.
fn processes() -> io::Result<String> {
    let mut names = String::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        // /proc/self and /proc/thread-self are names for one that is counted already.
        if entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())
            && let Ok(command_line) = fs::read(entry.path().join("cmdline"))
            && let Some(program) = command_line.split(|&byte| byte == 0).next()
            && !program.is_empty()
        {
            names.push_str(&String::from_utf8_lossy(program));
            names.push('\n');
        }
    }
    Ok(names)
}

/// Standard output of `dmsetup SUBCOMMAND`, or why there is none.
fn dmsetup(subcommand: &str) -> Vec<u8> {
    match Command::new("/usr/sbin/dmsetup").arg(subcommand).output() {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => [format!("error: {}: ", output.status).as_bytes(), &output.stderr].concat(),
        Err(error) => format!("error: {error}").into_bytes(),
    }
}
