// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration: every value is in its range, and what was read, written again, is read as the same.
#![no_main]

use boot_record::config::{self, CmdlineOther, Config, EspFreeCount, MAX_FILE, Measure, OnFailure, UnlockFailure};
use libfuzzer_sys::fuzz_target;
use std::fmt::Write;
use std::time::Duration;

fuzz_target!(|data: &[u8]| {
    let Ok(config) = config::parse(data) else { return };
    check(&config);
    let text = core::str::from_utf8(data).expect("a file that was parsed");
    if data.len() + 16 < MAX_FILE {
        assert_eq!(config::parse(format!("# comment\n\n{text}\n").as_bytes()), Ok(config.clone()));
    }
    let written = written(&config);
    assert_eq!(config::parse(written.as_bytes()), Ok(config), "{written}");
});

fn check(config: &Config) {
    assert!(!config.devices.is_empty() && !config.certificates.is_empty() && !config.sources.is_empty());
    assert!((Duration::from_millis(100)..=Duration::from_secs(300)).contains(&config.device_deadline));
    assert!(config.watchdog.is_none_or(|time| time > config.device_deadline && time <= Duration::from_secs(600)));
    assert!((Duration::from_millis(100)..=Duration::from_secs(60)).contains(&config.tpm_deadline));
    let waits = config.measure != Measure::None;
    assert!(config.watchdog.is_none_or(|time| !waits || time >= config.tpm_deadline + Duration::from_secs(1)));
    // Never the firmware's registers, nor systemd-stub's, nor one that can be reset.
    assert!(config.volumes.is_empty() || waits);
    assert!((8..16).contains(&config.measure_pcr) && config.measure_pcr != 10 && config.measure_pcr != 11);
    assert!(config.init.starts_with('/') && !config.init.contains("/../"));
    // Names of files that are opened, and of what the record says.
    for name in config.certificates.iter().map(|name| name.as_str()).chain([config.image_id.as_str()]) {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', ' ', '\0']), "{name:?}");
    }
}

/// A key that is added has to be added here: the pattern has no rest.
fn written(config: &Config) -> String {
    let Config {
        image_id,
        sources,
        esp_free_count,
        devices,
        modules,
        device_deadline,
        watchdog,
        signature,
        certificates,
        overlay,
        init,
        cmdline_allow,
        cmdline_other,
        measure,
        measure_pcr,
        tpm_deadline,
        volumes,
        unlock_failure,
        unlock_discard,
        unlock_latch,
        dangerously_unlock_any_registers,
        on_failure: OnFailure::PowerOff,
        dangerously_panic_at,
    } = config;
    let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "image-id = {image_id}\nsources = {}\ndevice-deadline = {}ms\nsignature = {signature}\noverlay = {}\n\
         init = {init}\nmeasure = {measure}\nmeasure-pcr = {measure_pcr}\ntpm-deadline = {}ms\non-failure = power-off\n",
        sources.join(" "),
        device_deadline.as_millis(),
        if *overlay { "on" } else { "off" },
        tpm_deadline.as_millis(),
    );
    let other = match cmdline_other {
        CmdlineOther::Refuse => "refuse",
        CmdlineOther::Ignore => "ignore",
    };
    let _ = writeln!(text, "cmdline-other = {other}");
    let free = match esp_free_count {
        EspFreeCount::Count => "count",
        EspFreeCount::Trust => "trust",
    };
    let _ = writeln!(text, "esp-free-count = {free}");
    for volume in volumes {
        let _ = writeln!(text, "unlock = {} {}", volume.name, volume.partition);
    }
    let failure = match unlock_failure {
        UnlockFailure::Refuse => "refuse",
        UnlockFailure::Ignore => "ignore",
    };
    let _ = writeln!(text, "unlock-failure = {failure}");
    for (key, on) in [
        ("unlock-discard", unlock_discard),
        ("unlock-latch", unlock_latch),
        ("dangerously-unlock-any-registers", dangerously_unlock_any_registers),
    ] {
        let _ = writeln!(text, "{key} = {}", if *on { "on" } else { "off" });
    }
    for (key, values) in [
        ("device", devices.iter().map(|value| value.as_str()).collect::<Vec<_>>()),
        ("modules", modules.iter().map(|value| value.as_str()).collect()),
        ("certificate", certificates.iter().map(|value| value.as_str()).collect()),
        ("cmdline-allow", cmdline_allow.iter().map(|value| value.as_str()).collect()),
    ] {
        for value in values {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    if let Some(time) = watchdog {
        let _ = writeln!(text, "watchdog = {}s", time.as_secs());
    }
    if let Some(stage) = dangerously_panic_at {
        let _ = writeln!(text, "dangerously-panic-at = {stage}");
    }
    text
}
