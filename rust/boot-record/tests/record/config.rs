// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configurations: the smallest, one with every key, and each thing that can be wrong.

use boot_record::config::{
    CmdlineOther, Config, Error, EspFreeCount, Key, MAX_CERTIFICATES, MAX_CMDLINE_WORDS, MAX_CONFIG_MODULES,
    MAX_DEVICES, MAX_FILE, Measure, OnFailure, SignaturePath, Source, UnlockFailure, parse,
};
use boot_record::stage::Stage;
use std::time::Duration;

/// What must be there; line 1 to 6.
pub const REQUIRED: &str = "image-id = initoverlayfs
sources = esp-file
device = /devices/*/block/vd*
signature = kernel
certificate = development.der
measure = none
";

const EVERYTHING: &str = "
# The configuration of a board with one eMMC.
image-id=board-x.initoverlayfs_1
sources = partition\tesp-file
device = /devices/platform/*/mmc_host/*/block/mmcblk0
  device   =   /devices/virtual/*

modules = virtio-blk dm-verity
modules = crypto-sha256
device-deadline = 1500ms
watchdog = 2s
signature = kernel
certificate = product-2026.der
certificate = product-2027.der
overlay = on
init = /usr/lib/systemd/systemd
cmdline-allow = console root
cmdline-allow = --  systemd.log_level
cmdline-other = ignore
measure = require
measure-pcr = 12
tpm-deadline = 1s
unlock = root	0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e
unlock = home.1 5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27
unlock-failure = refuse
unlock-discard = on
unlock-latch = off
dangerously-unlock-any-registers = on
on-failure = power-off
dangerously-panic-at = hand-over
# the end";

#[test]
fn who_checks_the_signature_is_chosen() {
    let text = REQUIRED.replace("signature = kernel", "signature = user-space");
    assert_eq!(parse(text.as_bytes()).unwrap().signature, SignaturePath::UserSpace);
}

#[test]
fn the_smallest_configuration_has_safe_defaults() {
    let config = parse(REQUIRED.as_bytes()).unwrap();
    let expected = Config {
        image_id: "initoverlayfs".try_into().unwrap(),
        sources: [Source::EspFile].into_iter().collect(),
        devices: ["/devices/*/block/vd*".try_into().unwrap()].into_iter().collect(),
        esp_free_count: EspFreeCount::Count,
        modules: heapless::Vec::new(),
        device_deadline: Duration::from_secs(5),
        watchdog: None,
        signature: SignaturePath::Kernel,
        certificates: ["development.der".try_into().unwrap()].into_iter().collect(),
        overlay: false,
        init: "/sbin/init".try_into().unwrap(),
        cmdline_allow: heapless::Vec::new(),
        cmdline_other: CmdlineOther::Refuse,
        measure: Measure::None,
        measure_pcr: 13,
        tpm_deadline: Duration::from_secs(5),
        volumes: heapless::Vec::new(),
        unlock_failure: UnlockFailure::Ignore,
        unlock_discard: false,
        unlock_latch: true,
        dangerously_unlock_any_registers: false,
        on_failure: OnFailure::PowerOff,
        dangerously_panic_at: None,
    };
    assert_eq!(*config, expected);
}

