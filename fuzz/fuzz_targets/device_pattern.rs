// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns of devices, against the definition: a star is any text, everything else itself.
//!
//! Input: the pattern, a newline, the path.
#![no_main]

use boot_record::config::{self, Config};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

const OTHERWISE: &str =
    "image-id = x\nsources = partition\ndevice = *\nsignature = kernel\ncertificate = x\nmeasure = none\n";

fuzz_target!(|data: &[u8]| {
    static CONFIG: OnceLock<Box<Config>> = OnceLock::new();
    let Some((pattern, path)) = core::str::from_utf8(data).ok().and_then(|text| text.split_once('\n')) else { return };
    // Quadratic below, by design.
    if path.len() > 256 {
        return;
    }
    let mut config = CONFIG.get_or_init(|| config::parse(OTHERWISE.as_bytes()).expect("good")).clone();
    config.devices.clear();
    let Some(()) = pattern.try_into().ok().and_then(|pattern| config.devices.push(pattern).ok()) else { return };
    assert_eq!(config.allows_device(path), matches(pattern.as_bytes(), path.as_bytes()), "{pattern:?} on {path:?}");
});

/// By the set of places in the text that each character of the pattern can have led to.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for expected in pattern {
        if *expected == b'*' {
            let mut seen = false;
            for place in &mut reached {
                seen |= *place;
                *place = seen;
            }
        } else {
            let mut next = vec![false; text.len() + 1];
            for (at, found) in text.iter().enumerate() {
                next[at + 1] = reached[at] && found == expected;
            }
            reached = next;
        }
    }
    reached[text.len()]
}
