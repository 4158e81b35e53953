// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of modules, and each thing that can be wrong with one.

use boot_record::modules::{Error, MAX_LIST, MAX_MODULE_NAME, MAX_MODULES, ModuleName, parse};

#[test]
fn a_list_keeps_its_order_and_is_written_as_it_was_read() {
    let text = "dm_mod\nsha2_ce optional\n8021q\n";
    let list = parse(text.as_bytes()).unwrap();
    assert_eq!(list.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["dm_mod", "sha2_ce", "8021q"]);
    assert_eq!(list.iter().map(|module| module.optional).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(list.iter().map(|module| format!("{module}\n")).collect::<String>(), text);
}

#[test]
fn nothing_to_load_is_a_list() {
    assert_eq!(parse(b"").map(|list| list.len()), Ok(0));
}

#[test]
fn lists_that_are_none() {
    for (text, expected) in [
        (&b"loop"[..], Error::Unfinished { line: 1 }),
        (b"loop\nvfat optional", Error::Unfinished { line: 2 }),
        (b"loop\n\n", Error::NotAModule { line: 2 }),
        (b"# loop\n", Error::NotAModule { line: 1 }),
        (b" loop\n", Error::NotAModule { line: 1 }),
        (b"loop \n", Error::NotAModule { line: 1 }),
        (b"loop\r\n", Error::NotAModule { line: 1 }),
        (b"loop required\n", Error::NotAModule { line: 1 }),
        (b"loop  optional\n", Error::NotAModule { line: 1 }),
        (b"loop optional optional\n", Error::NotAModule { line: 1 }),
        (b"loop max_loop=8\n", Error::NotAModule { line: 1 }),
        (b"../../init\n", Error::NotAModule { line: 1 }),
        (b"loop.ko\n", Error::NotAModule { line: 1 }),
        // The file's name has underscores: a second way to write it would be a second file.
        (b"dm-mod\n", Error::NotAModule { line: 1 }),
        (b"loop\nvfat\nloop\n", Error::Duplicate { line: 3 }),
        (b"loop\nloop optional\n", Error::Duplicate { line: 2 }),
        (b"loop\n\xff\n", Error::Text { offset: 5 }),
    ] {
        assert_eq!(parse(text), Err(expected), "{}", text.escape_ascii());
    }
}

#[test]
fn limits() {
    let lines = |count: usize| (1..=count).map(|n| format!("m{n}\n")).collect::<String>();
    assert_eq!(parse(lines(MAX_MODULES).as_bytes()).map(|list| list.len()), Ok(MAX_MODULES));
    let error = parse(lines(MAX_MODULES + 1).as_bytes()).unwrap_err();
    assert_eq!(error, Error::TooMany { line: 129 });
    assert_eq!(error.to_string(), "list of modules: line 129: more than 128 modules");

    let longest = |n: usize| format!("{n:0>MAX_MODULE_NAME$} optional\n");
    let full: String = (1..=MAX_MODULES).map(longest).collect();
    assert_eq!(full.len(), MAX_LIST);
    assert_eq!(parse(full.as_bytes()).map(|list| list.len()), Ok(MAX_MODULES));
    let error = parse(format!("{full}\n").as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "list of modules: 8321 bytes, at most 8320");
}

#[test]
fn a_name_is_the_kernels() {
    assert_eq!(ModuleName::new("dm-verity"), ModuleName::new("dm_verity"));
    assert_eq!(ModuleName::new("sha2-ce").unwrap().as_str(), "sha2_ce");
    assert!(ModuleName::new(&"x".repeat(55)).is_some());
    for none in ["", "a/b", "a.ko", "a b", "a=1", "ä", "*", &"x".repeat(56)] {
        assert_eq!(ModuleName::new(none), None, "{none}");
    }
}

#[test]
fn errors_say_where() {
    for (error, line) in [
        (Error::Text { offset: 5 }, "list of modules: at byte 5: not UTF-8"),
        (Error::Unfinished { line: 2 }, "list of modules: line 2: no newline at its end"),
        (Error::NotAModule { line: 1 }, "list of modules: line 1: expected a module's name, or that and \"optional\""),
        (Error::Duplicate { line: 3 }, "list of modules: line 3: a module for the second time"),
    ] {
        assert_eq!(error.to_string(), line);
    }
}
