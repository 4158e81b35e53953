// SPDX-License-Identifier: MIT OR Apache-2.0
//! boot.json: what was read, written again, is read as the same, and says what the record says.
#![no_main]

use boot_record::boot_json::{BootRecord, FORMAT};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(record) = BootRecord::from_json(data) else { return };
    let written = record.to_json().expect("any record can be written");
    assert_eq!(BootRecord::from_json(&written).expect("what we wrote is refused"), record);
    let theirs: Value = serde_json::from_slice(&written).expect("serde_json refuses what we wrote");
    assert_eq!(theirs["format"], FORMAT);
    for (member, ours) in [("image_id", record.image_id.as_str()), ("device", record.device.as_str())] {
        assert_eq!(theirs[member], ours);
    }
    for (theirs, ours) in theirs["refused"].as_array().expect("a list").iter().zip(record.refused.iter()) {
        assert_eq!(theirs["detail"], ours.detail.as_str());
    }
});
