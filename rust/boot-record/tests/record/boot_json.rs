// SPDX-License-Identifier: MIT OR Apache-2.0
//! boot.json: written and read again.

use boot_record::boot_json::{
    BootRecord, Error, FORMAT, MAX_BANKS, MAX_DETAIL, MAX_REFUSED, MAX_STAGES, MeasuredRecord, Measurement, Refusal,
    SignerRecord, StageRecord, VolumeRecord,
};
use boot_record::config::{MAX_VOLUMES, SignaturePath, Source};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use heapless::{String, Vec};

fn text<const N: usize>(text: &str) -> String<N> {
    text.try_into().unwrap()
}

pub fn record() -> BootRecord {
    BootRecord {
        format: FORMAT,
        image_id: text("initoverlayfs"),
        version: text("1.4~rc2"),
        source: Source::EspFile,
        device: text("vda1:/initoverlayfs/initoverlayfs_1.4~rc2.raw"),
        slot: None,
        root_hash: text(&"0d".repeat(32)),
        signer: SignerRecord { sha256: text(&"ab".repeat(32)), common_name: text("DEVELOPMENT me"), development: true },
        signature: SignaturePath::Kernel,
        measurement: Measurement::NotConfigured,
        measured: None,
        volumes: [VolumeRecord { name: text("root"), uuid: text("0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e") }]
            .into_iter()
            .collect(),
        latched: true,
        overlay: true,
        verity_device: text(&("0d".repeat(32) + "-verity")),
        refused: list([Refusal {
            device: text("vda2"),
            reason: Reason::NotADdi,
            detail: text("ddi: partition \"x\\y\"\nis strange: ä"),
        }]),
        stages: list([StageRecord { stage: Stage::Early, start_us: 0, took_us: u64::MAX, detail: text("") }]),
    }
}

fn list<T, const N: usize>(of: impl IntoIterator<Item = T>) -> Box<Vec<T, N>> {
    Box::new(of.into_iter().collect())
}

/// The exact bytes: other programs read this file.
const JSON: &str = concat!(
    r#"{"format":1,"image_id":"initoverlayfs","version":"1.4~rc2","source":"esp-file","#,
    r#""device":"vda1:/initoverlayfs/initoverlayfs_1.4~rc2.raw","slot":null,"#,
    r#""root_hash":"0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d","#,
    r#""signer":{"sha256":"abababababababababababababababababababababababababababababababab","#,
    r#""common_name":"DEVELOPMENT me","development":true},"#,
    r#""signature":"kernel","measurement":"not-configured","measured":null,"#,
    r#""volumes":[{"name":"root","uuid":"0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e"}],"latched":true,"overlay":true,"#,
    r#""verity_device":"0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d-verity","#,
    r#""refused":[{"device":"vda2","reason":"not-a-ddi","detail":"ddi: partition \"x\\y\"\nis strange: ä"}],"#,
    r#""stages":[{"stage":"early","start_us":0,"took_us":18446744073709551615,"detail":""}]}"#,
    "\n"
);

fn to_json(record: &BootRecord) -> std::string::String {
    std::string::String::from_utf8(record.to_json().unwrap()).unwrap()
}

#[test]
fn a_record_is_this_json() {
    assert_eq!(to_json(&record()), JSON);
    assert_eq!(BootRecord::from_json(JSON.as_bytes()).unwrap(), record());
    assert_eq!(BootRecord::from_json(JSON.trim_end().as_bytes()).unwrap(), record());
}

#[test]
fn slots_are_text() {
    let record = BootRecord { slot: Some(text("a")), ..record() };
    let json = to_json(&record);
    assert!(json.contains(r#""slot":"a""#), "{json}");
    assert_eq!(BootRecord::from_json(json.as_bytes()).unwrap(), record);
}

#[test]
fn what_was_measured_is_said() {
    let measured =
        MeasuredRecord { pcr: 13, banks: [text("sha1"), text("sha256")].into_iter().collect(), event: text("x:0d") };
    let record = BootRecord { measurement: Measurement::Measured, measured: Some(measured), ..record() };
    let json = to_json(&record);
    let expected = r#""measurement":"measured","measured":{"pcr":13,"banks":["sha1","sha256"],"event":"x:0d"},"#;
    assert!(json.contains(expected), "{json}");
    assert_eq!(BootRecord::from_json(json.as_bytes()).unwrap(), record);
}

#[test]
fn the_largest_record_comes_back() {
    fn worst<const N: usize>() -> String<N> {
        text(&"\u{1}".repeat(N))
    }
    let refusal = Refusal { device: worst(), reason: Reason::SignatureMalformed, detail: worst() };
    let stage = StageRecord { stage: Stage::HandOver, start_us: u64::MAX, took_us: u64::MAX, detail: worst() };
    let record = BootRecord {
        format: FORMAT,
        image_id: worst(),
        version: worst(),
        device: worst(),
        slot: Some(worst()),
        root_hash: worst(),
        signer: SignerRecord { sha256: worst(), common_name: worst(), development: false },
        verity_device: worst(),
        measured: Some(MeasuredRecord {
            pcr: 15,
            banks: std::iter::repeat_n(worst(), MAX_BANKS).collect(),
            event: worst(),
        }),
        volumes: std::iter::repeat_n(VolumeRecord { name: worst(), uuid: worst() }, MAX_VOLUMES).collect(),
        refused: list(std::iter::repeat_n(refusal, MAX_REFUSED)),
        stages: list(std::iter::repeat_n(stage, MAX_STAGES)),
        ..record()
    };
    let json = to_json(&record);
    assert_eq!(BootRecord::from_json(json.as_bytes()).unwrap(), record.clone());
}

#[test]
fn what_is_not_a_record() {
    let read = |old: &str, new: &str| {
        assert_eq!(JSON.matches(old).count(), 1, "{old}");
        BootRecord::from_json(JSON.replace(old, new).as_bytes()).unwrap_err()
    };
    let error = read("\"format\":1", "\"format\":2");
    assert!(matches!(error, Error::Format { found: 2 }), "{error}");
    assert_eq!(error.to_string(), "boot.json: format 2, expected 1");
    let long = "d".repeat(MAX_DETAIL + 1);
    for (old, new, said) in [
        ("\"slot\"", "\"slots\"", "unknown field `slots`"),
        ("\"overlay\":true,", "", "missing field `overlay`"),
        ("\"overlay\":true,", "\"overlay\":true,\"overlay\":true,", "duplicate field `overlay`"),
        ("\"esp-file\"", "\"ram\"", "unknown variant `ram`"),
        ("\"took_us\":18446744073709551615", "\"took_us\":18446744073709551616", "invalid type"),
        ("]}\n", "]} {}", "trailing characters"),
        ("]}\n", "]", "EOF while parsing an object"),
        ("\"detail\":\"\"", &format!("\"detail\":\"{long}\""), "invalid length 201"),
    ] {
        let error = read(old, new).to_string();
        assert!(error.starts_with("boot.json: ") && error.contains(said), "{new}: {error}");
    }
    let error = BootRecord::from_json(b"").unwrap_err().to_string();
    assert!(error.contains("EOF while parsing a value"), "{error}");
}

#[test]
fn a_record_without_anything_to_say() {
    let record = BootRecord { refused: list([]), stages: list([]), ..record() };
    assert_eq!(BootRecord::from_json(to_json(&record).as_bytes()).unwrap(), record);
}
