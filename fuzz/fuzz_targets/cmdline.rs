// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: nothing of it gets lost between words, and no reader finds a word in what was let through that
//! the configuration does not allow.
//!
//! Input: allowed keys separated by spaces, a newline, the command line.
#![no_main]

use boot_record::cmdline::{self, same_key};
use boot_record::config::{self, Config};
use libfuzzer_sys::fuzz_target;

const OTHERWISE: &str =
    "image-id = x\nsources = partition\ndevice = *\nsignature = kernel\ncertificate = x\nmeasure = none\n";

fuzz_target!(|data: &[u8]| {
    let Some((allowed, line)) = core::str::from_utf8(data).ok().and_then(|text| text.split_once('\n')) else { return };
    check_words(line);
    let Ok(config) = config::parse(format!("{OTHERWISE}cmdline-allow = {allowed}\n").as_bytes()) else { return };
    match cmdline::first_not_allowed(&config, line) {
        Some(word) => {
            fuzz::position(line.as_bytes(), word.as_bytes());
        }
        None => check_allowed(&config, line),
    }
});

fn check_words(line: &str) {
    let mut rest = line;
    for word in cmdline::words(line) {
        let skipped = fuzz::position(rest.as_bytes(), word.raw.as_bytes());
        assert!(rest[..skipped].bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b), "lost: {rest:?}");
        rest = &rest[skipped + word.raw.len()..];
        fuzz::position(word.raw.as_bytes(), word.key.as_bytes());
        if let Some(value) = word.value {
            fuzz::position(word.raw.as_bytes(), value.as_bytes());
        }
    }
    assert!(rest.bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b), "lost: {rest:?}");
}

/// As systemd takes a command line apart (src/basic/extract-word.c): white space divides outside quotes of either kind,
/// and quotes are dropped. A backslash was never let through.
fn check_allowed(config: &Config, line: &str) {
    assert!(line.is_ascii() && !line.contains(['\\', '\'']) || line.contains("--"), "{line:?}");
    let (mut word, mut in_word, mut quoted) = (String::new(), false, false);
    for c in line.chars().chain([' ']) {
        match c {
            '"' => (quoted, in_word) = (!quoted, true),
            ' ' | '\t' | '\n' | '\r' if !quoted => {
                if in_word && !is_allowed(config, &word) {
                    panic!("{word:?} of {line:?} is not allowed");
                }
                if in_word && word == "--" {
                    return;
                }
                word.clear();
                in_word = false;
            }
            c => {
                word.push(c);
                in_word = true;
            }
        }
    }
}

fn is_allowed(config: &Config, word: &str) -> bool {
    let key = word.split_once('=').map_or(word, |(key, _)| key);
    config.cmdline_allow.iter().any(|allowed| same_key(allowed, key))
}
