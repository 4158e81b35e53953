// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of events.

use boot_record::config::Source;
use boot_record::event::Event;
use boot_record::reason::Reason;
use boot_record::stage::Stage;

#[test]
fn each_event_is_one_plain_line() {
    let device = "vda1:/initoverlayfs/x_2.raw";
    for (event, line) in [
        (Event::StageStarted { stage: Stage::HandOver }, "stage hand-over"),
        (Event::DeviceSeen { devname: "vda", devpath: "/devices/x/block/vda" }, "disk vda at /devices/x/block/vda"),
        (Event::BackupTable { device: "vda" }, "vda: the primary partition table is bad, using the backup"),
        (Event::SourceFound { source: Source::EspFile, device: "vda1" }, "source esp-file on vda1"),
        (Event::CandidateFound { device, version: "2" }, "candidate vda1:/initoverlayfs/x_2.raw version 2"),
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
    let event = Event::CandidateFound { device: "vda2\nBOOT OK: ddi=", version: "\u{1b}[2J\u{85}1" };
    assert_eq!(event.to_string(), "candidate vda2?BOOT OK: ddi= version ?[2J?1");
}
