// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is shown of a boot: table, JSON, picture; and where the log of the boot before is looked for.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use std::fs;

use boot_record::event::Event;
use boot_record::log_header::{BuildId, Header};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use bootlog::entry::{Broken, Decoded, Error};
use bootlog::report::Report;
use bootlog::timeline::{NoEvent, Outcome, Timeline};
use bootlog::{drawing, json, log, previous};

/// A disk that comes late, with a bad candidate and a good one whose names want to be more than names.
fn booted() -> Vec<(u64, Event<'static>)> {
    use Event::{HandOver, Refused, StageBegan, StageEnded, TpmCommand, WaitEnded, Waiting};
    vec![
        (42_300, StageBegan { stage: Stage::Discover }),
        (42_400, Waiting { what: "a disk", at_most_ms: 5000 }),
        (142_400, WaitEnded { what: "a disk" }),
        (142_500, StageEnded { stage: Stage::Discover, detail: "vda" }),
        (142_500, StageBegan { stage: Stage::Verify }),
        (143_000, Refused { device: "vda2</text>", reason: Reason::Unsigned, detail: "\u{1b}[2J & \"none\"" }),
        (143_100, StageEnded { stage: Stage::Verify, detail: "unsigned" }),
        (143_200, StageBegan { stage: Stage::Verify }),
        (146_300, StageEnded { stage: Stage::Verify, detail: "vda3" }),
        (
            146_350,
            TpmCommand { command: "TPM2_PCR_Extend", answer: "TPM_RC_SUCCESS", start_us: 144_000, took_us: 1_900 },
        ),
        (146_350, TpmCommand { command: "<&>", answer: "TPM_RC_POLICY_FAIL", start_us: 146_000, took_us: 250 }),
        (146_400, StageBegan { stage: Stage::HandOver }),
        (146_450, StageEnded { stage: Stage::HandOver, detail: "/sbin/init" }),
        (
            147_000,
            HandOver { init: "/sbin/init", device: "vda3", version: "1<2", signer: "me & you", development: false },
        ),
    ]
}

/// The log that nothing was decoded from: header and what was broken.
fn header(lost: u32, broken: Vec<Broken>) -> Decoded {
    Decoded { header: Header { build_id: BuildId::new(&[0xab, 0xcd]).unwrap(), lost }, entries: Vec::new(), broken }
}

