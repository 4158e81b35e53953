// SPDX-License-Identifier: MIT OR Apache-2.0
//! GUIDs: exactly the texts of 36 characters are taken, in either case, and come back in lower case.
#![no_main]

use boot_formats::Guid;
use boot_formats::dps::Role;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(bytes) = data.first_chunk() {
        let guid = Guid::from_disk(*bytes);
        assert_eq!(guid.to_disk(), *bytes);
        assert_eq!(Guid::from_uuid_bytes(guid.to_uuid_bytes()), guid);
        assert_eq!(Guid::parse(&guid.to_string()), Ok(guid));
        let digits = u128::from_be_bytes(guid.to_uuid_bytes());
        assert_eq!((Guid::from_u128(digits), guid.to_string().replace('-', "")), (guid, format!("{digits:032x}")));
        assert!(!Role::of(guid).to_string().is_empty());
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let is_guid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let found = Guid::parse(text);
    assert_eq!(found.is_ok(), is_guid, "{found:?}");
    if let Ok(guid) = found {
        assert_eq!(guid.to_string(), text.to_ascii_lowercase());
    }
});
