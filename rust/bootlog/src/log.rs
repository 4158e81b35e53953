// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log as bytes: its header and its frames, each with the offset it was found at.
//!
//! See [`boot_record::log_header`] for the format.

use boot_record::log_header::{self, Header, MAGIC};

/// Largest log that is read, in bytes: storage-init keeps 16 KiB; a pstore zone is a few hundred.
pub const MAX_LOG: u64 = 4 << 20;

/// Why bytes are no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// No item begins as a header does.
    #[error("none of its {len} bytes begins a log (the header may have been overwritten)")]
    NoHeader {
        /// Bytes looked at.
        len: usize,
    },
    /// What begins as a header is none that this program reads.
    #[error("at byte {offset}: {source}")]
    Header {
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        source: log_header::Error,
    },
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// Which build wrote it.
    pub header: Header,
    /// Its frames, in order.
    pub frames: Vec<Frame<'a>>,
}

/// A frame as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it begins, in bytes of the whole input.
    pub offset: usize,
    /// Its bytes, without the zero that ends it.
    pub bytes: &'a [u8],
    /// Whether that zero is there: the writer had not come to its end otherwise.
    pub ended: bool,
}

impl<'a> Log<'a> {
    /// Finds the last log among `bytes`: a memory that was not cleared may hold more than one.
    ///
    /// # Errors
    /// Each of [`Error`].
    pub fn find(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut items = items(bytes);
        let is_header = |frame: &Frame<'_>| frame.ended && frame.bytes.starts_with(MAGIC.as_bytes());
        let Some(position) = items.iter().rposition(is_header) else {
            return Err(if bytes.is_empty() { Error::Empty } else { Error::NoHeader { len: bytes.len() } });
        };
        let mut of_log = items.split_off(position).into_iter();
        let Some(found) = of_log.next() else { return Err(Error::Empty) };
        let header = Header::parse(found.bytes).map_err(|source| Error::Header { offset: found.offset, source })?;
        Ok(Self { header, frames: of_log.collect() })
    }
}

/// What lies between zeros, unless that is nothing.
fn items(bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut offset: usize = 0;
    let mut items = Vec::new();
    for piece in bytes.split_inclusive(|&byte| byte == 0) {
        let content = piece.strip_suffix(&[0]);
        let item = Frame { offset, bytes: content.unwrap_or(piece), ended: content.is_some() };
        offset = offset.saturating_add(piece.len());
        if !item.bytes.is_empty() {
            items.push(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use boot_record::log_header::BuildId;

    fn header(id: u8, lost: u32) -> Header {
        Header { build_id: BuildId::new(&[id]).unwrap(), lost }
    }

    #[test]
    fn frames_have_their_offsets() {
        let log = Log::find(b"\0initoverlayfs-log 1 07 3\0ab\0\0c\0").unwrap();
        let frames =
            vec![Frame { offset: 26, bytes: b"ab", ended: true }, Frame { offset: 30, bytes: b"c", ended: true }];
        assert_eq!(log, Log { header: header(7, 3), frames });
    }

    #[test]
    fn the_last_of_several_logs_is_read_and_what_lies_before_it_is_not() {
        let log = Log::find(b"rubbish\0\0initoverlayfs-log 1 07 0\0ab\0cut\0initoverlayfs-log 1 08 0\0x").unwrap();
        assert_eq!(log, Log { header: header(8, 0), frames: vec![Frame { offset: 66, bytes: b"x", ended: false }] });
    }

    #[test]
    fn what_is_no_log_says_so() {
        assert_eq!(Log::find(b""), Err(Error::Empty));
        assert_eq!(Log::find(b"\0\0\0"), Err(Error::NoHeader { len: 3 }));
        // Cut in the middle of its header: nothing says where it would have ended.
        assert_eq!(Log::find(b"\0initoverlayfs-log 1 07"), Err(Error::NoHeader { len: 23 }));
        let source = log_header::Error::Format { found: 2 };
        assert_eq!(Log::find(b"\0initoverlayfs-log 2 07 0\0"), Err(Error::Header { offset: 1, source }));
        assert_eq!(
            Error::Header { offset: 1, source }.to_string(),
            "at byte 1: header of the log: format 2, expected 1"
        );
    }
}
