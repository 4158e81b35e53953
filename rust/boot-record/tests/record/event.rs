// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of events.

use boot_record::event::Event;
use boot_record::reason::Reason;

#[test]
fn each_event_is_one_plain_line() {
    for (event, line) in [
        (Event::BackupTable { device: "vda" }, "vda: the primary partition table is bad, using the backup"),
        (
            Event::Refused { device: "vda2", reason: Reason::Unsigned, detail: "ddi: no root-verity-sig partition" },
            "refused: unsigned: vda2: ddi: no root-verity-sig partition",
        ),
        (
            Event::Mounted { device: "vda2", version: "1", signer: "Product 7", development: false },
            "mounted vda2 version 1 signed by Product 7",
        ),
        (
            Event::Mounted { device: "vda2", version: "1", signer: "DEVELOPMENT me", development: true },
            "mounted vda2 version 1 signed by DEVELOPMENT key DEVELOPMENT me",
        ),
        (Event::HandOver { init: "/sbin/init" }, "executing /sbin/init"),
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
    let event = Event::Mounted { device: "vda2", version: "1\r", signer: "x\nBOOT OK", development: false };
    assert_eq!(event.to_string(), "mounted vda2 version 1? signed by x?BOOT OK");
}
