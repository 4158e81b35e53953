// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel command lines.

use crate::config::REQUIRED;
use boot_record::cmdline::{first_not_allowed, same_key, words};
use boot_record::config::{Config, parse};

fn allowing(keys: &str) -> Config {
    *parse(format!("{REQUIRED}cmdline-allow = {keys}").as_bytes()).unwrap()
}

fn pairs(line: &str) -> Vec<(&str, Option<&str>)> {
    words(line).map(|word| (word.key, word.value)).collect()
}

/// What the kernel's `next_arg` gives for the same line, by reading it.
#[test]
fn words_are_those_of_the_kernel() {
    for (line, expected) in [
        ("", vec![]),
        ("  \t\n", vec![]),
        ("quiet", vec![("quiet", None)]),
        (" console=ttyAMA0,115200  quiet\n", vec![("console", Some("ttyAMA0,115200")), ("quiet", None)]),
        ("a=", vec![("a", Some(""))]),
        ("a=b=c", vec![("a", Some("b=c"))]),
        ("a=\"b c\" d", vec![("a", Some("b c")), ("d", None)]),
        ("\"a=b c\" d", vec![("a", Some("b c")), ("d", None)]),
        ("\"a b\" c", vec![("a b", None), ("c", None)]),
        ("a\" b\"=c d", vec![("a\" b\"", Some("c")), ("d", None)]),
        ("a=\"b c", vec![("a", Some("b c"))]),
        ("a=b\"c d\"e f", vec![("a", Some("b\"c d\"e")), ("f", None)]),
        ("a=\"b\"c", vec![("a", Some("b\"c"))]),
        ("\"a=\"b\" c", vec![("a", Some("b\" c"))]),
        ("=a", vec![("=a", None)]),
        ("=a=b", vec![("=a", Some("b"))]),
        ("\"\" a", vec![("", None), ("a", None)]),
        ("\"", vec![("", None)]),
        ("a -- b", vec![("a", None), ("--", None), ("b", None)]),
        ("a\x0bb\x0cc\rd", vec![("a", None), ("b", None), ("c", None), ("d", None)]),
    ] {
        assert_eq!(pairs(line), expected, "{line}");
    }
}

#[test]
fn dash_and_underscore_are_one_character() {
    assert!(same_key("rcu-nocbs_x", "rcu_nocbs-x"));
    assert!(!same_key("ro", "roo"));
    assert!(!same_key("ro", "RO"));
}

#[test]
fn words_outside_the_list() {
    let config = allowing("console root quiet dm-verity.require_signatures");
    for (line, expected) in [
        ("", None),
        ("console=ttyAMA0 root=/dev/vda3 quiet\n", None),
        ("dm_verity.require-signatures=1", None),
        ("quiet=1 console", None),
        ("console=ttyAMA0 systemd.run=/bin/sh", Some("systemd.run=/bin/sh")),
        ("init=/bin/sh", Some("init=/bin/sh")),
        ("Quiet", Some("Quiet")),
        ("quietly", Some("quietly")),
        ("\"systemd.run=a b\" quiet", Some("\"systemd.run=a b\"")),
        ("console=\"a systemd.run=b\"", None),
        ("console=\"a\" systemd.run=b", Some("systemd.run=b")),
        ("quiet -- quiet", Some("--")),
        ("quiet \"--\" quiet", Some("\"--\"")),
    ] {
        assert_eq!(first_not_allowed(&config, line), expected, "{line}");
    }
    assert_eq!(first_not_allowed(&parse(REQUIRED.as_bytes()).unwrap(), "quiet"), Some("quiet"));
}

#[test]
fn what_is_for_init_passes_only_with_the_two_dashes() {
    let config = allowing("quiet --");
    assert_eq!(first_not_allowed(&config, "quiet -- systemd.run=x 'y"), None);
    assert_eq!(first_not_allowed(&config, "noisy -- quiet"), Some("noisy"));
    assert_eq!(first_not_allowed(&config, "--=x quiet"), Some("--=x"));
    assert_eq!(first_not_allowed(&config, "__ noisy"), Some("__"));
}

/// The kernel sees one word, `console`, with the double quotes around a space. systemd takes the single quotes first,
/// and finds a second word behind them.
#[test]
fn a_word_that_systemd_would_split_hides_nothing() {
    let config = allowing("console");
    let line = "console='\"' systemd.run=\"x";
    assert_eq!(pairs(line), [("console", Some("'\"' systemd.run=\"x"))]);
    assert_eq!(first_not_allowed(&config, line), Some(line));
}

#[test]
fn characters_that_readers_disagree_about_pass_in_no_word() {
    let config = allowing("console");
    for line in ["console=it's", "console=a\\", "console=ä", "console=a\u{a0}systemd.run=x", "c\u{f6}nsole"] {
        assert_eq!(first_not_allowed(&config, line), Some(line), "{line}");
    }
}

/// Found by fuzzing, twice. The kernel ends a word at a vertical tab or form feed; systemd takes it for a letter, so that the two
/// saw different words in a line whose every word was allowed.
#[test]
fn white_space_that_only_the_kernel_knows_does_not_pass() {
    let config = allowing("console quiet --");
    for (line, expected) in [
        ("console=a\u{b}quiet", Some("\u{b}")),
        ("quiet \u{c} console", Some("\u{c}")),
        ("\u{b}quiet", Some("\u{b}")),
        ("quiet\u{c}\n", Some("\u{c}")),
        ("console=\"a\u{b}b\" quiet", None),
        // To systemd a word of its own, and no end of its options.
        ("quiet --\u{c}a b", Some("\u{c}")),
        ("quiet -- a\u{b}b", None),
        ("quiet\tconsole\r\n", None),
    ] {
        assert_eq!(first_not_allowed(&config, line), expected, "{line:?}");
    }
}