#[test]
fn a_configuration_with_every_key() {
    let config = parse(EVERYTHING.as_bytes()).unwrap();
    assert_eq!(config.image_id, "board-x.initoverlayfs_1");
    assert_eq!(config.sources, [Source::Partition, Source::EspFile]);
    assert_eq!(config.devices, ["/devices/platform/*/mmc_host/*/block/mmcblk0", "/devices/virtual/*"]);
    let modules: Vec<_> = config.modules.iter().map(|name| name.as_str()).collect();
    assert_eq!(modules, ["virtio_blk", "dm_verity", "crypto_sha256"]);
    assert_eq!(config.device_deadline, Duration::from_millis(1500));
    assert_eq!(config.watchdog, Some(Duration::from_secs(2)));
    assert_eq!(config.certificates, ["product-2026.der", "product-2027.der"]);
    assert!(config.overlay);
    assert_eq!(config.init, "/usr/lib/systemd/systemd");
    assert_eq!(config.cmdline_allow, ["console", "root", "--", "systemd.log_level"]);
    assert_eq!(config.cmdline_other, CmdlineOther::Ignore);
    assert_eq!((config.measure, config.measure_pcr), (Measure::Require, 12));
    assert_eq!(config.tpm_deadline, Duration::from_secs(1));
    let volumes: Vec<_> =
        config.volumes.iter().map(|volume| (volume.name.as_str(), volume.partition.to_string())).collect();
    assert_eq!(
        volumes,
        [
            ("root", "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e".to_owned()),
            ("home.1", "5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27".to_owned())
        ]
    );
    assert_eq!(config.unlock_failure, UnlockFailure::Refuse);
    assert_eq!((config.unlock_discard, config.unlock_latch), (true, false));
    assert!(config.dangerously_unlock_any_registers);
    assert_eq!(config.dangerously_panic_at, Some(Stage::HandOver));
}

#[test]
fn only_disks_of_a_pattern_are_allowed() {
    let config = parse(EVERYTHING.as_bytes()).unwrap();
    for (devpath, allowed) in [
        ("/devices/platform/a/mmc_host/mmc0/mmc0:0001/block/mmcblk0", true),
        ("/devices/platform/a/mmc_host/mmc0/mmc0:0001/block/mmcblk0/mmcblk0p1", false),
        ("/devices/platform/a/mmc_host/mmc0/mmc0:0001/block/mmcblk1", false),
        ("/devices/virtual/block/loop0", true),
        ("x/devices/virtual/block/loop0", false),
        ("", false),
    ] {
        assert_eq!(config.allows_device(devpath), allowed, "{devpath}");
    }
}

#[test]
fn each_required_key_is_missed_by_name() {
    for (key, line) in [
        (Key::ImageId, "config: no image-id: expected 1 to 64 letters, digits, '.', '_', '-', no '.' first"),
        (Key::Sources, "config: no sources: expected esp-file, partition or both"),
        (
            Key::Device,
            "config: no device: expected a path below /sys of at most 128 bytes, with * as its only wildcard",
        ),
        (Key::Signature, "config: no signature: expected kernel or user-space"),
        (
            Key::Certificate,
            "config: no certificate: expected the name of a file in /etc/initoverlayfs, at most 64 bytes",
        ),
        (Key::Measure, "config: no measure: expected none, prefer or require"),
    ] {
        let without: String =
            REQUIRED.lines().filter(|line| !line.starts_with(key.name())).map(|line| format!("{line}\n")).collect();
        let error = parse(without.as_bytes()).unwrap_err();
        assert_eq!(error, Error::MissingKey(key));
        assert_eq!(error.to_string(), line);
    }
    assert_eq!(parse(b""), Err(Error::MissingKey(Key::Device)));
}

