// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of enums: the same in the log, the configuration and boot.json.

use boot_record::boot_json::Measurement;
use boot_record::config::{Key, SignaturePath, Source};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt::Display;

#[track_caller]
fn assert_json_is_display<T: Serialize + Display>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(json, format!("\"{value}\""));
}

#[test]
fn json_says_what_the_log_says() {
    Stage::ALL.iter().for_each(assert_json_is_display);
    Reason::ALL.iter().for_each(assert_json_is_display);
    [Source::EspFile, Source::Partition].iter().for_each(assert_json_is_display);
    assert_json_is_display(&SignaturePath::Kernel);
    let measurements =
        [Measurement::NotConfigured, Measurement::Measured, Measurement::TpmMissing, Measurement::TpmFailed];
    measurements.iter().for_each(assert_json_is_display);
}

#[test]
fn names_are_kebab_case_and_differ() {
    let reasons: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let stages: HashSet<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    let keys: HashSet<_> = Key::ALL.iter().map(|key| key.name()).collect();
    assert_eq!((reasons.len(), stages.len(), keys.len()), (Reason::ALL.len(), Stage::ALL.len(), Key::ALL.len()));
    for name in reasons.iter().chain(&stages).chain(&keys) {
        assert!(name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()), "{name}");
    }
}

/// They end differently, and a log must tell: one powers off, the other resets.
#[test]
fn a_bug_that_was_caught_is_not_called_a_panic() {
    assert_eq!((Reason::Internal.name(), Reason::Panic.name()), ("internal", "panic"));
}

#[test]
fn a_stage_is_found_by_its_name() {
    for stage in Stage::ALL {
        assert_eq!(Stage::of(stage.name()), Some(stage));
    }
    assert_eq!(Stage::of("Early"), None);
    assert!(Stage::ALL.is_sorted());
}
