// SPDX-License-Identifier: MIT OR Apache-2.0
//! DER: each value read lies inside the one it was read from, and tag, length and contents written again are its bytes.
#![no_main]

use boot_formats::der::{Error, MAX_LENGTH, Reader, Value};
use fuzz::position;
use libfuzzer_sys::fuzz_target;

/// Deeper than anything real; a value costs two bytes of each that holds it.
const MAX_DEPTH: u32 = 64;
const CONSTRUCTED: u8 = 0x20;

fuzz_target!(|data: &[u8]| read(data, data, Reader::new(data), 0, 0));

fn read(file: &[u8], contents: &[u8], mut reader: Reader<'_>, base: usize, depth: u32) {
    let mut at = 0;
    while !reader.is_empty() {
        assert_eq!(reader.end(), Err(Error::Trailing { offset: base + at, len: contents.len() - at }));
        let value = match reader.any() {
            Ok(value) => value,
            Err(error) => return check_error(error, base + at, file.len()),
        };
        assert_eq!(value.offset, base + at);
        assert_eq!(position(file, value.whole), value.offset);
        assert_eq!(value.whole, &contents[at..at + value.whole.len()]);
        assert_eq!(value.whole, written(&value));
        if value.tag & CONSTRUCTED != 0 && depth < MAX_DEPTH {
            let start = value.offset + value.whole.len() - value.contents.len();
            read(file, value.contents, value.reader(), start, depth + 1);
        }
        at += value.whole.len();
    }
    assert_eq!((at, reader.end()), (contents.len(), Ok(())));
}

/// In the one form that DER has for it.
fn written(value: &Value<'_>) -> Vec<u8> {
    let len = value.contents.len();
    assert!(len <= MAX_LENGTH);
    let [high, low] = (len as u16).to_be_bytes();
    let header = match len {
        0..128 => vec![value.tag, low],
        128..256 => vec![value.tag, 0x81, low],
        _ => vec![value.tag, 0x82, high, low],
    };
    [&header, value.contents].concat()
}

/// An error points at the value that is bad, at most four bytes behind its start.
fn check_error(error: Error, at: usize, len: usize) {
    let (Error::Truncated { offset, .. }
    | Error::HighTag { offset }
    | Error::IndefiniteLength { offset }
    | Error::LongForm { offset }
    | Error::TooLong { offset }
    | Error::Tag { offset, .. }
    | Error::Trailing { offset, .. }) = error;
    assert!((at..=at + 4).contains(&offset) && offset <= len, "{error} of the value at {at}");
    if let Error::Truncated { needed, available, .. } = error {
        assert!(available < needed, "{error}");
    }
}
