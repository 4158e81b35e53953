// SPDX-License-Identifier: MIT OR Apache-2.0
//! The virtio-serial port to the host: sections out, one word in.
//!
//! A section is `== NAME BYTES`, a newline, so many bytes, a newline; `end` with 0 bytes is the last. The real root's report
//! script (tests/boot/userspace/root/usr/lib/initoverlayfs/report) speaks the same.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// The port's name on QEMU's command line.
const NAME: &str = "org.meta-initoverlayfs.report";

/// What the host wants after the last section.
pub enum Answer {
    /// Power off: the ordinary end of a test.
    PowerOff,
    /// Reset, as a machine does that boots again.
    Reset,
}

/// The open port.
pub struct Port(File);

impl Port {
    /// Finds the port by its name in sysfs and opens its device node: there is no udev here to make links.
    pub fn open() -> io::Result<Self> {
        for entry in fs::read_dir("/sys/class/virtio-ports")? {
            let entry = entry?;
            if fs::read_to_string(entry.path().join("name"))?.trim_end() == NAME {
                let node = Path::new("/dev").join(entry.file_name());
                return File::options().read(true).write(true).open(node).map(Self);
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("no virtio port is named {NAME}")))
    }

    /// Sends one section.
    pub fn send(&mut self, section: &str, content: &[u8]) -> io::Result<()> {
        writeln!(self.0, "== {section} {}", content.len())?;
        self.0.write_all(content)?;
        self.0.write_all(b"\n")
    }

    /// Sends the last section and waits for the answer.
    pub fn finish(mut self) -> io::Result<Answer> {
        self.send("end", b"")?;
        let mut answer = String::new();
        BufReader::new(self.0).read_line(&mut answer)?;
        match answer.trim_end() {
            "power-off" => Ok(Answer::PowerOff),
            "reset" => Ok(Answer::Reset),
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the host answered {other:?}"))),
        }
    }
}
