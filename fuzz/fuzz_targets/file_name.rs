// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of images: the parts, put together again, are the same name.
#![no_main]

use boot_formats::file_name::{self, ImageName, Tries};
use boot_formats::version;
use fuzz::position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(name) = file_name::parse_label(text) {
        check(text, &name);
        assert_eq!(file_name::parse_label(&written(&name)), Ok(name));
    }
    if let Ok(name) = file_name::parse(text) {
        check(text, &name);
        assert!(text.to_ascii_lowercase().ends_with(".raw"));
        assert_eq!(file_name::parse(&(written(&name) + ".raw")), Ok(name));
        assert_eq!(file_name::parse_label(&text[..text.len() - 4]), Ok(name));
    }
});

fn check(text: &str, name: &ImageName<'_>) {
    assert_eq!(position(text.as_bytes(), name.name.as_bytes()), 0);
    assert_eq!(position(text.as_bytes(), name.version.as_bytes()), name.name.len() + 1);
    assert!(file_name::is_valid_name(name.name) && version::is_valid(name.version));
    assert!(!name.name.contains(['/', '\0']) && !name.name.starts_with('.'));
}

fn written(name: &ImageName<'_>) -> String {
    let tries = name.tries.map(|Tries { left, done }| format!("+{left}-{done}")).unwrap_or_default();
    format!("{}_{}{tries}", name.name, name.version)
}