/// The error of a seventh line.
fn error_of(line: &str) -> Result<(), String> {
    parse(format!("{REQUIRED}{line}\n").as_bytes()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn lines_that_are_none() {
    for (line, expected) in [
        ("overlay", "config: line 7: expected key = value"),
        ("[section]", "config: line 7: expected key = value"),
        ("= on", "config: line 7: unknown key \"\""),
        ("Overlay = on", "config: line 7: unknown key \"Overlay\""),
        ("overlay on = on", "config: line 7: unknown key \"overlay on\""),
        ("dangerously-unsigned = on", "config: line 7: unknown key \"dangerously-unsigned\""),
        (
            "a-key-that-is-longer-than-an-error-keeps = 1",
            "config: line 7: unknown key \"a-key-that-is-longer-than-an-err\"",
        ),
        ("schlüssel = 1", "config: line 7: unknown key \"schl\\xc3\\xbcssel\""),
        ("overlay = on\r", "config: line 7: a control character"),
        ("# \u{1b}[2J", "config: line 7: a control character"),
        ("overlay = \0", "config: line 7: a control character"),
    ] {
        assert_eq!(error_of(line), Err(expected.to_owned()), "{line}");
    }
}

#[test]
fn a_key_for_the_second_time() {
    for key in [
        "image-id = initoverlayfs",
        "sources = partition",
        "signature = kernel",
        "measure = none",
        "device-deadline = 1s",
        "watchdog = 60s",
        "overlay = on",
        "init = /init",
        "cmdline-other = refuse",
        "on-failure = power-off",
        "dangerously-panic-at = discover",
    ] {
        let name = key.split(' ').next().unwrap();
        let twice = format!("{key}\n{key}");
        let line = if REQUIRED.contains(&format!("{name} =")) { 7 } else { 8 };
        assert_eq!(error_of(&twice), Err(format!("config: line {line}: second {name}")));
    }
}

#[test]
fn a_list_does_not_name_a_thing_twice() {
    for (lines, line, name) in [
        ("certificate = development.der", 7, "certificate"),
        ("cmdline-allow = a b a", 7, "cmdline-allow"),
        ("cmdline-allow = a\ncmdline-allow = a", 8, "cmdline-allow"),
        ("modules = loop\nmodules = loop", 8, "modules"),
        ("modules = dm-mod dm_mod", 7, "modules"),
    ] {
        assert_eq!(error_of(lines), Err(format!("config: line {line}: {name} names the same thing twice")));
    }
    let twice = REQUIRED.replace("esp-file", "esp-file partition esp-file");
    let error = parse(twice.as_bytes()).unwrap_err();
    assert_eq!(error, Error::DuplicateValue { line: 2, key: Key::Sources });
}

#[test]
fn values_a_key_does_not_take() {
    let long = |len| "x".repeat(len);
    for (key, values) in [
        (Key::DeviceDeadline, vec!["", "5", "5 s", "5m", "99ms", "0s", "301s", "300001ms", "-1s", "1.5s", "+5s", "s"]),
        (Key::DeviceDeadline, vec!["18446744073709551616s", "18446744073709551615s"]),
        (Key::Watchdog, vec!["", "0s", "601s", "6000ms", "60", "18446744073709551616s"]),
        (Key::EspFreeCount, vec!["", "yes", "Trust"]),
        (Key::Overlay, vec!["", "yes", "true", "1", "On"]),
        (Key::Init, vec!["", "sbin/init", "/", "/sbin/", "/sbin/../init", "//init", "/sbin/./init", "/my init", "/ä"]),
        (Key::Certificate, vec!["", "a/b", "/etc/a", ".", "..", ".der", "my key", "ä"]),
        (Key::Device, vec!["", "vda", "devices/x", "/devices/?", "/devices/[ab]", "/devices/{a,b}", "/a b", "/\\*"]),
        (Key::CmdlineAllow, vec!["", "console=", "a=b", "\"a\"", "it's", "a\\b", "ä"]),
        (Key::Modules, vec!["", "loop.ko", "/lib/modules/loop.ko", "loop,vfat", "loop=1", "ä"]),
        (Key::CmdlineOther, vec!["", "allow", "Refuse"]),
        (Key::OnFailure, vec!["", "reboot", "shell"]),
        (Key::DangerouslyPanicAt, vec!["", "handover", "Verify", "never"]),
    ] {
        for value in values {
            let expected = format!("config: line 7: {key}: expected {}", key.expected());
            assert_eq!(error_of(&format!("{key} = {value}")), Err(expected), "{key} = {value}");
        }
    }
    for (key, value) in [
        (Key::Certificate, long(65)),
        (Key::Init, format!("/{}", long(128))),
        (Key::Device, format!("/{}", long(128))),
        (Key::CmdlineAllow, long(65)),
        (Key::Modules, long(56)),
    ] {
        let expected = format!("config: line 7: {key}: expected {}", key.expected());
        assert_eq!(error_of(&format!("{key} = {value}")), Err(expected), "{key} = {value}");
    }
}

#[test]
fn values_of_required_keys_that_they_do_not_take() {
    let with = |old: &str, new: &str| parse(REQUIRED.replace(old, new).as_bytes()).unwrap_err().to_string();
    assert_eq!(with("= none", "= tpm2"), "config: line 6: measure: expected none, prefer or require");
    assert_eq!(with("= kernel", "= none"), "config: line 4: signature: expected kernel or user-space");
    assert_eq!(with("= kernel", "= kernel user-space"), "config: line 4: signature: expected kernel or user-space");
    assert_eq!(with("= esp-file", "= ram"), "config: line 2: sources: expected esp-file, partition or both");
    assert_eq!(with("= esp-file", "="), "config: line 2: sources: expected esp-file, partition or both");
    assert_eq!(
        with("= esp-file", "= esp-file,partition"),
        "config: line 2: sources: expected esp-file, partition or both"
    );
    for bad in ["", ".x", "a b", "a/b", "ä", &"x".repeat(65)] {
        assert_eq!(
            with("= initoverlayfs", &format!("= {bad}")),
            "config: line 1: image-id: expected 1 to 64 letters, digits, '.', '_', '-', no '.' first"
        );
    }
}

#[test]
fn a_register_of_another_owner_is_refused() {
    for pcr in ["8", "9", "12", "13", "14", "15"] {
        assert_eq!(error_of(&format!("measure-pcr = {pcr}")), Ok(()));
    }
    for pcr in ["0", "7", "10", "11", "16", "23", "24", "013", "+13", "13.0", "", "-1", "269"] {
        let expected = "config: line 7: measure-pcr: expected 8, 9, 12, 13, 14 or 15".to_owned();
        assert_eq!(error_of(&format!("measure-pcr = {pcr}")), Err(expected), "{pcr}");
    }
    for deadline in ["99ms", "61s", "1", "5 s"] {
        let expected = "config: line 7: tpm-deadline: expected 100ms to 60s, in ms or s".to_owned();
        assert_eq!(error_of(&format!("tpm-deadline = {deadline}")), Err(expected), "{deadline}");
    }
}

#[test]
fn a_watchdog_outlives_the_wait_for_the_tpm() {
    let error = |text: &str| parse(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string());
    let with = |more: &str, measure: &str| error(&(REQUIRED.replace("= none", measure) + more));
    let too_short = Err("config: watchdog is not longer than tpm-deadline".to_owned());
    assert_eq!(with("watchdog = 10s\ntpm-deadline = 10s", "= none"), Ok(()), "nobody waits");
    for measure in ["= prefer", "= require"] {
        assert_eq!(with("watchdog = 10s\ntpm-deadline = 9s", measure), Ok(()));
        assert_eq!(with("watchdog = 10s\ntpm-deadline = 9001ms", measure), too_short);
    }
}

#[test]
fn a_watchdog_outlives_the_wait_for_a_disk() {
    assert_eq!(error_of("watchdog = 600s"), Ok(()));
    assert_eq!(error_of("watchdog = 6s"), Ok(()));
    assert_eq!(error_of("device-deadline = 999ms\nwatchdog = 1s"), Ok(()));
    let too_short = Err("config: watchdog is not longer than device-deadline".to_owned());
    assert_eq!(error_of("watchdog = 5s"), too_short);
    assert_eq!(error_of("watchdog = 60s\ndevice-deadline = 60s"), too_short);
}

/// A test image that asks for a panic which never comes would boot, and its test would test nothing.
#[test]
fn a_panic_is_asked_for_only_where_it_can_happen() {
    for stage in Stage::ALL {
        let line = format!("dangerously-panic-at = {stage}");
        let never = matches!(stage, Stage::Early | Stage::Config | Stage::Unlock);
        let expected = match never {
            true => Err("config: line 7: dangerously-panic-at: expected modules, discover, select, verify, measure, \
                         activate or hand-over"
                .to_owned()),
            false => Ok(()),
        };
        assert_eq!(error_of(&line), expected, "{stage}");
    }
}

#[test]
fn limits() {
    for (value, millis) in [("100ms", 100), ("300s", 300_000), ("300000ms", 300_000), ("007s", 7000)] {
        let config = parse(format!("{REQUIRED}device-deadline = {value}").as_bytes()).unwrap();
        assert_eq!(config.device_deadline, Duration::from_millis(millis));
    }
    let many = |count: usize, line: &dyn Fn(usize) -> String| (1..count).map(line).collect::<Vec<_>>().join("\n");
    let devices = |count| many(count, &|n| format!("device = /devices/{n}"));
    assert_eq!(error_of(&devices(MAX_DEVICES)), Ok(()));
    assert_eq!(error_of(&devices(MAX_DEVICES + 1)), Err("config: line 22: device: more than 16 values".to_owned()));
    let certificates = |count| many(count, &|n| format!("certificate = {n}.der"));
    assert_eq!(error_of(&certificates(MAX_CERTIFICATES)), Ok(()));
    assert_eq!(
        error_of(&certificates(MAX_CERTIFICATES + 1)),
        Err("config: line 10: certificate: more than 4 values".to_owned())
    );
    let words = |count| format!("cmdline-allow = {}", many(count + 1, &|n| format!("w{n}")).replace('\n', " "));
    assert_eq!(error_of(&words(MAX_CMDLINE_WORDS)), Ok(()));
    assert_eq!(
        error_of(&words(MAX_CMDLINE_WORDS + 1)),
        Err("config: line 7: cmdline-allow: more than 64 values".to_owned())
    );
    let modules = |count| format!("modules = {}", many(count + 1, &|n| format!("m{n}")).replace('\n', " "));
    assert_eq!(error_of(&modules(MAX_CONFIG_MODULES)), Ok(()));
    assert_eq!(
        error_of(&modules(MAX_CONFIG_MODULES + 1)),
        Err("config: line 7: modules: more than 64 values".to_owned())
    );

    let padded = |len: usize| format!("{REQUIRED}{}", "#".repeat(len - REQUIRED.len()));
    assert!(parse(padded(MAX_FILE).as_bytes()).is_ok());
    let error = parse(padded(MAX_FILE + 1).as_bytes()).unwrap_err();
    assert_eq!(error, Error::TooLarge { found: 16385 });
    assert_eq!(error.to_string(), "config: 16385 bytes, at most 16384");
    let error = parse(b"image-id = \xff").unwrap_err();
    assert_eq!(error, Error::Text { offset: 11 });
    assert_eq!(error.to_string(), "config: at byte 11: not UTF-8");
}

#[test]
fn volumes_have_one_name_and_one_partition_each_and_need_a_measurement() {
    const ONE: &str = "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e";
    const TWO: &str = "5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27";
    let with = |lines: &str| result_of(&(REQUIRED.replace("= none", "= prefer") + lines));
    assert_eq!(with(&format!("unlock = root {ONE}\nunlock = var {TWO}")), Ok(()));
    let twice = Err("config: line 8: unlock names the same thing twice".to_owned());
    assert_eq!(with(&format!("unlock = root {ONE}\nunlock = root {TWO}")), twice);
    assert_eq!(with(&format!("unlock = root {ONE}\nunlock = var {ONE}")), twice);
    let bad = "config: line 7: unlock: expected a name of at most 64 letters, digits, '.', '_', '-', and the GUID of a \
               partition";
    for value in ["root", ONE, &format!("ro/ot {ONE}"), &format!("root {ONE} x"), "root 0f1e2d3c"] {
        assert_eq!(with(&format!("unlock = {value}")), Err(bad.to_owned()), "{value}");
    }
    let five: Vec<String> = (0..5).map(|number| format!("unlock = v{number} {number}{}", &ONE[1..])).collect();
    assert_eq!(with(&five.join("\n")), Err("config: line 11: unlock: more than 4 values".to_owned()));
    let without = REQUIRED.to_owned() + &format!("unlock = root {ONE}");
    assert_eq!(result_of(&without), Err("config: unlock needs measure = prefer or require".to_owned()));
}

fn result_of(text: &str) -> Result<(), String> {
    parse(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
}
