// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module's file, decompressed.

use std::io::{self, Read};
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;

use crate::file_error::{self, Action, FileError};

/// Most bytes of a module. The largest of a kernel without debug information is a graphics driver of 20 MB; an early boot
/// has no use for that, and a file that claims more is a mistake.
const MAX_MODULE: u64 = 64 << 20;

/// How a module is compressed (CONFIG_MODULE_COMPRESS_...).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.gz`
    Gzip,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
}

impl Compression {
    /// The compression that this end of a file's name stands for.
    #[must_use]
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Reads a module.
///
/// # Errors
/// It cannot be read, is damaged, or is larger than any module is.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let stored = file_error::read(path)?;
    let suffix = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let contents = match Compression::of_suffix(&format!(".{suffix}")) {
        None => Ok(stored),
        Some(compression) => decompress(&stored, compression),
    };
    contents.map_err(FileError::on(path, Action::Decompress))
}

fn decompress(stored: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    match compression {
        Compression::Gzip => read_all(flate2::read::MultiGzDecoder::new(stored)),
        Compression::Xz => read_all(lzma_rust2::XzReader::new(stored, true)),
        Compression::Zstd => zstd(stored),
    }
}

/// Every frame of the file. The decoder computes a frame's checksum, and leaves it to its caller to compare.
fn zstd(mut stored: &[u8]) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    while !stored.is_empty() {
        let mut frame = StreamingDecoder::new(&mut stored).map_err(io::Error::other)?;
        contents.extend(read_all(&mut frame)?);
        if let Some(expected) = frame.decoder.get_checksum_from_data()
            && frame.decoder.get_calculated_checksum() != Some(expected)
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a frame is wrong"));
        }
    }
    Ok(contents)
}

fn read_all(decoder: impl Read) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    let mut decoder = decoder.take(MAX_MODULE);
    decoder.read_to_end(&mut contents)?;
    if decoder.limit() == 0 {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_MODULE} bytes")));
    }
    Ok(contents)
}
