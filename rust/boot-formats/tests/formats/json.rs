// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON: what serde_json takes, but for what is stricter here, and the exact error of what is refused.

use boot_formats::json::{self, Error, MAX_DEPTH, decimal};
use proptest::prelude::*;

fn error(text: &str) -> String {
    json::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn values_are_what_they_are() {
    let text = br#" { "a" : [ 1, "two", true, null, -0.5e+3 ], "b":{}, "c" : 18446744073709551615 }tail"#;
    let (value, end) = json::parse(text).unwrap();
    assert_eq!(&text[end..], b"tail");
    assert_eq!(value.members().unwrap().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let array: Vec<_> = value.member("a").unwrap().unwrap().elements().unwrap().collect();
    assert_eq!(array.len(), 5);
    assert_eq!(array[0].unsigned(), Ok(1));
    assert_eq!(array[1].string(), Ok("two"));
    assert_eq!(array[2].boolean(), Ok(true));
    assert_eq!(array[4].text(), b"-0.5e+3");
    assert_eq!(value.member("b").unwrap().unwrap().members().unwrap().count(), 0);
    assert_eq!(value.member("c").unwrap().unwrap().unsigned(), Ok(u64::MAX));
    assert_eq!(value.member("d"), Ok(None));
    assert_eq!(array[1].offset(), 14);
    assert_eq!(&text[14..19], b"\"two\"");
}

#[test]
fn what_is_no_json_is_refused_where_it_is_not() {
    for (text, expected) in [
        ("", "text ends at byte 0, inside a value"),
        ("{\"a\":1", "text ends at byte 6, inside a value"),
        ("{a:1}", "at byte 1: found 'a', expected a member"),
        ("{\"a\" 1}", "at byte 5: found '1', expected ':'"),
        ("{\"a\":1,}", "at byte 7: found '}', expected a member"),
        ("[1,]", "at byte 3: found ']', expected a value"),
        ("[1 2]", "at byte 3: found '2', expected ',' or ']'"),
        ("{\"a\":1 \"b\":2}", "at byte 7: found '\\\"', expected ',' or '}'"),
        ("[1}", "at byte 2: found '}', expected ',' or ']'"),
        ("nul", "text ends at byte 3, inside a value"),
        ("True", "at byte 0: found 'T', expected a value"),
        ("truE", "at byte 3: found 'E', expected true, false or null"),
        ("01", "at byte 1: found '1', expected the end of a number"),
        ("1.", "text ends at byte 2, inside a value"),
        ("-a", "at byte 1: found 'a', expected a digit"),
        ("\"a\nb\"", "at byte 2: found '\\n', expected a character or its escape"),
        ("\"\\x\"", "at byte 2: found 'x', expected an escape"),
        ("\"\\u12g4\"", "at byte 5: found 'g', expected a hexadecimal digit"),
        ("{\"\\u0061\":1}", "at byte 1: an escape in a string"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    let (deep, deeper) = ("[".repeat(MAX_DEPTH) + "1" + &"]".repeat(MAX_DEPTH), "[".repeat(MAX_DEPTH + 1) + "1");
    assert!(json::parse(deep.as_bytes()).is_ok());
    assert_eq!(error(&deeper), "at byte 33: more than 32 values inside each other");
}

#[test]
fn a_name_that_is_there_twice_is_not_looked_up() {
    let (value, _) = json::parse(br#"{"a":1,"b":2,"a":3}"#).unwrap();
    assert_eq!(value.member("a"), Err(Error::Duplicate { offset: 17 }));
    assert_eq!(value.member("b").unwrap().unwrap().unsigned(), Ok(2));
}

#[test]
fn a_value_of_another_kind_is_named() {
    let (value, _) = json::parse(br#"{"a":1.0,"b":"\n","c":-1}"#).unwrap();
    let member = |name| value.member(name).unwrap().unwrap();
    let integer = "an integer from 0 to 2^64 - 1";
    assert_eq!(member("a").unsigned(), Err(Error::Kind { offset: 5, expected: integer }));
    assert_eq!(member("c").unsigned(), Err(Error::Kind { offset: 22, expected: integer }));
    assert_eq!(member("b").string(), Err(Error::Escape { offset: 13 }));
    assert_eq!(member("a").string(), Err(Error::Kind { offset: 5, expected: "a string" }));
    assert_eq!(member("a").boolean(), Err(Error::Kind { offset: 5, expected: "true or false" }));
    assert_eq!(value.elements().map(|_| ()), Err(Error::Kind { offset: 0, expected: "an array" }));
    assert_eq!(member("a").members().map(|_| ()), Err(Error::Kind { offset: 5, expected: "an object" }));
    let (bad, _) = json::parse(b"\"\xff\"").unwrap();
    assert_eq!(bad.string(), Err(Error::Encoding { offset: 0 }));
}

#[test]
fn decimal_numbers_have_one_form() {
    for (text, number) in
        [("0", Some(0)), ("10", Some(10)), ("18446744073709551616", None), ("00", None), ("+1", None), ("", None)]
    {
        assert_eq!(decimal(text.as_bytes()), number, "{text}");
    }
}

/// Text that is often JSON, or nearly.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u00e4\"",
        "1",
        "0",
        "-1.5e3",
        "01",
        "true",
        "null",
        " ",
        "\"",
        "x",
        "\\",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_serde_json_takes_is_taken_and_nothing_else(text in nearly_json()) {
        let ours = json::parse(text.as_bytes()).ok().filter(|(_, end)| text[*end..].trim().is_empty());
        let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
        // Stricter: no escapes in names.
        let has_escaped_name = text.contains("\\u00e4");
        if has_escaped_name && ours.is_none() {
            return Ok(());
        }
        prop_assert_eq!(ours.is_some(), theirs.is_some(), "{}", text);
        if let (Some((value, _)), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(value.text()).unwrap(), theirs);
        }
    }
}
