// SPDX-License-Identifier: MIT OR Apache-2.0
//! Versions: one order over any three texts, and the one that systemd's `strverscmp_improved` has, but for the corner
//! that `boot_formats::version` names.
#![no_main]

use boot_formats::version::{MAX_VERSION, compare, is_valid};
use libfuzzer_sys::fuzz_target;
use std::cmp::Ordering;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let [a, b, c] = [(); 3].map(|()| lines.next().unwrap_or_default());
    for version in [a, b, c] {
        assert_eq!(compare(version, version), Ordering::Equal);
        let plain = version.chars().all(|c| c.is_ascii_alphanumeric() || "-.~^".contains(c));
        assert_eq!(is_valid(version), plain && (1..=MAX_VERSION).contains(&version.len()));
    }
    for (x, y) in [(a, b), (b, c), (a, c)] {
        assert_eq!(compare(x, y), compare(y, x).reverse(), "{x:?} and {y:?}");
        if let Some(theirs) = as_systemd(x.as_bytes(), y.as_bytes()) {
            assert_eq!(compare(x, y), theirs, "{x:?} and {y:?}");
        }
        // A tilde sorts before the end, anything that means something behind it.
        if is_valid(x) && x.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            assert_eq!(compare(&format!("{x}~"), x), Ordering::Less);
            assert_eq!(compare(&format!("{x}.1"), x), Ordering::Greater);
        }
    }
    let mut sorted = [a, b, c];
    sorted.sort_by(|x, y| compare(x, y));
    let [least, middle, most] = sorted;
    assert_ne!(compare(least, middle), Ordering::Greater);
    assert_ne!(compare(middle, most), Ordering::Greater);
    assert_ne!(compare(least, most), Ordering::Greater, "{least:?}, {middle:?}, {most:?} go round");
});

/// In the steps of systemd's src/fundamental/string-util-fundamental.c; `None` where a number meets letters, and for what
/// is no string to C.
fn as_systemd(mut a: &[u8], mut b: &[u8]) -> Option<Ordering> {
    if a.contains(&0) || b.contains(&0) {
        return None;
    }
    let means_something = |byte: u8| byte.is_ascii_alphanumeric() || b"~-^.".contains(&byte);
    let first = |text: &[u8]| text.first().copied().unwrap_or(0);
    loop {
        while !a.is_empty() && !means_something(first(a)) {
            a = &a[1..];
        }
        while !b.is_empty() && !means_something(first(b)) {
            b = &b[1..];
        }
        for mark in *b"~-^." {
            if mark == b'-' && (a.is_empty() || b.is_empty()) {
                return Some(first(a).cmp(&first(b)));
            }
            match (first(a) == mark, first(b) == mark) {
                (true, true) => (a, b) = (&a[1..], &b[1..]),
                (false, false) => {}
                (alone, _) => return Some(if alone { Ordering::Less } else { Ordering::Greater }),
            }
        }
        let digits = first(a).is_ascii_digit() || first(b).is_ascii_digit();
        let run = |text: &[u8]| {
            let fits = |byte: &u8| if digits { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
            text.iter().take_while(|byte| fits(byte)).count()
        };
        let (length_a, length_b) = (run(a), run(b));
        if digits && (length_a == 0) != (length_b == 0) {
            return None;
        }
        let ((head_a, tail_a), (head_b, tail_b)) = (a.split_at(length_a), b.split_at(length_b));
        let order = if digits {
            let number = |text: &[u8]| text.iter().copied().skip_while(|byte| *byte == b'0').collect::<Vec<_>>();
            let (number_a, number_b) = (number(head_a), number(head_b));
            number_a.len().cmp(&number_b.len()).then(number_a.cmp(&number_b))
        } else {
            head_a.cmp(head_b)
        };
        if order != Ordering::Equal {
            return Some(order);
        }
        (a, b) = (tail_a, tail_b);
    }
}
