// SPDX-License-Identifier: MIT OR Apache-2.0
//! LUKS2 headers: what is accepted lies where it may, and serde_json sees the same in the JSON.
//!
//! Input: bytes of the volume, then the JSON area of a primary header whose binary part is made here, so that its checksum is right.
#![no_main]

use std::collections::BTreeSet;

use boot_formats::ByteRange;
use boot_formats::luks2::{self, BINARY_HEADER, MAX_OBJECTS, Metadata, Which};
use fuzz::{Input, position};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tpm_unlock::token::Token;

/// Bytes of the copy.
const COPY: usize = 16 << 10;

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let volume = input.number()?;
    // As it comes too: the binary part is a parser of its own.
    let _ = luks2::parse_header(input.rest(), Which::Primary);
    let _ = luks2::parse_header(input.rest(), Which::Secondary { offset: COPY as u64 });

    let copy = copy(&input.padded(COPY - BINARY_HEADER));
    let header = luks2::parse_header(&copy, Which::Primary).ok()?;
    assert_eq!(position(&copy, header.json.text()) - header.json.offset(), BINARY_HEADER);
    let metadata = header.metadata(volume).ok()?;
    let theirs = serde_json::from_slice::<Value>(header.json.text()).ok();
    check(&metadata, volume, theirs.as_ref());
    Some(())
}

fn copy(json: &[u8]) -> Vec<u8> {
    let mut copy = b"LUKS\xba\xbe\x00\x02".to_vec();
    copy.extend((COPY as u64).to_be_bytes());
    copy.extend(1_u64.to_be_bytes());
    copy.resize(72, 0);
    copy.extend(b"sha256");
    copy.resize(168, 0);
    copy.extend(b"0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e");
    copy.resize(BINARY_HEADER, 0);
    copy.extend(json);
    let sum = Sha256::digest(&copy);
    copy[448..480].copy_from_slice(&sum);
    copy
}

fn check(metadata: &Metadata<'_>, volume: u64, theirs: Option<&Value>) {
    let inside = ByteRange { offset: 2 * COPY as u64, len: volume - 2 * COPY as u64 };
    let segment = metadata.segment;
    assert!(inside.contains(&segment.range) && segment.range.len > 0);
    assert!(segment.range.len.is_multiple_of(u64::from(segment.sector_size)));
    if let Some(theirs) = theirs {
        let said = &theirs["segments"]["0"];
        assert_eq!(said["offset"], segment.range.offset.to_string());
        assert_eq!(said["sector_size"], segment.sector_size);
        assert_eq!(said["encryption"], "aes-xts-plain64");
    }
    for id in 0..MAX_OBJECTS as u8 {
        if let Ok(keyslot) = metadata.keyslot(id) {
            assert!(inside.contains(&keyslot.area) && !keyslot.area.overlaps(&segment.range));
            assert!((1..=luks2::MAX_ITERATIONS).contains(&keyslot.derivation.iterations));
            if let Some(theirs) = theirs {
                let said = &theirs["keyslots"][id.to_string()];
                assert_eq!(said["kdf"]["iterations"], keyslot.derivation.iterations);
                assert_eq!(said["key_size"], keyslot.key_size.bytes());
            }
        }
        if let Ok((_, digest)) = metadata.digest(id) {
            assert!(!digest.value.is_empty() && !digest.derivation.salt.is_empty());
        }
    }
    if let Ok(tokens) = metadata.tokens() {
        for token in &tokens {
            check_token(token, theirs);
            if let Some(theirs) = theirs {
                assert_eq!(theirs["tokens"][token.id.to_string()]["type"], token.kind);
            }
        }
    }
}

/// A token that is read is one whose members serde_json sees as well, and no PIN is passed over.
fn check_token(token: &luks2::Token<'_>, theirs: Option<&Value>) {
    let Ok(read) = Token::parse(token) else { return };
    if let Some(theirs) = theirs {
        let said = &theirs["tokens"][token.id.to_string()];
        assert_eq!(said["keyslots"], serde_json::json!([read.keyslot.to_string()]));
        assert!(said["tpm2-pin"] != true && said["tpm2_pcrlock"] != true);
        let literal = said["tpm2-pcrs"].as_array().expect("an array that was read");
        let literal: BTreeSet<u64> =
            literal.iter().map(|register| register.as_u64().expect("a number that was read")).collect();
        let ours: BTreeSet<u64> = read.registers().iter().map(u64::from).collect();
        assert!(if read.is_signed() { literal.is_subset(&ours) } else { literal == ours }, "{literal:?} {ours:?}");
    }
}
