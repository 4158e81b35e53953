// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a boot log: what was read, written again, is read as the same.
#![no_main]

use boot_record::log_header::{BuildId, Header, MAGIC, MAX_BUILD_ID, MAX_HEADER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(build_id) = core::str::from_utf8(data).ok().and_then(BuildId::from_hex) {
        assert_eq!(build_id.to_string().as_bytes(), data);
        assert!((1..=MAX_BUILD_ID).contains(&build_id.bytes().len()));
        assert_eq!(BuildId::new(build_id.bytes()), Some(build_id));
    }
    let Ok(header) = Header::parse(data) else { return };
    let item = header.item();
    assert!(item.len() <= MAX_HEADER && item.ends_with('\0'), "cut: {item:?}");
    let text = item.trim_matches('\0');
    assert!(text.starts_with(MAGIC) && !text.contains('\0'));
    assert_eq!(Header::parse(text.as_bytes()), Ok(header));
});
