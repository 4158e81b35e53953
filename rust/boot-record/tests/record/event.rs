// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of events, and events out of their fields.

use boot_record::event::Event;
use boot_record::event::fields::Error;
use boot_record::reason::Reason;
use boot_record::stage::Stage;

const HAND_OVER: Event<'_> =
    Event::HandOver { init: "/sbin/init", device: "vda2", version: "1", signer: "Product 7", development: false };

#[test]
fn each_event_is_one_plain_line() {
    for (event, line) in [
        (Event::StageBegan { stage: Stage::HandOver }, "hand-over: begins"),
        (Event::StageEnded { stage: Stage::Verify, detail: "vda2" }, "verify: ended: vda2"),
        (Event::Waiting { what: "a disk", at_most_ms: 5000 }, "waiting for a disk, at most 5000 ms"),
        (Event::WaitEnded { what: "a disk" }, "no longer waiting for a disk"),
        (Event::BackupTable { device: "vda" }, "vda: the primary partition table is bad, using the backup"),
        (
            Event::Refused { device: "vda2", reason: Reason::Unsigned, detail: "ddi: no root-verity-sig partition" },
            "refused: unsigned: vda2: ddi: no root-verity-sig partition",
        ),
        (
            Event::NotMeasured { reason: Reason::TpmMissing, detail: "no /dev/tpm0\nin 5 s" },
            "not measured: tpm-missing: no /dev/tpm0?in 5 s",
        ),
        (Event::Condemned { device: "vda1:/x_1+2.raw" }, "vda1:/x_1+2.raw: recorded as bad"),
        (HAND_OVER, "executing /sbin/init of vda2 version 1 signed by Product 7"),
        (
            Event::HandOver { init: "/i", device: "vda2", version: "1", signer: "DEVELOPMENT me", development: true },
            "executing /i of vda2 version 1 signed by DEVELOPMENT key DEVELOPMENT me",
        ),
        (
            Event::Failed { reason: Reason::NoDevice, device: "vda", detail: "waited 5 s" },
            "BOOT FAILED: no-device: vda: waited 5 s",
        ),
    ] {
        assert_eq!(event.to_string(), line);
    }
}

/// A label may hold anything; a line that an image forged would be read by people and by the boot tests.
#[test]
fn a_name_with_a_newline_does_not_forge_a_line() {
    let event = Event::Refused {
        device: "vda2\nBOOT OK: ddi=",
        reason: Reason::ImageVersion,
        detail: "found \u{1b}[2J\u{85}1",
    };
    assert_eq!(event.to_string(), "refused: image-version: vda2?BOOT OK: ddi=: found ?[2J?1");
    let event =
        Event::HandOver { init: "/i", device: "vda2", version: "1\r", signer: "x\nBOOT OK", development: false };
    assert_eq!(event.to_string(), "executing /i of vda2 version 1? signed by x?BOOT OK");
}

/// An event of these fields.
fn read(name: &str, fields: &[(&str, &'static str)]) -> Result<Event<'static>, Error> {
    Event::from_fields(name, |key| fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
}

#[test]
fn an_event_is_read_from_its_fields() {
    let mut fields = vec![
        ("init", "/sbin/init"),
        ("device", "vda2"),
        ("version", "1"),
        ("signer", "Product 7"),
        ("development", "false"),
        ("later", "a field that this reader does not know"),
    ];
    assert_eq!(read("hand-over", &fields), Ok(HAND_OVER));
    fields.retain(|(key, _)| *key != "signer");
    assert_eq!(read("hand-over", &fields), Err(Error::Missing { key: "signer" }));
}

#[test]
fn a_command_of_the_tpm_says_what_came_of_it() {
    let fields =
        [("command", "TPM2_Unseal"), ("answer", "TPM_RC_POLICY_FAIL"), ("start_us", "5000000"), ("took_us", "1200")];
    let event = read("tpm-command", &fields).unwrap();
    assert_eq!(event.to_string(), "TPM2_Unseal: TPM_RC_POLICY_FAIL after 1200 us");
    let Event::TpmCommand { start_us, .. } = event else { panic!("{event:?}") };
    assert_eq!(start_us, 5_000_000);
}

#[test]
fn an_event_of_a_newer_writer_is_not_guessed() {
    assert_eq!(read("mark-good", &[]), Err(Error::UnknownEvent));
    assert_eq!(read("stage-began", &[("stage", "dream")]), Err(Error::Value { key: "stage" }));
    assert_eq!(
        read("failed", &[("reason", "boredom"), ("device", ""), ("detail", "")]),
        Err(Error::Value { key: "reason" })
    );
    assert_eq!(read("waiting", &[("what", "a disk"), ("at_most_ms", "-1")]), Err(Error::Value { key: "at_most_ms" }));
    assert_eq!(Error::UnknownEvent.to_string(), "an event of no known name");
    assert_eq!(Error::Missing { key: "what" }.to_string(), "an event without its field what");
    assert_eq!(Error::Value { key: "what" }.to_string(), "an event whose field what has no known value");
}
