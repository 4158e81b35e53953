// SPDX-License-Identifier: MIT OR Apache-2.0
//! The list of modules: no name leads out of its folder, none is there twice, and the list written again is the file.
#![no_main]

use boot_record::modules::{self, MAX_MODULE_NAME, MAX_MODULES, Module, ModuleName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(name) = core::str::from_utf8(data).ok().and_then(ModuleName::new) {
        check(&name);
        assert_eq!(ModuleName::new(name.as_str()), Some(name));
    }
    let Ok(list) = modules::parse(data) else { return };
    assert!(list.len() <= MAX_MODULES);
    let line = |Module { name, optional }: &Module| format!("{name}{}\n", if *optional { " optional" } else { "" });
    assert_eq!(list.iter().map(line).collect::<String>().as_bytes(), data);
    for (index, module) in list.iter().enumerate() {
        check(&module.name);
        assert!(!list[..index].iter().any(|other| other.name == module.name));
    }
});

fn check(name: &ModuleName) {
    let name = name.as_str();
    assert!((1..=MAX_MODULE_NAME).contains(&name.len()));
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name:?}");
}
