// SPDX-License-Identifier: MIT OR Apache-2.0
//! Order of versions: every example of the specification, and corners.

use boot_formats::version::{MAX_VERSION, compare, is_valid};
use std::cmp::Ordering;

#[track_caller]
fn assert_order(a: &str, expected: Ordering, b: &str) {
    assert_eq!(compare(a, b), expected, "{a:?} {b:?}");
    assert_eq!(compare(b, a), expected.reverse(), "{b:?} {a:?}");
}

#[test]
fn examples_of_the_specification() {
    use Ordering::{Equal, Greater, Less};
    for (a, order, b) in [
        ("11", Equal, "11"),
        ("systemd-123", Equal, "systemd-123"),
        ("bar-123", Less, "foo-123"),
        ("123a", Greater, "123"),
        ("123.a", Greater, "123"),
        ("123.a", Less, "123.b"),
        ("123a", Greater, "123.a"),
        ("11α", Equal, "11β"),
        ("B", Less, "a"),
        ("", Less, "0"),
        ("0.", Greater, "0"),
        ("0.0", Greater, "0"),
        ("0", Greater, "~"),
        ("", Greater, "~"),
        ("1_", Equal, "1"),
        ("_1", Equal, "1"),
        ("1_", Less, "1.2"),
        ("1_2_3", Greater, "1.3.3"),
        ("1+", Equal, "1"),
        ("+1", Equal, "1"),
        ("1+", Less, "1.2"),
        ("1+2+3", Greater, "1.3.3"),
    ] {
        assert_order(a, order, b);
    }
}

#[test]
fn the_chain_of_the_specification() {
    let chain = [
        "122.1",
        "123~rc1-1",
        "123",
        "123-a",
        "123-a.1",
        "123-1",
        "123-1.1",
        "123^post1",
        "123.a-1",
        "123.1-1",
        "123a-1",
        "124-1",
    ];
    for (i, a) in chain.iter().enumerate() {
        for (j, b) in chain.iter().enumerate() {
            assert_order(a, i.cmp(&j), b);
        }
    }
}

#[test]
fn corners() {
    use Ordering::{Equal, Greater, Less};
    for (a, order, b) in [
        ("00123", Equal, "123"),
        ("9", Less, "10"),
        // Longer than any integer.
        ("99999999999999999999999999999998", Less, "99999999999999999999999999999999"),
        ("100000000000000000000000000000000", Greater, "99999999999999999999999999999999"),
        ("1.0", Less, "1.0.1"),
        // One tilde at a time: behind the first, "~" is more than nothing.
        ("1~~", Greater, "1~"),
        ("1~~", Less, "1~0"),
        ("1~", Less, "1"),
        ("1^", Greater, "1"),
        ("1^1", Less, "1.1"),
        ("abc", Less, "abcd"),
        // An empty number is 0: after it, letters are longer than nothing. systemd disagrees here.
        ("1.a", Greater, "1.0"),
        ("2026.10.1", Greater, "2026.9.30"),
    ] {
        assert_order(a, order, b);
    }
}

#[test]
fn versions_for_names() {
    let longest = "1".repeat(MAX_VERSION);
    for good in ["1", "1.2.3", "0.1~rc1", "1^post1", "2026-11-23", "A", &longest] {
        assert!(is_valid(good), "{good}");
    }
    let too_long = "1".repeat(MAX_VERSION + 1);
    for bad in ["", "1_2", "1+2", "1 2", "1/2", "1ä", "1\n", &too_long] {
        assert!(!is_valid(bad), "{bad}");
    }
}
