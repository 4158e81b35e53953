// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events of the log: whatever strangers' names are in one, it is one line.
//!
//! Input: the event's name, then pairs `key=value`, a NUL between them so that values can have line breaks.
#![no_main]

use boot_record::event::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let mut pieces = text.split('\0');
    let name = pieces.next().unwrap_or_default();
    let pairs: Vec<(&str, &str)> = pieces.filter_map(|pair| pair.split_once('=')).collect();
    let field = |wanted: &str| pairs.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
    match Event::from_fields(name, field) {
        Ok(event) => {
            let line = event.to_string();
            assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
            assert_eq!(Event::from_fields(name, field), Ok(event));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
