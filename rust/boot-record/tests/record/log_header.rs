// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a boot log.

use boot_record::log_header::{BuildId, Error, Header, MAX_BUILD_ID, MAX_HEADER};
use proptest::prelude::*;

fn build_id() -> BuildId {
    BuildId::new(&[0x00, 0xa1, 0xff]).unwrap()
}

#[test]
fn the_item_is_text_between_zeros() {
    let header = Header { build_id: build_id(), lost: 7 };
    assert_eq!(header.item(), "\0initoverlayfs-log 1 00a1ff 7\0");
}

#[test]
fn the_longest_header_fits() {
    let header = Header { build_id: BuildId::new(&[0xff; MAX_BUILD_ID]).unwrap(), lost: u32::MAX };
    let item = header.item();
    assert!(item.len() <= MAX_HEADER && item.ends_with(" 4294967295\0"), "{item:?}");
}

#[test]
fn a_header_that_is_none_says_where() {
    for (item, error, said) in [
        ("initoverlayfs-lag 1 00 0", Error::NotALog, "header of the log: there is none"),
        ("initoverlayfs-log 2 00 0", Error::Format { found: 2 }, "header of the log: format 2, expected 1"),
        ("initoverlayfs-log x 00 0", Error::Field { name: "format" }, "header of the log: no format"),
        ("initoverlayfs-log 1", Error::Field { name: "build ID" }, "header of the log: no build ID"),
        ("initoverlayfs-log 1 0A 0", Error::Field { name: "build ID" }, "header of the log: no build ID"),
        ("initoverlayfs-log 1 abc 0", Error::Field { name: "build ID" }, "header of the log: no build ID"),
        ("initoverlayfs-log 1  0", Error::Field { name: "build ID" }, "header of the log: no build ID"),
        ("initoverlayfs-log 1 00", Error::Field { name: "lost frames" }, "header of the log: no lost frames"),
        ("initoverlayfs-log 1 00 -1", Error::Field { name: "lost frames" }, "header of the log: no lost frames"),
        ("initoverlayfs-log 1 00 0 ", Error::Trailing, "header of the log: more than its fields"),
    ] {
        assert_eq!(Header::parse(item.as_bytes()), Err(error), "{item}");
        assert_eq!(error.to_string(), said);
    }
    assert_eq!(Header::parse(b"initoverlayfs-log 1 00\xff 0"), Err(Error::NotALog));
    let too_long = format!("initoverlayfs-log 1 {} 0", "00".repeat(MAX_BUILD_ID + 1));
    assert_eq!(Header::parse(too_long.as_bytes()), Err(Error::Field { name: "build ID" }));
}

proptest! {
    #[test]
    fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 1..=MAX_BUILD_ID), lost: u32) {
        let header = Header { build_id: BuildId::new(&bytes).unwrap(), lost };
        let item = header.item();
        prop_assert_eq!(Header::parse(item.trim_matches('\0').as_bytes()), Ok(header));
    }
}
