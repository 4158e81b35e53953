// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events: one message as a 6.18 kernel sent it, one as it sends for a partition, and what is none.

use boot_formats::uevent::{Action, Error, Uevent, parse, parse_sysfs};

const CHANGE: &[u8] = b"change@/devices/virtual/block/loop0\0ACTION=change\0DEVPATH=/devices/virtual/block/loop0\0\
    SUBSYSTEM=block\0SYNTH_UUID=0\0MAJOR=7\0MINOR=0\0DEVNAME=loop0\0DEVTYPE=disk\0DISKSEQ=1\0SEQNUM=886\0";

const ADD: &[u8] = b"add@/devices/platform/x/mmc0:0001/block/mmcblk0/mmcblk0p2\0ACTION=add\0\
    DEVPATH=/devices/platform/x/mmc0:0001/block/mmcblk0/mmcblk0p2\0SUBSYSTEM=block\0MAJOR=179\0MINOR=2\0\
    DEVNAME=mmcblk0p2\0DEVTYPE=partition\0DISKSEQ=18446744073709551615\0PARTN=2\0PARTNAME=a=b\0SEQNUM=1234\0";

#[test]
fn messages_of_a_kernel() {
    let disk = Uevent {
        action: Action::Change,
        devpath: "/devices/virtual/block/loop0",
        subsystem: Some("block"),
        devname: Some("loop0"),
        devtype: Some("disk"),
        major: Some(7),
        minor: Some(0),
        diskseq: Some(1),
        partn: None,
    };
    assert_eq!(parse(CHANGE), Ok(disk));
    let partition = Uevent {
        action: Action::Add,
        devpath: "/devices/platform/x/mmc0:0001/block/mmcblk0/mmcblk0p2",
        subsystem: Some("block"),
        devname: Some("mmcblk0p2"),
        devtype: Some("partition"),
        major: Some(179),
        minor: Some(2),
        diskseq: Some(u64::MAX),
        partn: Some(2),
    };
    assert_eq!(parse(ADD), Ok(partition));
}

#[test]
fn actions() {
    for (name, action) in [
        ("add", Action::Add),
        ("change", Action::Change),
        ("remove", Action::Remove),
        ("bind", Action::Other),
        ("Add", Action::Other),
    ] {
        assert_eq!(parse(format!("{name}@/devices/x\0").as_bytes()).unwrap().action, action);
    }
}

#[test]
fn a_file_of_sysfs() {
    let text = b"MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\nDISKSEQ=9\n";
    let disk = Uevent {
        action: Action::Add,
        devpath: "/devices/x/block/vda",
        subsystem: None,
        devname: Some("vda"),
        devtype: Some("disk"),
        major: Some(254),
        minor: Some(0),
        diskseq: Some(9),
        partn: None,
    };
    assert_eq!(parse_sysfs("/devices/x/block/vda", text), Ok(disk));
    // Of a device without properties.
    let nothing = parse_sysfs("/devices/x", b"").unwrap();
    assert_eq!((nothing.devpath, nothing.devname), ("/devices/x", None));
    assert_eq!(parse_sysfs("/devices/x", b"MAJOR=1\n\nMINOR=2\n"), Err(Error::Pair { offset: 8 }));
    assert_eq!(parse_sysfs("/devices/x", b"MAJOR=1\nMINOR=-2\n"), Err(Error::Number { offset: 8 }));
    assert_eq!(parse_sysfs("/devices/x", b"MAJOR=1\n\xff"), Err(Error::Text { offset: 8 }));
}

#[test]
fn what_is_no_event() {
    for (message, error, line) in [
        (&b"libudev\0\xfe\xed\xca\xfe"[..], Error::Libudev, "uevent: sent by udev, expected one of the kernel's"),
        (b"", Error::Truncated { found: 0 }, "uevent: cut off after 0 bytes"),
        (&ADD[..ADD.len() - 1], Error::Truncated { found: 262 }, "uevent: cut off after 262 bytes"),
        (&CHANGE[..40], Error::Truncated { found: 40 }, "uevent: cut off after 40 bytes"),
        (b"\0", Error::Header, "uevent: does not start with ACTION@DEVPATH"),
        (b"add\0ACTION=add\0", Error::Header, "uevent: does not start with ACTION@DEVPATH"),
        (b"@/devices/x\0", Error::Header, "uevent: does not start with ACTION@DEVPATH"),
        (b"add@devices/x\0", Error::Header, "uevent: does not start with ACTION@DEVPATH"),
        (b"add@/x\0A=\xc3\0", Error::Text { offset: 9 }, "uevent: at byte 9: not UTF-8"),
        (b"add@/x\0A=b\0C\0", Error::Pair { offset: 11 }, "uevent: at byte 11: expected KEY=VALUE"),
        (b"add@/x\0\0", Error::Pair { offset: 7 }, "uevent: at byte 7: expected KEY=VALUE"),
        (b"add@/x\0MAJOR=\0", Error::Number { offset: 7 }, "uevent: at byte 7: expected a number"),
        (b"add@/x\0MINOR=4294967296\0", Error::Number { offset: 7 }, "uevent: at byte 7: expected a number"),
        (b"add@/x\0PARTN=0x2\0", Error::Number { offset: 7 }, "uevent: at byte 7: expected a number"),
        (b"add@/x\0ACTION=remove\0", Error::Contradiction { offset: 7 }, "uevent: at byte 7: contradicts the header"),
        (b"add@/x\0DEVPATH=/y\0", Error::Contradiction { offset: 7 }, "uevent: at byte 7: contradicts the header"),
    ] {
        assert_eq!(parse(message), Err(error), "{}", message.escape_ascii());
        assert_eq!(error.to_string(), line);
    }
}
