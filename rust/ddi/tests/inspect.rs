// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ddi inspect` says is what `ddi build` put there, wherever the tables lie; and how it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

mod support;

use std::fs::{self, File};
use std::path::Path;

use base64ct::{Base64, Encoding};
use gptman::{GPT, GPTPartitionEntry};
use serde_json::Value;
use support::{ROOT, VERITY, build, ddi, directory, noise_erofs, pair, partition, refusal, run, tool, write};

fn inspect(image: &Path) -> Value {
    serde_json::from_slice(&run(ddi(["inspect", "--json"]).arg(image))).unwrap()
}

fn built(directory: &Path, blocks: u32) -> (std::path::PathBuf, Value) {
    let erofs = write(directory, "erofs", noise_erofs(blocks));
    let path = directory.join("image.raw");
    let facts = build("--erofs", &erofs, &path, &["--salt=5a17"]);
    (path, facts)
}

/// An openssl answer of the form `NAME=VALUE`.
fn openssl_x509(option: &[&str]) -> String {
    let said = run(tool("openssl").args(["x509", "-noout", "-in"]).arg(&pair().certificate).args(option));
    String::from_utf8(said).unwrap().trim().split_once('=').unwrap().1.to_owned()
}

#[test]
fn facts_are_those_of_the_build() {
    let directory = directory();
    let (path, built) = built(directory.path(), 300);
    let found = inspect(&path);
    for (ours, theirs) in found["partitions"].as_array().unwrap().iter().zip(built["partitions"].as_array().unwrap()) {
        for member in ["label", "uuid", "offset", "size"] {
            assert_eq!(ours[member], theirs[member]);
        }
    }
    assert_eq!(found["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(found["partitions"][ROOT]["type"], "b921b045-1df0-41c3-af44-4c6f280d3fae");
    assert_eq!(found["table"]["copy"], "primary");
    assert_eq!(found["table"]["sector_size"], 512);
    assert_eq!(found["size"], built["size"]);
    assert_eq!(found["root_hash"], built["root_hash"]);
    assert_eq!(found["root_hash_in_uuids"], true);
    assert_eq!(found["certificate_fingerprint"], built["signer"]["sha256"]);
    assert_eq!(found["erofs_size"], 300 * 4096);
    assert_eq!(found["erofs_error"], Value::Null);
    let verity = &found["verity"];
    assert_eq!(verity["salt"], "5a17");
    for (member, expected) in
        [("data_block_size", 4096), ("hash_block_size", 4096), ("data_blocks", 300), ("tree_blocks", 4), ("levels", 2)]
    {
        assert_eq!(verity[member], expected, "{member}");
    }
    let image = fs::read(&path).unwrap();
    let hashes = write(directory.path(), "hashes", partition(&image, &built, VERITY));
    let dump = String::from_utf8(run(tool("veritysetup").arg("dump").arg(hashes))).unwrap();
    assert!(dump.contains(verity["uuid"].as_str().unwrap()), "{dump}");
    let signer = &found["signer"];
    assert_eq!(signer["issuer"], openssl_x509(&["-issuer", "-nameopt", "RFC2253"]));
    assert_eq!(signer["serial"].as_str().unwrap().trim_start_matches("00"), openssl_x509(&["-serial"]).to_lowercase());
    assert_eq!(signer["algorithm"], "rsaEncryption");
    assert_eq!(signer["digest"], "sha256");
    assert_eq!(signer["bits"], 2048);
    assert_eq!(signer["embedded_certificate"], Value::Null);
}

#[test]
fn table_for_people_has_every_fact_of_the_json() {
    let directory = directory();
    let (path, _) = built(directory.path(), 300);
    let json = inspect(&path);
    let text = String::from_utf8(run(ddi(["inspect"]).arg(&path))).unwrap();
    let fact = |pointer: &str| match json.pointer(pointer).unwrap() {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let partition = |number: usize| {
        let fact = |member: &str| fact(&format!("/partitions/{number}/{member}"));
        format!(
            "                    {:>3}  {:<24}{:>14}{:>16}\n                         uuid {}\n                         type {} ({})\n",
            fact("number"),
            fact("label"),
            fact("offset"),
            fact("size"),
            fact("uuid"),
            fact("type"),
            fact("role")
        )
    };
    let expected = format!(
        "image               {} ({} bytes)
partition table     primary, 512-byte sectors, disk {}
partitions           no  label                           offset            size
{}{}{}root hash           {}
fingerprint         {}
signer
  issuer            CN=Test DEVELOPMENT
  serial number     {}
  algorithm         rsaEncryption with sha256, 2048 bits
  certificate       not embedded
hash tree           sha256, hash type 1
  uuid              {}
  block sizes       4096 data, 4096 hash
  blocks            300 data, 4 hash in 2 levels
  salt              5a17
erofs               1228800 bytes
not looked at       whether any of this is true (`ddi verify`), files such as os-release
",
        fact("/image"),
        fact("/size"),
        fact("/table/disk_guid"),
        partition(0),
        partition(1),
        partition(2),
        fact("/root_hash"),
        fact("/certificate_fingerprint"),
        fact("/signer/serial"),
        fact("/verity/uuid"),
    );
    assert_eq!(text, expected);
}

#[test]
fn backup_table_is_read_and_named_where_the_primary_one_is_lost() {
    let directory = directory();
    let (path, _) = built(directory.path(), 2);
    let whole = inspect(&path);
    let mut image = fs::read(&path).unwrap();
    image[512..1024].fill(0);
    fs::write(&path, image).unwrap();
    let found = inspect(&path);
    assert_eq!(found["table"]["copy"], "backup");
    assert_eq!(found["partitions"], whole["partitions"]);
}

/// The same partitions in a disk with larger sectors, one alignment further on.
#[test]
fn table_in_4096_byte_sectors_is_read_and_valid() {
    let directory = directory();
    let (path, _) = built(directory.path(), 300);
    let small = inspect(&path);
    let image = fs::read(&path).unwrap();
    let large = directory.path().join("large.raw");
    fs::write(&large, [&vec![0; 8192], &image[4096..], &[0; 8192]].concat()).unwrap();
    let mut file = File::options().read(true).write(true).open(&large).unwrap();
    let guid = |text: &Value| boot_formats::Guid::parse(text.as_str().unwrap()).unwrap().to_disk();
    let mut gpt = GPT::new_from(&mut file, 4096, [7; 16]).unwrap();
    for (number, partition) in (1..).zip(small["partitions"].as_array().unwrap()) {
        let lba = partition["offset"].as_u64().unwrap() / 4096 + 1;
        gpt[number] = GPTPartitionEntry {
            partition_type_guid: guid(&partition["type"]),
            unique_partition_guid: guid(&partition["uuid"]),
            starting_lba: lba,
            ending_lba: lba + partition["size"].as_u64().unwrap() / 4096 - 1,
            attribute_bits: 0,
            partition_name: partition["label"].as_str().unwrap().into(),
        };
    }
    gpt.write_into(&mut file).unwrap();
    let found = inspect(&large);
    assert_eq!(found["table"]["sector_size"], 4096);
    assert_eq!(found["table"]["copy"], "primary");
    assert_eq!(found["partitions"][2]["offset"], small["partitions"][2]["offset"].as_u64().unwrap() + 4096);
    assert_eq!(found["signer"], small["signer"]);
    let mut verify = ddi(["verify", "--json", "--cert"]);
    let verdict: Value = serde_json::from_slice(&run(verify.arg(&pair().certificate).arg(&large))).unwrap();
    assert_eq!(verdict["checks"][0]["detail"], "primary table, 4096-byte sectors");
}

#[test]
fn control_characters_of_a_label_do_not_reach_the_terminal() {
    let directory = directory();
    let (path, _) = built(directory.path(), 2);
    let mut file = File::options().read(true).write(true).open(&path).unwrap();
    let mut gpt = GPT::find_from(&mut file).unwrap();
    gpt[1].partition_name = "\u{1b}[2Jb\u{f6}se".into();
    gpt.write_into(&mut file).unwrap();
    assert_eq!(inspect(&path)["partitions"][0]["label"], "\u{1b}[2Jb\u{f6}se");
    let text = String::from_utf8(run(ddi(["inspect"]).arg(&path))).unwrap();
    assert!(text.contains("\\u{1b}[2Jb\u{f6}se "), "{text}");
    assert!(!text.contains('\u{1b}'));
}

/// As systemd-repart signs.
#[test]
fn embedded_certificate_is_named() {
    let directory = directory();
    let (path, facts) = built(directory.path(), 2);
    let signed = write(directory.path(), "signed", facts["root_hash"].as_str().unwrap());
    let mut openssl = tool("openssl");
    openssl.args(["smime", "-sign", "-noattr", "-binary", "-outform", "der", "-signer"]);
    let der = run(openssl.arg(&pair().certificate).arg("-inkey").arg(&pair().key).arg("-in").arg(signed));
    let json =
        serde_json::json!({"rootHash": facts["root_hash"], "signature": Base64::encode_string(&der)}).to_string();
    let mut image = fs::read(&path).unwrap();
    let partition = &mut image[20480..24576];
    partition.fill(0);
    partition[..json.len()].copy_from_slice(json.as_bytes());
    fs::write(&path, image).unwrap();
    let found = inspect(&path);
    assert_eq!(found["signer"]["embedded_certificate"]["sha256"], facts["signer"]["sha256"]);
    assert_eq!(found["signer"]["embedded_certificate"]["common_name"], "Test DEVELOPMENT");
    assert_eq!(found["certificate_fingerprint"], Value::Null);
    run(ddi(["verify", "--cert"]).arg(&pair().certificate).arg(&path));
}

#[test]
fn root_partition_that_is_no_erofs_is_said() {
    let directory = directory();
    let (path, facts) = built(directory.path(), 2);
    let root = usize::try_from(facts["partitions"][ROOT]["offset"].as_u64().unwrap()).unwrap();
    let mut image = fs::read(&path).unwrap();
    image[root + 1024..][..4].copy_from_slice(b"hsqs");
    fs::write(&path, image).unwrap();
    let found = inspect(&path);
    assert_eq!(found["erofs_size"], Value::Null);
    let expected = format!(
        "root partition of {}: not an erofs image: at byte 1024 expected the magic number 0xe0f5e1e2, found 0x73717368",
        path.display()
    );
    assert_eq!(found["erofs_error"], expected);
}

#[test]
fn refusals_are_the_parsers_words_after_the_name_of_the_file() {
    let directory = directory();
    let (path, facts) = built(directory.path(), 2);
    let whole = fs::read(&path).unwrap();
    let verity = usize::try_from(facts["partitions"][VERITY]["offset"].as_u64().unwrap()).unwrap();
    let assert_refused = |image: &[u8], expected: &str| {
        write(directory.path(), "bad", image);
        let found = refusal(ddi(["inspect", "bad"]).current_dir(directory.path()));
        assert_eq!(found, (format!("ddi: bad: {expected}\n"), Some(1)));
    };
    let with = |offset: usize, bytes: &[u8]| {
        let mut image = whole.clone();
        image[offset..][..bytes.len()].copy_from_slice(bytes);
        image
    };
    assert_refused(&[], "gpt: disk of 0 bytes, need 3072");
    let nothing = "gpt: signature \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\", expected \"EFI PART\"";
    assert_refused(&[0; 65536], &format!("primary {nothing}; backup {nothing}"));
    assert_refused(&with(20480, b"["), "signature: at byte 11: found ':', expected ',' or ']'");
    assert_refused(&with(verity + 8, &[9]), "verity: superblock version 9, expected 1");
    run(tool("sfdisk").arg("--delete").arg(&path).arg("3"));
    assert_refused(&fs::read(&path).unwrap(), "ddi: no root-verity partition");
}
