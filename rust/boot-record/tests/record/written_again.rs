// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties of what is configured: facts, written in any of the ways that are allowed, come back as they were.

use boot_formats::Guid;
use boot_record::config::{
    self, CmdlineOther, Config, EspFreeCount, Measure, OnFailure, SignaturePath, Source, UnlockFailure, Volume,
};
use boot_record::modules::{self, MAX_MODULES, ModuleName};
use boot_record::stage::Stage;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

/// Lines of one key with the values that the key was given, in the form of the file.
fn lines<T: ToString>(key: &str, values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| format!("{key} = {}", value.to_string())).collect()
}

fn texts<const N: usize, const M: usize>(
    values: impl IntoIterator<Item = impl AsRef<str>>,
) -> heapless::Vec<heapless::String<N>, M> {
    values.into_iter().map(|value| value.as_ref().try_into().unwrap()).collect()
}

fn configurations() -> impl Strategy<Value = Config> {
    let names = (
        "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,63}",
        btree_set("[/*][!-.0-9@-Z^-z/*]{0,127}", 1..=config::MAX_DEVICES),
        btree_set("[a-z0-9_]{1,55}", 0..=8),
        btree_set("[a-zA-Z0-9~][!-.0-~]{0,63}", 1..=config::MAX_CERTIFICATES),
        "/[a-z]{1,60}/[a-z]{3,60}",
        btree_set("[a-z._]{1,64}|--", 0..=16),
    );
    let others = (
        prop_oneof![
            Just(vec![Source::EspFile]),
            Just(vec![Source::Partition]),
            Just(vec![Source::Partition, Source::EspFile]),
        ],
        100_u64..=300_000,
        option::of(301_u64..=600),
        any::<(bool, bool, bool, bool)>(),
        option::of(prop::sample::select(&[Stage::Discover, Stage::Select, Stage::Verify, Stage::Activate][..])),
    );
    let tpm = (
        prop::sample::select(&[Measure::None, Measure::Prefer, Measure::Require][..]),
        prop::sample::select(&config::MEASURE_PCRS[..]),
        100_u64..=60_000,
        btree_map("[a-z0-9_-][a-z0-9._-]{0,63}", any::<[u8; 16]>(), 0..=config::MAX_VOLUMES),
        any::<(bool, bool, bool, bool)>(),
    );
    (names, others, tpm).prop_map(|((image_id, devices, modules, certificates, init, allow), others, tpm)| {
        let (measure, measure_pcr, tpm_deadline, volumes, (refuse, discard, latch, any_registers)) = tpm;
        let volumes = volumes
            .iter()
            .map(|(name, guid)| Volume { name: name.as_str().try_into().unwrap(), partition: Guid::from_disk(*guid) });
        let volumes = volumes.filter(|_| measure != Measure::None).collect();
        let (sources, deadline, watchdog, (overlay, ignore, user_space, trust), dangerously_panic_at) = others;
        Config {
            image_id: image_id.as_str().try_into().unwrap(),
            sources: sources.into_iter().collect(),
            esp_free_count: if trust { EspFreeCount::Trust } else { EspFreeCount::Count },
            devices: texts(devices),
            modules: modules.iter().map(|name| ModuleName::new(name).unwrap()).collect(),
            device_deadline: Duration::from_millis(deadline),
            watchdog: watchdog.map(Duration::from_secs),
            signature: if user_space { SignaturePath::UserSpace } else { SignaturePath::Kernel },
            certificates: texts(certificates),
            overlay,
            init: init.as_str().try_into().unwrap(),
            cmdline_allow: texts(allow),
            cmdline_other: if ignore { CmdlineOther::Ignore } else { CmdlineOther::Refuse },
            measure,
            measure_pcr,
            tpm_deadline: Duration::from_millis(tpm_deadline),
            volumes,
            unlock_failure: if refuse { UnlockFailure::Refuse } else { UnlockFailure::Ignore },
            unlock_discard: discard,
            unlock_latch: latch,
            dangerously_unlock_any_registers: any_registers,
            on_failure: OnFailure::PowerOff,
            dangerously_panic_at,
        }
    })
}

const fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn written(config: &Config) -> Vec<String> {
    let sources: Vec<String> = config.sources.iter().map(Source::to_string).collect();
    let other = if config.cmdline_other == CmdlineOther::Ignore { "ignore" } else { "refuse" };
    [
        lines("image-id", [&config.image_id]),
        lines("sources", [sources.join(" \t")]),
        lines("esp-free-count", [if config.esp_free_count == EspFreeCount::Trust { "trust" } else { "count" }]),
        lines("device", &config.devices),
        lines("modules", &config.modules),
        lines("device-deadline", [format!("{}ms", config.device_deadline.as_millis())]),
        lines("watchdog", config.watchdog.map(|time| format!("{}s", time.as_secs()))),
        lines("signature", [config.signature]),
        lines("certificate", &config.certificates),
        lines("overlay", [switch(config.overlay)]),
        lines("init", [&config.init]),
        lines("cmdline-allow", &config.cmdline_allow),
        lines("cmdline-other", [other]),
        lines("measure", [config.measure]),
        lines("measure-pcr", [config.measure_pcr]),
        lines("tpm-deadline", [format!("{}ms", config.tpm_deadline.as_millis())]),
        lines("unlock", config.volumes.iter().map(|volume| format!("{} {}", volume.name, volume.partition))),
        lines("unlock-failure", [if config.unlock_failure == UnlockFailure::Refuse { "refuse" } else { "ignore" }]),
        lines("unlock-discard", [switch(config.unlock_discard)]),
        lines("unlock-latch", [switch(config.unlock_latch)]),
        lines("dangerously-unlock-any-registers", [switch(config.dangerously_unlock_any_registers)]),
        lines("on-failure", ["power-off"]),
        lines("dangerously-panic-at", config.dangerously_panic_at),
    ]
    .concat()
}

proptest! {
    #[test]
    fn a_configuration_comes_back(config in configurations(), rotation in any::<prop::sample::Index>()) {
        let mut lines = written(&config);
        // Lists keep the order of their lines, so only the start moves; never into the middle of a list.
        let starts: Vec<usize> = (0..lines.len())
            .filter(|at| *at == 0 || lines[*at].split(' ').next() != lines[at - 1].split(' ').next())
            .collect();
        lines.rotate_left(starts[rotation.index(starts.len())]);
        let text = lines.join("\n  # comment\n\t");
        prop_assert_eq!(config::parse(text.as_bytes()), Ok(Box::new(config)), "{}", text);
    }

    #[test]
    fn a_list_of_modules_comes_back(
        names in btree_set("[A-Za-z0-9_]{1,55}", 0..=MAX_MODULES),
        optional in vec(any::<bool>(), MAX_MODULES),
    ) {
        let line = |(name, optional): (&String, &bool)| format!("{name}{}\n", if *optional { " optional" } else { "" });
        let text: String = names.iter().zip(&optional).map(line).collect();
        let list = modules::parse(text.as_bytes()).unwrap();
        let found: Vec<_> = list.iter().map(|module| (module.name.as_str(), module.optional)).collect();
        let expected: Vec<_> = names.iter().map(String::as_str).zip(optional).collect();
        prop_assert_eq!(found, expected);
    }
}