fn table(events: Vec<(u64, Event<'_>)>, decoded: &Decoded) -> String {
    Report { timeline: &Timeline::of(events).unwrap(), decoded }.to_string()
}

#[test]
fn the_table_begins_with_the_outcome_and_is_in_order_of_time() {
    let broken = vec![Broken { offset: 7, len: 3, error: Error::Damaged }];
    assert_eq!(
        table(booted(), &header(2, broken)),
        "\
executing /sbin/init of vda3 version 1<2 signed by me & you

stage     |       start |       took | what
----------+-------------+------------+---------------------------------------
kernel    |      0.0 ms |    42.3 ms | from its first clock tick
discover  |     42.3 ms |   100.2 ms | vda
  wait    |     42.4 ms |   100.0 ms | for a disk
verify    |    142.5 ms |     0.6 ms | refused: unsigned
  note    |    143.0 ms |     0.0 ms | refused: unsigned: vda2</text>: ?[2J & \"none\"
verify    |    143.2 ms |     3.1 ms | vda3
  TPM     |    144.0 ms |     1.9 ms | TPM2_PCR_Extend
  TPM     |    146.0 ms |     0.2 ms | <&>: TPM_RC_POLICY_FAIL
hand-over |    146.4 ms |     0.6 ms | /sbin/init

42.3 ms until storage-init, 104.7 ms in it; build abcd
the log had no room for its first 2 events
3 bytes at 7 are no event: it is damaged
"
    );
}

#[test]
fn a_boot_that_failed_names_its_cause_first() {
    let mut events = booted();
    events.truncate(7);
    events.push((
        150_000,
        Event::Failed { reason: Reason::Unsigned, device: "vda2", detail: "ddi: no root-verity-sig partition" },
    ));
    let table = table(events, &header(0, Vec::new()));
    assert!(table.starts_with("BOOT FAILED: unsigned: vda2: ddi: no root-verity-sig partition\n"), "{table}");
}

/// A watchdog's reset, or a power cut: the stage that was under way is to blame.
#[test]
fn a_log_that_just_ends_names_the_stage_it_ends_in() {
    let mut events = booted();
    events.truncate(8);
    let timeline = Timeline::of(events.clone()).unwrap();
    assert_eq!(timeline.outcome, Outcome::Unfinished { at_us: 143_200, stage: Some(Stage::Verify) });
    let shown = table(events.clone(), &header(0, Vec::new()));
    assert!(shown.starts_with("BOOT CUT SHORT in stage verify\n"), "{shown}");
    assert!(shown.contains("verify    |    143.2 ms |          ? | the log ends in it\n"), "{shown}");
    events.truncate(7);
    assert_eq!(Timeline::of(events).unwrap().outcome, Outcome::Unfinished { at_us: 143_100, stage: None });
    assert_eq!(Timeline::of([]), Err(NoEvent));
}

/// An init that cannot be executed is found after the hand-over was logged.
#[test]
fn a_failure_after_the_hand_over_is_the_outcome() {
    let mut events = booted();
    events.push((148_000, Event::Failed { reason: Reason::InitMissing, device: "vda3", detail: "exec /sbin/init" }));
    let timeline = Timeline::of(events).unwrap();
    assert!(!timeline.outcome.is_handed_over());
    assert_eq!(timeline.outcome.to_string(), "BOOT FAILED: init-missing: vda3: exec /sbin/init");
}

#[test]
fn the_json_has_outcome_stages_and_waits() {
    let broken = vec![Broken { offset: 7, len: 3, error: Error::Cut }];
    let json = json::to_json(&Timeline::of(booted()).unwrap(), &header(2, broken)).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["format"], 1);
    assert_eq!((&value["build_id"], &value["lost"]), (&"abcd".into(), &2.into()));
    assert_eq!(
        value["outcome"],
        serde_json::json!({ "result": "handed-over", "at_us": 147_000, "init": "/sbin/init", "device": "vda3",
            "version": "1<2", "signer": "me & you", "development": false })
    );
    assert_eq!(
        value["stages"][1],
        serde_json::json!({ "stage": "verify", "start_us": 142_500, "end_us": 143_100, "detail": "unsigned",
            "refused": "unsigned" })
    );
    assert_eq!(value["waits"], serde_json::json!([{ "what": "a disk", "start_us": 42_400, "end_us": 142_400 }]));
    assert_eq!(
        value["tpm"][0],
        serde_json::json!({ "command": "TPM2_PCR_Extend", "answer": "TPM_RC_SUCCESS", "start_us": 144_000,
            "end_us": 145_900 })
    );
    assert_eq!(value["broken"], serde_json::json!([{ "offset": 7, "len": 3, "error": "it is cut short" }]));
}

/// Names of devices and keys are a stranger's: they must not become markup, nor control characters that XML forbids.
#[test]
fn the_picture_has_a_bar_for_each_span_and_no_foreign_markup() {
    let svg = drawing::draw(&Timeline::of(booted()).unwrap(), &header(0, Vec::new()));
    let count = |what: &str| svg.matches(what).count();
    assert_eq!(count("<g class=\"kernel\">"), 1);
    // storage-init in the strip, then discover, the second verify, hand-over.
    assert_eq!(count("<g class=\"stage\">"), 4);
    // The first verify, and the command that was refused.
    assert_eq!(count("<g class=\"bad\">"), 2);
    assert_eq!(count("<g class=\"tpm\">"), 1);
    assert_eq!(count("<g class=\"wait\">"), 1);
    assert!(svg.contains("vda2&lt;/text&gt;") && svg.contains("me &amp; you"), "{svg}");
    assert!(svg.contains("2 commands, 2.1 ms") && svg.contains("&lt;&amp;&gt;: TPM_RC_POLICY_FAIL"), "{svg}");
    assert!(svg.contains(">TPM<") || svg.contains("\nTPM\n"), "{svg}");
    let foreign = svg.chars().find(|character| character.is_control() && !['\n', '\t'].contains(character));
    assert_eq!(foreign, None);
    assert_eq!(count("<text"), count("</text>"));
}

#[test]
fn the_log_of_the_boot_before_is_found_where_pstore_or_systemd_left_it() {
    let root = tempfile::tempdir().unwrap();
    let folders = ["pstore", "systemd"].map(|name| root.path().join(name));
    let missing = previous::find(&folders).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("no boot left a log in {} or {}", folders[0].display(), folders[1].display())
    );
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    // The kernel's own last words, and what another program wrote to the same device.
    fs::write(folders[0].join("dmesg-ramoops-0"), "\0initoverlayfs-log 1 ab 0\0").unwrap();
    fs::write(folders[0].join("pmsg-ramoops-0"), "something else").unwrap();
    let refused = previous::find(&folders).unwrap_err();
    assert!(matches!(&refused, previous::Error::NoLog { source: log::Error::NoHeader { len: 14 }, .. }), "{refused}");
    let kept = folders[1].join("pmsg-ramoops-0");
    fs::write(&kept, "\0initoverlayfs-log 1 ab 0\0").unwrap();
    let (path, bytes) = previous::find(&folders).unwrap();
    assert_eq!((path, bytes), (kept, b"\0initoverlayfs-log 1 ab 0\0".to_vec()));
}
