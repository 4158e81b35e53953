// SPDX-License-Identifier: MIT OR Apache-2.0
//! boot.json: written and read again.

use boot_record::boot_json::{
    BootRecord, Error, FORMAT, MAX_BANKS, MAX_DETAIL, MAX_JSON, MAX_REFUSED, MAX_STAGES, MeasuredRecord, Measurement,
    Refusal, SignerRecord, StageRecord, VolumeRecord,
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
        refused: [Refusal {
            device: text("vda2"),
            reason: Reason::NotADdi,
            detail: text("ddi: partition \"x\\y\"\nis strange: ä"),
        }]
        .into_iter()
        .collect(),
        stages: [StageRecord { stage: Stage::Early, start_us: 0, took_us: u64::MAX, detail: text("") }]
            .into_iter()
            .collect(),
    }
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
    let mut buffer = vec![0; MAX_JSON];
    let len = record.to_json(&mut buffer).unwrap();
    buffer.truncate(len);
    std::string::String::from_utf8(buffer).unwrap()
}

#[test]
fn a_record_is_this_json() {
    assert_eq!(to_json(&record()), JSON);
    assert_eq!(BootRecord::from_json(JSON.as_bytes()), Ok(record()));
    assert_eq!(BootRecord::from_json(JSON.trim_end().as_bytes()), Ok(record()));
}

#[test]
fn slots_are_text() {
    let record = BootRecord { slot: Some(text("a")), ..record() };
    let json = to_json(&record);
    assert!(json.contains(r#""slot":"a""#), "{json}");
    assert_eq!(BootRecord::from_json(json.as_bytes()), Ok(record));
}

#[test]
fn what_was_measured_is_said() {
    let measured =
        MeasuredRecord { pcr: 13, banks: [text("sha1"), text("sha256")].into_iter().collect(), event: text("x:0d") };
    let record = BootRecord { measurement: Measurement::Measured, measured: Some(measured), ..record() };
    let json = to_json(&record);
    let expected = r#""measurement":"measured","measured":{"pcr":13,"banks":["sha1","sha256"],"event":"x:0d"},"#;
    assert!(json.contains(expected), "{json}");
    assert_eq!(BootRecord::from_json(json.as_bytes()), Ok(record));
}

#[test]
fn the_largest_record_fits() {
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
        refused: std::iter::repeat_n(refusal, MAX_REFUSED).collect(),
        stages: std::iter::repeat_n(stage, MAX_STAGES).collect(),
        ..record()
    };
    let json = to_json(&record);
    assert_eq!(BootRecord::from_json(json.as_bytes()), Ok(record.clone()));
    let mut buffer = vec![0; json.len()];
    assert_eq!(record.to_json(&mut buffer), Ok(json.len()));
    for available in [0, 1, json.len() - 2, json.len() - 1] {
        let error = record.to_json(&mut buffer[..available]).unwrap_err();
        assert_eq!(error, Error::BufferTooSmall { available });
        assert_eq!(error.to_string(), format!("boot.json: does not fit {available} bytes"));
    }
}

#[test]
fn what_is_not_a_record() {
    let read = |old: &str, new: &str| {
        assert_eq!(JSON.matches(old).count(), 1, "{old}");
        BootRecord::from_json(JSON.replace(old, new).as_bytes()).unwrap_err()
    };
    assert_eq!(read("\"format\":1", "\"format\":2"), Error::Format { found: 2 });
    assert_eq!(Error::Format { found: 2 }.to_string(), "boot.json: format 2, expected 1");
    let json = |old: &str, new: &str| match read(old, new) {
        Error::Json(error) => error,
        other => panic!("{other}"),
    };
    use serde_json_core::de::Error as Json;
    assert_eq!(json("\"slot\"", "\"slots\""), Json::CustomError);
    assert_eq!(json("\"overlay\":true,", ""), Json::CustomError);
    assert_eq!(json("\"esp-file\"", "\"ram\""), Json::CustomError);
    assert_eq!(json("\"took_us\":18446744073709551615", "\"took_us\":18446744073709551616"), Json::InvalidNumber);
    assert_eq!(json("]}\n", "]} {}"), Json::TrailingCharacters);
    assert_eq!(json("]}\n", "]"), Json::EofWhileParsingObject);
    let long = "d".repeat(MAX_DETAIL + 1);
    assert_eq!(json("\"detail\":\"\"", &format!("\"detail\":\"{long}\"")), Json::CustomError);
    assert_eq!(BootRecord::from_json(b""), Err(Error::Json(Json::EofWhileParsingValue)));
}

#[test]
fn a_record_without_anything_to_say() {
    let record = BootRecord { refused: Vec::new(), stages: Vec::new(), ..record() };
    assert_eq!(BootRecord::from_json(to_json(&record).as_bytes()), Ok(record));
}
