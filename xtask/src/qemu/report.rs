// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's report: named sections over a virtio-serial port, and the host's one word back.
//!
//! A section is `== NAME BYTES`, a newline, so many bytes, a newline; `end` with 0 bytes is the last. The guest's sides are
//! tests/boot/probe/src/port.rs and tests/boot/userspace/root/usr/lib/initoverlayfs/report.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Longest section taken, in bytes: the longest there is (a file read late) is 64 KiB.
const LONGEST: usize = 1 << 20;

/// What the guest does after its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Powers off.
    PowerOff,
    /// Resets.
    Reset,
    /// Goes on running, with a shell on the console.
    Stay,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Self::PowerOff => "power-off",
            Self::Reset => "reset",
            Self::Stay => "stay",
        }
    }
}

/// A complete report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(BTreeMap<String, Vec<u8>>);

impl Report {
    /// Takes a report out of the stream, having done what has to be done when it begins, and answers; `None` if the
    /// guest ends before the report is complete.
    pub fn receive(stream: UnixStream, answer: Answer, at_its_beginning: impl FnOnce()) -> Option<Self> {
        let mut answers = stream.try_clone().ok()?;
        let mut stream = BufReader::new(stream);
        if !stream.fill_buf().ok()?.is_empty() {
            at_its_beginning();
        }
        let report = Self::read(stream).ok()?;
        writeln!(answers, "{}", answer.word()).ok()?;
        Some(report)
    }

    pub(crate) fn read(mut stream: impl BufRead) -> Result<Self> {
        let mut report = Self::default();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header)?;
            let (name, size) = parse_header(&header)?;
            let mut content = vec![0; size + 1];
            stream.read_exact(&mut content).with_context(|| format!("section {name} is cut short"))?;
            if content.pop() != Some(b'\n') {
                bail!("section {name} does not end after {size} bytes");
            }
            if name == "end" {
                return Ok(report);
            }
            report.0.insert(name.to_owned(), content);
        }
    }

    /// Writes each section to a file of its name in `folder`, for a person to look at.
    ///
    /// # Errors
    /// The folder or a file cannot be written, or a section's name is not a file's.
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, content) in &self.0 {
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) || name.starts_with('.')
            {
                bail!("the guest's report has a section {name:?}");
            }
            let path = folder.join(name);
            std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The bytes of a section.
    ///
    /// # Errors
    /// The guest sent none of that name.
    pub fn bytes(&self, section: &str) -> Result<&[u8]> {
        self.0.get(section).map(Vec::as_slice).with_context(|| format!("the guest's report has no section {section}"))
    }

    /// A section as text.
    ///
    /// # Errors
    /// As [`Report::bytes`], or it is not UTF-8.
    pub fn text(&self, section: &str) -> Result<&str> {
        std::str::from_utf8(self.bytes(section)?).with_context(|| format!("section {section} of the report is no text"))
    }
}

fn parse_header(header: &str) -> Result<(&str, usize)> {
    let fields = header.trim_end().strip_prefix("== ").and_then(|fields| fields.split_once(' '));
    match fields.map(|(name, size)| (name, size.parse::<usize>())) {
        Some((name, Ok(size))) if size <= LONGEST => Ok((name, size)),
        _ => bail!("not a section's header: {header:?}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sections_hold_any_bytes() {
        let report = Report::read(&b"== a 7\n== b 9\n\n== c 0\n\n== end 0\n\n"[..]).unwrap();
        assert_eq!(report.bytes("a").unwrap(), b"== b 9\n");
        assert_eq!(report.text("c").unwrap(), "");
        assert_eq!(report.bytes("d").unwrap_err().to_string(), "the guest's report has no section d");
    }

    #[test]
    fn a_report_without_its_end_is_none() {
        let message = |bytes: &[u8]| Report::read(bytes).unwrap_err().to_string();
        assert_eq!(message(b"== a 1\nx\n"), "not a section's header: \"\"");
        assert_eq!(message(b"== a 5\nx\n"), "section a is cut short");
        assert_eq!(message(b"== a 1\nxyz\n"), "section a does not end after 1 bytes");
        assert_eq!(message(b"== a 99999999\n"), "not a section's header: \"== a 99999999\\n\"");
    }
}
