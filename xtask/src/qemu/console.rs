// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial console: every byte into a log file, every line to whoever wants it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// A console that is being followed.
pub struct Console<'a> {
    log: File,
    on_line: &'a (dyn Fn(&str) + Sync),
    line: Vec<u8>,
    lines: Vec<String>,
}

impl<'a> Console<'a> {
    /// Starts the log file.
    pub fn create(log: &Path, on_line: &'a (dyn Fn(&str) + Sync)) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        Ok(Self { log, on_line, line: Vec::new(), lines: Vec::new() })
    }

    /// Reads to the end and returns the lines. While `show_all` is set, everything also goes to standard output as it is:
    /// the guest's shell is there, and its prompt ends in no newline.
    pub fn follow(&mut self, mut output: impl Read, show_all: &AtomicBool) -> Vec<String> {
        let mut buffer = [0; 4096];
        while let Ok(count) = output.read(&mut buffer) {
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            // A full disk costs the log, not the boot.
            let _ = self.log.write_all(bytes);
            if show_all.load(Ordering::Relaxed) {
                let mut terminal = std::io::stdout();
                let _ = terminal.write_all(bytes).and_then(|()| terminal.flush());
            }
            for &byte in bytes {
                if byte == b'\n' {
                    self.end_line();
                } else {
                    self.line.push(byte);
                }
            }
        }
        if !self.line.is_empty() {
            self.end_line();
        }
        std::mem::take(&mut self.lines)
    }

    fn end_line(&mut self) {
        let line = plain(&String::from_utf8_lossy(&std::mem::take(&mut self.line)));
        (self.on_line)(&line);
        self.lines.push(line);
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
        let bytes = b"[\x1b[0;32m  OK  \x1b[0m] Reached\r\nlast";
        let lines = Console::create(&log, &on_line).unwrap().follow(&bytes[..], &AtomicBool::new(false));
        assert_eq!(lines, ["[  OK  ] Reached", "last"]);
        assert_eq!(*seen.lock().unwrap(), lines);
        assert_eq!(std::fs::read(&log).unwrap(), bytes);
    }
}
