// SPDX-License-Identifier: MIT OR Apache-2.0
//! boot.json: what we read is JSON to serde_json too, and what was read, written again, is read as the same.
#![no_main]

use boot_record::boot_json::{BootRecord, FORMAT, MAX_JSON};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(record) = BootRecord::from_json(data) else { return };
    let mut buffer = vec![0; MAX_JSON];
    let len = record.to_json(&mut buffer).expect("MAX_JSON holds any record");
    let written = &buffer[..len];
    assert_eq!(BootRecord::from_json(written), Ok(record.clone()));
    let theirs: Value = serde_json::from_slice(written).expect("serde_json refuses what we wrote");
    assert_eq!(theirs["format"], FORMAT);
    for (member, ours) in [("image_id", record.image_id.as_str()), ("device", record.device.as_str())] {
        assert_eq!(theirs[member], ours);
    }
    for (theirs, ours) in theirs["refused"].as_array().expect("a list").iter().zip(&record.refused) {
        assert_eq!(theirs["detail"], ours.detail.as_str());
    }
});
