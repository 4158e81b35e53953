// SPDX-License-Identifier: MIT OR Apache-2.0
//! LUKS2 headers that cryptsetup wrote, what cryptsetup says of them, and `golden/luks2/bad-lines.txt`: what is done to one, and
//! the error that must come of it, word for word.

use crate::golden;
use boot_formats::ByteRange;
use boot_formats::luks2::{self, Error, Hash, Header, KeySize, Which, choose};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Bytes of the volumes that make-golden made.
const VOLUME: u64 = 4 << 20;
/// Bytes of a copy.
const COPY: usize = 16 << 10;
const SECONDARY: Which = Which::Secondary { offset: COPY as u64 };

fn copies(name: &str) -> (Vec<u8>, Vec<u8>) {
    let mut primary = golden::bytes(&format!("luks2/{name}.luks2"));
    let secondary = primary.split_off(COPY);
    (primary, secondary)
}

fn cryptsetup_says(name: &str) -> Value {
    serde_json::from_slice(&golden::bytes(&format!("luks2/{name}.json"))).unwrap()
}

#[test]
fn a_header_says_what_cryptsetup_says() {
    for (name, hash, key_size) in
        [("usual", Hash::Sha512, KeySize::Aes256), ("small-key", Hash::Sha256, KeySize::Aes128)]
    {
        let (primary, secondary) = copies(name);
        let json = cryptsetup_says(name);
        for (copy, which) in [(primary, Which::Primary), (secondary, SECONDARY)] {
            let header = luks2::parse_header(&copy, which).unwrap();
            assert_eq!(header.uuid, "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e");
            assert_eq!(header.size, COPY as u64);
            assert_eq!(serde_json::from_slice::<Value>(header.json.text()).unwrap(), json);

            let metadata = header.metadata(VOLUME).unwrap();
            let segment = &json["segments"]["0"];
            assert_eq!(metadata.segment.range.offset.to_string(), segment["offset"]);
            assert_eq!(metadata.segment.range.end(), Some(VOLUME));
            assert_eq!(metadata.segment.sector_size, segment["sector_size"]);
            assert_eq!(metadata.segment.iv_tweak, 0);

            let (keyslot, said) = (metadata.keyslot(0).unwrap(), &json["keyslots"]["0"]);
            assert_eq!((keyslot.key_size, keyslot.split.hash, keyslot.derivation.hash), (key_size, hash, hash));
            assert_eq!(keyslot.area_key_size.bytes(), said["area"]["key_size"]);
            assert_eq!(keyslot.area.offset.to_string(), said["area"]["offset"]);
            assert_eq!(keyslot.area.len, keyslot.key_size.bytes() as u64 * 4000);
            assert_eq!(keyslot.derivation.iterations, said["kdf"]["iterations"]);
            assert_eq!(base64(&keyslot.derivation.salt), said["kdf"]["salt"]);

            let (id, digest) = metadata.digest(0).unwrap();
            assert_eq!(id, 0);
            assert_eq!(base64(&digest.derivation.salt), json["digests"]["0"]["salt"]);
            assert_eq!(base64(&digest.value), json["digests"]["0"]["digest"]);

            let tokens = metadata.tokens().unwrap();
            assert_eq!(tokens.len(), json["tokens"].as_object().unwrap().len());
            for token in tokens {
                let said = &json["tokens"][token.id.to_string()];
                assert_eq!(token.kind, said["type"]);
                assert_eq!(&serde_json::from_slice::<Value>(token.value.text()).unwrap(), said);
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = [0; 128];
    <base64ct::Base64 as base64ct::Encoding>::encode(bytes, &mut text).unwrap().to_owned()
}

#[test]
fn the_newer_copy_counts_and_a_good_one_before_a_bad_one() {
    let (primary, secondary) = copies("usual");
    let header = |copy, which| luks2::parse_header(copy, which);
    let (first, second) = (header(&primary, Which::Primary), header(&secondary, SECONDARY));
    assert_eq!(choose(first, second), Ok(first.unwrap()));
    let newer = Header { sequence: first.unwrap().sequence + 1, ..second.unwrap() };
    assert_eq!(choose(first, Ok(newer)), Ok(newer));
    let (bad, worse) = (Error::Version { found: 1 }, Error::Version { found: 3 });
    assert_eq!(choose(Err(bad), second), Ok(second.unwrap()));
    assert_eq!(choose(first, Err(bad)), Ok(first.unwrap()));
    assert_eq!(choose(Err(bad), Err(worse)), Err(bad));
}

#[test]
fn the_larger_copies_of_other_volumes_are_found_where_they_can_be() {
    let (primary, secondary) = copies("usual");
    for offset in luks2::SECONDARY_OFFSETS {
        let mut copy = secondary.clone();
        copy[8..16].copy_from_slice(&offset.to_be_bytes());
        copy[256..264].copy_from_slice(&offset.to_be_bytes());
        assert_eq!(luks2::size_of(&copy[..4096], Which::Secondary { offset }), Ok(offset));
        let other = Which::Secondary { offset: offset / 2 };
        assert_eq!(luks2::size_of(&copy, other), Err(Error::HeaderOffset { found: offset, expected: offset / 2 }));
    }
    assert_eq!(luks2::size_of(&primary[..4096], Which::Primary), Ok(COPY as u64));
    let magic = Error::Magic { found: *b"LUKS\xba\xbe", expected: *b"SKUL\xba\xbe" };
    assert_eq!(luks2::size_of(&primary, SECONDARY), Err(magic));
}

#[test]
fn a_segment_of_a_size_of_its_own_is_that_long() {
    let (mut primary, _) = copies("usual");
    replace_json(&mut primary, "\"size\":\"dynamic\"", "\"size\":\"8192\"");
    let header = luks2::parse_header(&primary, Which::Primary).unwrap();
    let range = ByteRange { offset: 1 << 20, len: 8192 };
    assert_eq!(header.metadata(VOLUME).unwrap().segment.range, range);
}

/// Replaces a text that occurs once in the JSON area, and makes the checksum right again.
fn replace_json(copy: &mut Vec<u8>, old: &str, new: &str) {
    let json = copy.split_off(4096);
    let text = String::from_utf8(json).unwrap();
    assert_eq!(text.matches(old).count(), 1, "{old}");
    let text = text.trim_end_matches('\0').replace(old, new);
    copy.extend(text.as_bytes());
    copy.resize(COPY, 0);
    repair(copy);
}

fn repair(copy: &mut [u8]) {
    copy[448..512].fill(0);
    let sum = Sha256::digest(&copy);
    copy[448..480].copy_from_slice(&sum);
}

/// All that is read of a volume whose token names keyslot 0.
fn read(copy: &[u8], which: Which, volume: u64) -> Result<(), Error> {
    let metadata = luks2::parse_header(copy, which)?.metadata(volume)?;
    metadata.tokens()?;
    metadata.keyslot(0)?;
    metadata.digest(0).map(|_| ())
}

#[test]
fn each_bad_line_gives_its_error() {
    let mut wrong = Vec::new();
    for line in golden::text("luks2/bad-lines.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [file, operations, expected] = line.splitn(3, " | ").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}?")
        };
        let (name, which) = file.split_once(' ').unwrap();
        let (mut copy, which) = match which {
            "primary" => (copies(name).0, Which::Primary),
            "secondary" => (copies(name).1, SECONDARY),
            _ => panic!("{line}?"),
        };
        let mut volume = VOLUME;
        for operation in operations.split("; ").filter(|operation| !operation.is_empty()) {
            match operation.split(' ').collect::<Vec<_>>()[..] {
                ["set", offset, bytes] => {
                    let (offset, bytes): (usize, _) = (offset.parse().unwrap(), bytes_of(bytes));
                    copy[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
                ["json", old, new] => replace_json(&mut copy, old, new),
                ["repair"] => repair(&mut copy),
                ["cut", len] => copy.truncate(len.parse().unwrap()),
                ["volume", bytes] => volume = bytes.parse().unwrap(),
                _ => panic!("{operation}?"),
            }
        }
        let found = read(&copy, which, volume).map_or_else(|error| error.to_string(), |()| "accepted".to_owned());
        if found != expected {
            wrong.push(format!("{line}\n    found: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}

/// Hexadecimal digits.
fn bytes_of(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
