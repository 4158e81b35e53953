// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties of the text formats: facts, written in any of the ways that are allowed, come back as they were.

use base64ct::{Base64, Encoding};
use boot_formats::os_release::{self, OsRelease};
use boot_formats::signature_json::{self, MAX_PKCS7, Signature};
use boot_formats::uevent::{self, Action, Uevent};
use boot_formats::verity::RootHash;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each line with `end` behind it.
fn ended(lines: &[String], end: char) -> String {
    lines.iter().map(|line| format!("{line}{end}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    let mut buffer = vec![0; bytes.len().div_ceil(3) * 4];
    Base64::encode(bytes, &mut buffer).unwrap().to_owned()
}

/// White space where JSON allows it.
const GAP: &str = "[ \\t\\r\\n]{0,3}";

/// A value of os-release in one of its three ways; `plain` says whether it may stand without quotes.
fn quoted(value: &str, way: u8, plain: bool) -> String {
    match way % 3 {
        0 if plain => value.to_owned(),
        1 if !value.contains('\'') => format!("'{value}'"),
        _ => {
            let escape = |c: char| if "$\"\\`".contains(c) { vec!['\\', c] } else { vec![c] };
            format!("\"{}\"", value.chars().flat_map(escape).collect::<String>())
        }
    }
}

proptest! {
    #[test]
    fn a_signature_partition_comes_back(
        root_hash in any::<[u8; 32]>(),
        fingerprint in option::of(any::<[u8; 32]>()),
        pkcs7 in vec(any::<u8>(), 0..=MAX_PKCS7),
        gaps in vec(GAP, 4),
        rotation in 0_usize..3,
        padding in 0_usize..5000,
    ) {
        let mut members = vec![
            format!("\"rootHash\"{}:{}\"{}\"", gaps[0], gaps[1], hex(&root_hash)),
            format!("\"signature\":{}\"{}\"", gaps[2], base64(&pkcs7)),
        ];
        members.extend(fingerprint.map(|bytes| format!("\"certificateFingerprint\":\"{}\"", hex(&bytes))));
        let len = members.len();
        members.rotate_left(rotation % len);
        let mut bytes = format!("{}{{{}{}}}{}", gaps[3], gaps[1], members.join(&format!("{},", gaps[0])), gaps[2]).into_bytes();
        bytes.resize(bytes.len() + padding, 0);
        let expected = Signature {
            root_hash: RootHash::new(root_hash),
            certificate_fingerprint: fingerprint,
            pkcs7: heapless::Vec::from_slice(&pkcs7).unwrap(),
        };
        prop_assert_eq!(signature_json::parse(&bytes), Ok(expected));
    }

    #[test]
    fn a_uevent_comes_back(
        action in prop_oneof![Just("add"), Just("change"), Just("remove"), Just("bind")],
        devpath in "/[a-z0-9/:.]{0,40}",
        names in option::of(("[a-z]{1,8}", "[a-z0-9/!]{1,8}", "disk|partition")),
        device in option::of(any::<(u32, u32)>()),
        diskseq in option::of(any::<u64>()),
        partn in option::of(any::<u32>()),
        others in vec("[A-Z]{2}_[A-Z]{1,9}=[ -~]{0,20}", 0..4),
    ) {
        let mut pairs = others;
        if let Some((subsystem, devname, devtype)) = &names {
            pairs.extend([format!("SUBSYSTEM={subsystem}"), format!("DEVNAME={devname}"), format!("DEVTYPE={devtype}")]);
        }
        pairs.extend(device.iter().flat_map(|(major, minor)| [format!("MAJOR={major}"), format!("MINOR={minor}")]));
        pairs.extend(diskseq.map(|number| format!("DISKSEQ={number}")));
        pairs.extend(partn.map(|number| format!("PARTN={number}")));
        let expected = Uevent {
            action: match action {
                "add" => Action::Add,
                "change" => Action::Change,
                "remove" => Action::Remove,
                _ => Action::Other,
            },
            devpath: &devpath,
            subsystem: names.as_ref().map(|(subsystem, ..)| subsystem.as_str()),
            devname: names.as_ref().map(|(_, devname, _)| devname.as_str()),
            devtype: names.as_ref().map(|(.., devtype)| devtype.as_str()),
            major: device.map(|(major, _)| major),
            minor: device.map(|(_, minor)| minor),
            diskseq,
            partn,
        };
        let file = ended(&pairs, '\n');
        prop_assert_eq!(uevent::parse_sysfs(&devpath, file.as_bytes()), Ok(Uevent { action: Action::Add, ..expected }));
        pairs.splice(0..0, [format!("{action}@{devpath}"), format!("ACTION={action}"), format!("DEVPATH={devpath}")]);
        let message = ended(&pairs, '\0');
        prop_assert_eq!(uevent::parse(message.as_bytes()), Ok(expected));
    }

    #[test]
    fn an_os_release_comes_back(
        id in option::of("[a-z0-9._-]{0,64}|[ -~äöü]{0,32}"),
        version in option::of("[0-9.~^]{0,64}|[ -~]{0,64}"),
        epoch in option::of(any::<u64>()),
        portable in any::<bool>(),
        ways in any::<[u8; 3]>(),
        others in vec("[A-Z]{1,5}_X=[a-z0-9]{0,9}|# [ -\\[\\]-~]{0,20}|", 0..5),
        rotation in 0_usize..9,
    ) {
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-~^+:/,".contains(&byte));
        let mut lines = others;
        lines.extend(id.iter().map(|id| format!("IMAGE_ID={}", quoted(id, ways[0], plain(id)))));
        lines.extend(version.iter().map(|text| format!("  IMAGE_VERSION={}", quoted(text, ways[1], plain(text)))));
        lines.extend(epoch.map(|epoch| format!("INITOVERLAYFS_EPOCH={}", quoted(&epoch.to_string(), ways[2], true))));
        lines.extend(portable.then(|| "PORTABLE_PREFIXES=\"a b\"".to_owned()));
        if !lines.is_empty() {
            let len = lines.len();
            lines.rotate_left(rotation % len);
        }
        let expected = OsRelease {
            image_id: id.as_deref().map(|id| id.try_into().unwrap()),
            image_version: version.as_deref().map(|version| version.try_into().unwrap()),
            epoch,
            portable,
        };
        prop_assert_eq!(os_release::parse(ended(&lines, '\n').as_bytes()), Ok(expected), "{:?}", lines);
    }
}
