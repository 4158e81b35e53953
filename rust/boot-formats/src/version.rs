// SPDX-License-Identifier: MIT OR Apache-2.0
//! Order of versions (UAPI.10, Version Format Specification).
//!
//! Follows the specification's text. systemd's `strverscmp_improved` differs in one corner: where one version has a
//! number and the other has letters, it takes the number as newer even if that is 0 (`1.0` and `1.a`).

use core::cmp::Ordering;

/// Most characters of a version this project handles.
pub const MAX_VERSION: usize = 64;

/// Whether a text can be the version in an image's name: letters, digits, `-`, `.`, `~` and `^`, one to
/// [`MAX_VERSION`] of them.
///
/// The specification's `_` and `+` are left out: in a name they end the version.
#[must_use]
pub fn is_valid(version: &str) -> bool {
    (1..=MAX_VERSION).contains(&version.len()) && version.bytes().all(is_version_byte)
}

pub(crate) const fn is_version_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_mark(byte)
}

const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'~' | b'^')
}

/// Compares two versions. Total for any text: characters that mean nothing separate parts.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        a = skip_while(a, |byte| !is_version_byte(byte));
        b = skip_while(b, |byte| !is_version_byte(byte));
        // A tilde sorts below the end of the version, everything else above it.
        match skip_mark(&mut a, &mut b, b'~') {
            Ordering::Equal => {}
            order => return order,
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        for mark in [b'-', b'^', b'.'] {
            match skip_mark(&mut a, &mut b, mark) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        let starts_with_digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        let order = if starts_with_digit(a) || starts_with_digit(b) {
            compare_numbers(take_while(&mut a, u8::is_ascii_digit), take_while(&mut b, u8::is_ascii_digit))
        } else {
            // Letter by letter, a longer one above its own start: the order of byte strings.
            take_while(&mut a, u8::is_ascii_alphabetic).cmp(take_while(&mut b, u8::is_ascii_alphabetic))
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes `mark` off both; whoever has it alone is lower.
fn skip_mark(a: &mut &[u8], b: &mut &[u8], mark: u8) -> Ordering {
    match (a.strip_prefix(&[mark]), b.strip_prefix(&[mark])) {
        (Some(rest_a), Some(rest_b)) => {
            (*a, *b) = (rest_a, rest_b);
            Ordering::Equal
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// Of any length: more digits are more, once leading zeros are gone.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (skip_while(a, |byte| byte == b'0'), skip_while(b, |byte| byte == b'0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn skip_while(text: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|byte| !skipped(*byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn take_while<'a>(text: &mut &'a [u8], taken: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !taken(byte)).unwrap_or(text.len());
    let (head, tail) = text.split_at_checked(end).unwrap_or_default();
    *text = tail;
    head
}
