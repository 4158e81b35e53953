// SPDX-License-Identifier: MIT OR Apache-2.0
//! Digests as text: exactly the texts of 64 lower-case digits are taken, and come back.
#![no_main]

use boot_formats::hex::{self, Hex, HexError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert_eq!(Hex(data).to_string(), fuzz::hex(data));
    if let Some(bytes) = data.first_chunk() {
        let digits = hex::encode(bytes);
        let text = core::str::from_utf8(&digits).expect("digits");
        assert_eq!(text, fuzz::hex(bytes));
        assert_eq!(hex::decode(text), Ok(*bytes));
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match hex::decode(text) {
        Ok(bytes) => assert_eq!(hex::encode(&bytes), *data),
        Err(HexError::Length { found }) => assert!(found == data.len() && found != 64),
        Err(HexError::Digit { offset, found }) => {
            assert_eq!((data[offset], data.iter().position(|byte| !is_digit(byte))), (found, Some(offset)));
        }
    }
});
