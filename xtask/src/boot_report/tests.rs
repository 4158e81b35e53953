// SPDX-License-Identifier: MIT OR Apache-2.0
#![allow(clippy::unwrap_used)]

use super::*;
use std::path::PathBuf;
use std::time::Duration;

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn boot_json() -> String {
    format!(
        r#"{{"format":1,"image_id":"demo","version":"1","source":"partition","device":"vda1","slot":null,
        "root_hash":"{HASH}","signer":{{"sha256":"","common_name":"a DEVELOPMENT","development":true}},
        "signature":"kernel","measurement":"not-configured","measured":null,"volumes":[],"latched":false,"overlay":false,
        "verity_device":"{HASH}-verity",
        "refused":[],"stages":[{{"stage":"verify","start_us":712345,"took_us":2360,"detail":"accepted"}}]}}"#
    )
}

fn outcome(change: impl Fn(&str, String) -> String) -> Outcome {
    let signed = "1 root_hash_sig_key_desc initoverlayfs";
    let sections = [
        ("boot.json", boot_json()),
        ("verity-table", format!("{HASH}-verity: 0 8 verity 1 7:0 7:0 4096 4096 1 2 sha256 {HASH} - {signed}\n")),
        ("verity-status", format!("other: 0 8 linear\n{HASH}-verity: 0 8 verity V\n")),
        ("verity-info", format!("Name: x\nUUID: CRYPT-VERITY-00112233445566778899aabbccddeeff-{HASH}-verity\n")),
        (
            "crypt-table",
            format!("data: 0 8 crypt aes-xts-plain64 :64:logon:cryptsetup:{VOLUME_UUID}-d0 0 254:1 32768\n"),
        ),
        ("mounts", "rootfs / rootfs rw 0 0\n/dev/dm-0 / erofs ro 0 0\n".to_owned()),
        ("root", "/dev/vda2 ext4 rw,relatime\n".to_owned()),
        ("multi-user", "active\n".to_owned()),
    ];
    let mut report = Vec::new();
    for (name, text) in sections {
        let text = change(name, text);
        report.extend_from_slice(format!("== {name} {}\n{text}\n", text.len()).as_bytes());
    }
    report.extend_from_slice(b"== end 0\n\n");
    Outcome {
        tpm: None,
        exit: Exit::PowerOff,
        reads: None,
        report: Some(Report::read(report.as_slice()).unwrap()),
        console: vec!["[    0.5] storage-init: stage early".into()],
        log: PathBuf::new(),
        elapsed: Duration::from_secs(1),
    }
}

fn expected() -> Expected {
    Expected {
        root_hash: HASH.into(),
        version: "1".into(),
        source: Source::Partition,
        signature: SignaturePath::Kernel,
        overlay: false,
        volume: None,
        target: Target::Probe,
    }
}

fn failure(section: &str, from: &str, to: &str) -> String {
    let outcome = outcome(|name, text| if name == section { text.replace(from, to) } else { text });
    check(&outcome, &expected()).unwrap_err().to_string()
}

#[test]
fn a_good_boot_is_good_for_both_targets() {
    let booted = check(&outcome(|_, text| text), &expected()).unwrap();
    assert_eq!(
        booted.to_string(),
        "BOOT OK: ddi=1 signer=\"a DEVELOPMENT\" source=partition root=/dev/dm-0 target=probe"
    );
    let real = Expected { target: Target::RealRoot { device: "/dev/vda2".into() }, ..expected() };
    let booted = check(&outcome(|_, text| text), &real).unwrap();
    assert!(booted.to_string().ends_with("root=/dev/vda2 target=multi-user.target"));
}

#[test]
fn another_root_hash_than_the_host_built_is_no_good_boot() {
    let other = Expected { root_hash: "ff".into(), ..expected() };
    let failure = check(&outcome(|_, text| text), &other).unwrap_err();
    assert_eq!(failure.to_string(), format!("BOOT FAILED: root-hash: vda1: boot.json says {HASH}, expected ff"));
}

#[test]
fn a_device_without_a_signature_in_its_table_is_no_good_boot() {
    let message = failure("verity-table", "1 root_hash_sig_key_desc initoverlayfs", "");
    assert!(
        message.starts_with(&format!("BOOT FAILED: verity-table: {HASH}-verity: the kernel was given no signature"))
    );
}

#[test]
fn a_signature_that_user_space_checks_is_not_in_the_table() {
    let user_space = |name: &str, text: String| match name {
        "boot.json" => text.replace("\"signature\":\"kernel\"", "\"signature\":\"user-space\""),
        "verity-table" => text.replace("1 root_hash_sig_key_desc initoverlayfs", ""),
        _ => text,
    };
    let wanted = Expected { signature: SignaturePath::UserSpace, ..expected() };
    assert!(check(&outcome(user_space), &wanted).is_ok());
    let failure = check(&outcome(user_space), &expected()).unwrap_err().to_string();
    assert_eq!(failure, "BOOT FAILED: signature: vda1: boot.json says user-space, expected kernel");
    let given = |name: &str, text| if name == "boot.json" { user_space(name, text) } else { text };
    let failure = check(&outcome(given), &wanted).unwrap_err().to_string();
    assert!(failure.contains("verity-table: ") && failure.contains("the kernel was given a signature"), "{failure}");
}

#[test]
fn a_device_with_another_root_hash_than_boot_json_says_is_no_good_boot() {
    let message = failure("verity-table", &format!("sha256 {HASH}"), "sha256 00");
    assert!(message.contains("expected a verity target with the root hash"), "{message}");
}

