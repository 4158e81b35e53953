// SPDX-License-Identifier: MIT OR Apache-2.0
//! Uevents: what was read, written again, is read as the same, from the socket and from sysfs.
#![no_main]

use boot_formats::uevent::{self, Action, Uevent};
use fuzz::position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = uevent::parse(data) {
        check_views(data, &event);
        position(data, event.devpath.as_bytes());
        let action = match event.action {
            Action::Add => "add",
            Action::Change => "change",
            Action::Remove => "remove",
            Action::Other => "move",
        };
        let written = format!("{action}@{}\0ACTION={action}\0{}", event.devpath, pairs(&event, "\0"));
        assert_eq!(uevent::parse(written.as_bytes()), Ok(event));
    }
    if let Ok(event) = uevent::parse_sysfs("/devices/x", data) {
        check_views(data, &event);
        assert_eq!((event.action, event.devpath), (Action::Add, "/devices/x"));
        let written = pairs(&event, "\n");
        assert_eq!(uevent::parse_sysfs("/devices/x", written.as_bytes()), Ok(event));
    }
});

fn check_views(data: &[u8], event: &Uevent<'_>) {
    for text in [event.subsystem, event.devname, event.devtype].into_iter().flatten() {
        position(data, text.as_bytes());
    }
}

fn pairs(event: &Uevent<'_>, end: &str) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    [
        ("SUBSYSTEM", event.subsystem.map(str::to_owned)),
        ("DEVNAME", event.devname.map(str::to_owned)),
        ("DEVTYPE", event.devtype.map(str::to_owned)),
        ("MAJOR", number(event.major.map(u64::from))),
        ("MINOR", number(event.minor.map(u64::from))),
        ("DISKSEQ", number(event.diskseq)),
        ("PARTN", number(event.partn.map(u64::from))),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(format!("{key}={}{end}", value?)))
    .collect()
}
