// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial console: every byte into a log file, every line to whoever wants it.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// A console that is being followed, by several threads: who needs to know what was said before something else happened reads it up to
/// there.
pub struct Console<'a> {
    output: OwnedFd,
    on_line: &'a (dyn Fn(&str) + Sync),
    /// While it is set, everything also goes to standard output as it is: the guest's shell is there, and its prompt ends in no newline.
    show_all: &'a AtomicBool,
    said: Mutex<Said>,
}

/// What was read of it.
struct Said {
    log: File,
    line: Vec<u8>,
    lines: Vec<String>,
}

impl<'a> Console<'a> {
    /// Starts the log file.
    pub fn create(
        log: &Path,
        output: impl Into<OwnedFd>,
        on_line: &'a (dyn Fn(&str) + Sync),
        show_all: &'a AtomicBool,
    ) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let output = output.into();
        rustix::io::ioctl_fionbio(&output, true)?;
        Ok(Self { output, on_line, show_all, said: Mutex::new(Said { log, line: Vec::new(), lines: Vec::new() }) })
    }

    /// Reads to the end and returns the lines.
    pub fn follow(&self) -> Vec<String> {
        while !self.catch_up() {
            let mut output = [PollFd::new(&self.output, PollFlags::IN)];
            // An error, which is a signal's, is as good as an event: then there is nothing to read yet.
            let _ = poll(&mut output, None);
        }
        let mut said = self.said();
        if !said.line.is_empty() {
            self.end_line(&mut said);
        }
        std::mem::take(&mut said.lines)
    }

    /// Reads what was said by now; whether it is all that there will be.
    pub fn catch_up(&self) -> bool {
        let mut said = self.said();
        let mut buffer = [0; 4096];
        loop {
            let bytes = match rustix::io::read(&self.output, &mut buffer[..]) {
                Ok(count) => buffer.get(..count).unwrap_or_default(),
                Err(Errno::INTR) => continue,
                Err(errno) => return errno != Errno::AGAIN,
            };
            if bytes.is_empty() {
                return true;
            }
            // A full disk costs the log, not the boot.
            let _ = said.log.write_all(bytes);
            if self.show_all.load(Ordering::Relaxed) {
                let mut terminal = std::io::stdout();
                let _ = terminal.write_all(bytes).and_then(|()| terminal.flush());
            }
            for &byte in bytes {
                if byte == b'\n' {
                    self.end_line(&mut said);
                } else {
                    said.line.push(byte);
                }
            }
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_line(&self, said: &mut Said) {
        let line = plain(&String::from_utf8_lossy(&std::mem::take(&mut said.line)));
        (self.on_line)(&line);
        said.lines.push(line);
    }
}

/// The line without control characters and escape sequences (ECMA-48: `ESC [`, parameters, one final letter).
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                if characters.next() == Some('[') {
                    characters.find(|character| ('@'..='~').contains(character));
                }
            }
            '\t' => plain.push(' '),
            _ if character.is_control() => {}
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn lines_come_without_colours_and_the_log_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let seen = Mutex::new(Vec::new());
        let on_line = |line: &str| seen.lock().unwrap().push(line.to_owned());
        let (output, mut guest) = std::io::pipe().unwrap();
        let show_all = AtomicBool::new(false);
        let console = Console::create(&log, output, &on_line, &show_all).unwrap();
        let [begun, rest] = [&b"[\x1b[0;32m  OK  \x1b[0m] Reached\r\nla"[..], b"st"];
        guest.write_all(begun).unwrap();
        assert!(!console.catch_up());
        assert_eq!(*seen.lock().unwrap(), ["[  OK  ] Reached"]);
        guest.write_all(rest).unwrap();
        drop(guest);
        assert_eq!(console.follow(), ["[  OK  ] Reached", "last"]);
        assert_eq!(*seen.lock().unwrap(), ["[  OK  ] Reached", "last"]);
        assert_eq!(std::fs::read(&log).unwrap(), [begun, rest].concat());
    }
}