#[test]
fn a_device_whose_data_failed_is_corrupt() {
    assert_eq!(
        failure("verity-status", "verity V", "verity C"),
        format!("BOOT FAILED: corrupt: {HASH}-verity: the kernel's status is \"0 8 verity C\", expected V")
    );
}

/// Since they count what error correction repaired, kernels end the line with that, or with "-" where there is none.
#[test]
fn the_status_is_the_word_behind_the_target_whatever_follows_it() {
    let with = |status: &str| {
        let outcome =
            outcome(|name, text| if name == "verity-status" { text.replace("verity V", status) } else { text });
        check(&outcome, &expected()).map(|booted| booted.target).map_err(|failure| failure.to_string())
    };
    for good in ["verity V -", "verity V 0", "verity V 17"] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in ["verity C -", "verity - V", "linear V", "verity", "verity VV", "verity C V"] {
        let expected = format!("BOOT FAILED: corrupt: {HASH}-verity: the kernel's status is \"0 8 {bad}\", expected V");
        assert_eq!(with(bad), Err(expected));
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let message = failure("verity-status", HASH, "gone");
    assert!(
        message.starts_with(&format!("BOOT FAILED: verity-device: {HASH}-verity: not in the kernel's verity-status"))
    );
}

#[test]
fn a_device_that_systemd_would_not_know_is_named() {
    let message = failure("verity-info", "CRYPT-VERITY-00", "CRYPT-VERITY-");
    assert!(
        message.starts_with(&format!("BOOT FAILED: verity-uuid: {HASH}-verity: expected CRYPT-VERITY-")),
        "{message}"
    );
}

const VOLUME_UUID: &str = "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e";

/// A boot that has to open the volume `data`, and does, but that `section` says `to` in the place of `from`.
fn with_volume(section: &str, from: &str, to: &str) -> Result<(), String> {
    let volumes = format!(r#""volumes":[{{"name":"data","uuid":"{VOLUME_UUID}"}}],"latched":true"#);
    let outcome = outcome(|name, text| {
        let text = text.replace("not-configured", "measured").replace(r#""volumes":[],"latched":false"#, &volumes);
        if name == section { text.replace(from, to) } else { text }
    });
    let wanted = Expected { volume: Some("data"), ..expected() };
    check(&outcome, &wanted).map(drop).map_err(|failure| failure.to_string())
}

#[test]
fn a_volume_that_the_tpm_did_not_open_is_no_good_boot() {
    assert_eq!(with_volume("boot.json", "", ""), Ok(()));
    let failed = |section, from, to| with_volume(section, from, to).unwrap_err();
    let unmeasured = failed("boot.json", "measured\",\"measured", "tpm-missing\",\"measured");
    assert_eq!(unmeasured, "BOOT FAILED: measurement: data: boot.json says tpm-missing");
    let other = failed("boot.json", "\"data\"", "\"home\"");
    assert_eq!(other, "BOOT FAILED: volumes: data: boot.json says home, latched: true");
    let unlatched = failed("boot.json", "\"latched\":true", "\"latched\":false");
    assert_eq!(unlatched, "BOOT FAILED: volumes: data: boot.json says data, latched: false");
    let entry = format!(r#"{{"name":"data","uuid":"{VOLUME_UUID}"}}"#);
    assert_eq!(failed("boot.json", &entry, ""), "BOOT FAILED: volumes: data: boot.json says []");
    // A key that somebody gave to a table of his own, and a device of another kind.
    for (from, to) in [(VOLUME_UUID, "00000000-0000-0000-0000-000000000000"), ("crypt", "linear")] {
        let failure = failed("crypt-table", from, to);
        assert!(failure.starts_with("BOOT FAILED: crypt-table: data: expected crypt aes-xts-plain64 "), "{failure}");
    }
    let gone = failed("crypt-table", "data: ", "home: ");
    assert!(gone.starts_with("BOOT FAILED: crypt-table: data: not in the kernel's crypt-table"), "{gone}");
}

#[test]
fn another_root_or_a_failed_target_is_no_good_boot() {
    assert!(failure("mounts", "erofs", "overlay").starts_with("BOOT FAILED: root: /: expected erofs"));
    let real = Expected { target: Target::RealRoot { device: "/dev/vda2".into() }, ..expected() };
    let failed = outcome(|name, text| if name == "multi-user" { "failed".into() } else { text });
    assert_eq!(
        check(&failed, &real).unwrap_err().to_string(),
        "BOOT FAILED: target: multi-user.target: expected active, it is failed"
    );
}

#[test]
fn the_refusal_of_storage_init_is_taken_from_its_line() {
    let mut outcome = outcome(|_, text| text);
    outcome.console.push("[    0.9] storage-init: BOOT FAILED: corrupt: vda1: read: I/O error: EIO".into());
    let failure = check(&outcome, &expected()).unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.device.as_str()), ("corrupt", "vda1"));
    assert_eq!(failure.to_string(), "BOOT FAILED: corrupt: vda1: read: I/O error: EIO");
}

#[test]
fn silence_is_no_good_boot() {
    let silent = Outcome { report: None, exit: Exit::Reset, ..outcome(|_, text| text) };
    assert_eq!(
        check(&silent, &expected()).unwrap_err().to_string(),
        "BOOT FAILED: no-report: guest: ended by Reset after 1 s"
    );
}
