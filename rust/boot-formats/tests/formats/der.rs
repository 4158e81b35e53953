// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tags and lengths of DER.

use boot_formats::der::{Error, MAX_LENGTH, Reader, tag};

fn with_contents(header: &[u8], len: usize) -> Vec<u8> {
    [header, &vec![0; len]].concat()
}

#[test]
fn each_form_of_length() {
    for (header, len) in [
        (&[0x04, 0x00][..], 0),
        (&[0x04, 0x7f], 127),
        (&[0x04, 0x81, 0x80], 128),
        (&[0x04, 0x81, 0xff], 255),
        (&[0x04, 0x82, 0x01, 0x00], 256),
        (&[0x04, 0x82, 0xff, 0xff], MAX_LENGTH),
    ] {
        let mut bytes = with_contents(header, len);
        bytes.push(0xaa);
        let mut reader = Reader::new(&bytes);
        let value = reader.any().unwrap();
        assert_eq!((value.tag, value.offset), (0x04, 0));
        assert_eq!((value.contents.len(), value.whole.len()), (len, header.len() + len));
        let end = bytes.len() - 1;
        assert_eq!(reader.end(), Err(Error::Trailing { offset: end, len: 1 }));
    }
}

#[test]
fn what_is_not_der() {
    for (bytes, error, line) in [
        (
            &[][..],
            Error::Truncated { offset: 0, needed: 1, available: 0 },
            "der: out of range at byte 0: need 1, have 0",
        ),
        (
            &[0x04],
            Error::Truncated { offset: 1, needed: 1, available: 0 },
            "der: out of range at byte 1: need 1, have 0",
        ),
        (
            &[0x04, 0x82, 0x01],
            Error::Truncated { offset: 3, needed: 1, available: 0 },
            "der: out of range at byte 3: need 1, have 0",
        ),
        (
            &[0x04, 0x03, 1, 2],
            Error::Truncated { offset: 2, needed: 3, available: 2 },
            "der: out of range at byte 2: need 3, have 2",
        ),
        (&[0x1f, 0x20, 0x00], Error::HighTag { offset: 0 }, "der: at byte 0: tag number above 30"),
        (&[0xbf, 0x20, 0x00], Error::HighTag { offset: 0 }, "der: at byte 0: tag number above 30"),
        (&[0x30, 0x80, 0, 0], Error::IndefiniteLength { offset: 1 }, "der: at byte 1: indefinite length"),
        (&[0x04, 0x81, 0x7f], Error::LongForm { offset: 1 }, "der: at byte 1: length not in its shortest form"),
        (&[0x04, 0x82, 0, 0xff], Error::LongForm { offset: 1 }, "der: at byte 1: length not in its shortest form"),
        (&[0x04, 0x83, 1, 0, 0], Error::TooLong { offset: 1 }, "der: at byte 1: length above 65535"),
        (&[0x04, 0xff], Error::TooLong { offset: 1 }, "der: at byte 1: length above 65535"),
    ] {
        assert_eq!(Reader::new(bytes).any(), Err(error), "{bytes:x?}");
        assert_eq!(error.to_string(), line);
    }
}

#[test]
fn offsets_are_those_of_the_outermost_value() {
    let bytes = [0x30, 0x07, 0x02, 0x01, 0x05, 0x31, 0x02, 0x04, 0x01];
    let mut sequence = Reader::new(&bytes).expect(tag::SEQUENCE).unwrap().reader();
    assert_eq!(sequence.optional(tag::SET), Ok(None));
    assert_eq!(sequence.expect(tag::SET), Err(Error::Tag { offset: 2, expected: 0x31, found: 0x02 }));
    assert_eq!(sequence.expect(tag::INTEGER).unwrap().contents, [5]);
    let set = sequence.optional(tag::SET).unwrap().unwrap();
    assert_eq!((set.offset, set.whole), (5, &bytes[5..]));
    assert_eq!(sequence.end(), Ok(()));
    assert!(sequence.is_empty());
    let error = set.reader().any().unwrap_err();
    assert_eq!(error, Error::Truncated { offset: 9, needed: 1, available: 0 });
    let end = Reader::new(&bytes[..7]).any().unwrap_err();
    assert_eq!(end, Error::Truncated { offset: 2, needed: 7, available: 5 });
}
