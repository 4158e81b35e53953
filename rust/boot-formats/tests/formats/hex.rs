// SPDX-License-Identifier: MIT OR Apache-2.0
//! Digits: what is printed, and that it is what is read.

use boot_formats::hex::{Hex, HexError, decode, encode};

#[test]
fn bytes_are_printed_as_two_lower_case_digits_each() {
    assert_eq!(Hex(&[]).to_string(), "");
    assert_eq!(Hex(&[0x00, 0x0f, 0xa5, 0xff]).to_string(), "000fa5ff");
}

#[test]
fn a_digest_comes_back_from_its_digits() {
    let digest: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 8 + n % 8).unwrap());
    let text = Hex(&digest).to_string();
    assert_eq!(encode(&digest), *text.as_bytes());
    assert_eq!(decode(&text), Ok(digest));
    assert_eq!(decode(&text[1..]), Err(HexError::Length { found: 63 }));
    assert_eq!(decode(&text.replace('f', "F")), Err(HexError::Digit { offset: text.find('f').unwrap(), found: b'F' }));
}
