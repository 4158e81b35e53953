// SPDX-License-Identifier: MIT OR Apache-2.0
//! Base64 (RFC 4648, section 4) of what is no secret: signatures, certificates' keys, sealed objects.
//!
//! Strict: the padding is there, nothing stands between the characters, and the bits behind the last byte are zero, so that no two
//! texts say the same. Not in constant time, and so several times as fast as what is.

/// Bytes of this text, if it is base64, at the beginning of `into`; `None` for what is not, and for what does not fit.
#[must_use]
pub fn decode<'a>(text: &str, into: &'a mut [u8]) -> Option<&'a [u8]> {
    let (groups, []) = text.as_bytes().as_chunks::<4>() else { return None };
    let Some(([a, b, c, d], whole)) = groups.split_last() else { return into.get(..0) };
    let len = whole.len().checked_mul(3)?;
    let (places, _) = into.get_mut(..len)?.as_chunks_mut::<3>();
    for (place, group) in places.iter_mut().zip(whole) {
        *place = three(*group)?;
    }
    // `=` stands only at the end, for one or two bytes that are not there.
    let (last, count) = match (c, d) {
        (b'=', b'=') => ([*a, *b, b'A', b'A'], 1),
        (_, b'=') => ([*a, *b, *c, b'A'], 2),
        _ => ([*a, *b, *c, *d], 3),
    };
    let last = three(last)?;
    let (bytes, behind) = last.split_at(count);
    if behind.iter().any(|byte| *byte != 0) {
        return None;
    }
    let end = len.checked_add(count)?;
    into.get_mut(len..end)?.copy_from_slice(bytes);
    into.get(..end)
}

fn three(group: [u8; 4]) -> Option<[u8; 3]> {
    let value = |character| u32::from(VALUES.get(usize::from(character)).copied().unwrap_or(NONE));
    let [a, b, c, d] = group.map(value);
    // What is no character has a bit that no value of one has.
    if (a | b | c | d) & u32::from(NONE) == NONE.into() {
        return None;
    }
    let [_, bytes @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
    Some(bytes)
}

const NONE: u8 = 0x80;

/// The value of each character.
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut rest: &mut [u8] = &mut values;
    let mut character = 0_u8;
    while let [first, behind @ ..] = rest {
        *first = value(character);
        character = character.wrapping_add(1);
        rest = behind;
    }
    values
}

const fn value(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character.wrapping_sub(b'A'),
        b'a'..=b'z' => character.wrapping_sub(b'a' - 26),
        b'0'..=b'9' => character.wrapping_add(52 - b'0'),
        b'+' => 62,
        b'/' => 63,
        _ => NONE,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use base64ct::{Base64, Encoding};
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    /// The other implementation's answer.
    fn oracle(text: &str) -> Option<Vec<u8>> {
        let mut buffer = [0; 256];
        Base64::decode(text, &mut buffer).ok().map(<[u8]>::to_vec)
    }

    fn ours(text: &str) -> Option<Vec<u8>> {
        decode(text, &mut [0; 256]).map(<[u8]>::to_vec)
    }

    /// RFC 4648, section 10.
    #[test]
    fn vectors_of_the_rfc() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg==", b"foob"),
            ("Zm9vYmE=", b"fooba"),
            ("Zm9vYmFy", b"foobar"),
        ] {
            assert_eq!(ours(text).as_deref(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(decode("Zm9vYmFy", &mut [0; 6]), Some(&b"foobar"[..]));
        for (text, room) in [("Zm9vYmFy", 5), ("Zm9vYmE=", 4), ("Zg==", 0), ("Zm9vYmFy", 2)] {
            let mut into = std::vec![0; room];
            assert_eq!(decode(text, &mut into), None, "{text} into {room}");
        }
    }

    /// The last two characters decide of padding and of bits behind the end: all of them.
    #[test]
    fn every_end_gets_the_verdict_of_another_implementation() {
        for (last, before) in (0..=127_u8).flat_map(|last| (0..=127_u8).map(move |before| (last, before))) {
            let text = String::from_utf8([b'T', b'W', before, last].to_vec()).unwrap_or_default();
            assert_eq!(ours(&text), oracle(&text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn texts_get_the_verdict_of_another_implementation(text in "[A-Za-z0-9+/]{0,40}[-A-Za-z0-9+/= ]{0,4}") {
            prop_assert_eq!(ours(&text), oracle(&text));
        }

        #[test]
        fn what_another_implementation_writes_is_read(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut buffer = [0; 256];
            let text = Base64::encode(&bytes, &mut buffer).unwrap_or_default();
            prop_assert_eq!(ours(text), Some(bytes));
        }
    }
}
