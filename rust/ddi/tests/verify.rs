// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each tampering, the check of `ddi verify` that finds it, and the reason and words it gives; and that veritysetup agrees.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

#[path = "../../../tests/refusal_record.rs"]
mod refusal_record;
mod support;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use support::{
    ROOT, SIGNATURE, VERITY, build, ddi, directory, make_pair, noise_erofs, pair, refusal, run, tool, write,
};
use tempfile::TempDir;

/// Three leaf blocks, the last of them partly filled, under a root block.
const BLOCKS: u32 = 300;
const CHECKS: [&str; 8] =
    ["partitions", "signature-partition", "root-hash", "superblock", "signer", "signature", "hash-tree", "data"];

/// An image, to be tampered with.
struct Sample {
    directory: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    facts: Value,
}

impl Sample {
    fn new(blocks: u32) -> Self {
        let directory = directory();
        let erofs = write(directory.path(), "erofs", noise_erofs(blocks));
        let path = directory.path().join("image.raw");
        let facts = build("--erofs", &erofs, &path, &[]);
        Self { bytes: fs::read(&path).unwrap(), directory, path, facts }
    }

    fn offset(&self, partition: usize) -> usize {
        usize::try_from(self.facts["partitions"][partition]["offset"].as_u64().unwrap()).unwrap()
    }

    fn range(&self, partition: usize) -> Range<usize> {
        let size = usize::try_from(self.facts["partitions"][partition]["size"].as_u64().unwrap()).unwrap();
        self.offset(partition)..self.offset(partition) + size
    }

    fn flip(&mut self, offset: usize) {
        self.bytes[offset] ^= 1;
    }

    /// Where `text` begins in the signature partition.
    fn find(&self, text: &str) -> usize {
        let start = self.offset(SIGNATURE);
        start + self.bytes[start..].windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
    }

    fn json(&self) -> Value {
        let partition = &self.bytes[self.offset(SIGNATURE)..self.offset(ROOT)];
        serde_json::from_slice(partition.split(|byte| *byte == 0).next().unwrap()).unwrap()
    }

    fn replace_json(&mut self, json: &Value) {
        let range = self.offset(SIGNATURE)..self.offset(ROOT);
        let text = json.to_string();
        let partition = &mut self.bytes[range];
        partition.fill(0);
        partition[..text.len()].copy_from_slice(text.as_bytes());
    }

    fn pkcs7(&self) -> Vec<u8> {
        Base64::decode_vec(self.json()["signature"].as_str().unwrap()).unwrap()
    }

    fn replace_pkcs7(&mut self, der: &[u8]) {
        let mut json = self.json();
        json["signature"] = Base64::encode_string(der).into();
        self.replace_json(&json);
    }

    /// The verdict with these certificates. Nothing is on stderr, and the exit status says what the JSON does.
    fn verdict(&self, certificates: &[&Path]) -> Value {
        fs::write(&self.path, &self.bytes).unwrap();
        let mut command = ddi(["verify", "--json"]);
        for certificate in certificates {
            command.arg("--cert").arg(certificate);
        }
        let output = command.arg(&self.path).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks: Vec<_> = verdict["checks"].as_array().unwrap().iter().map(|check| &check["check"]).collect();
        assert_eq!(checks, CHECKS);
        assert_eq!(output.status.code(), Some(if verdict["valid"] == true { 0 } else { 1 }));
        // The reason that counts, with its words, for the table of docs/security.md.
        let checks = verdict["checks"].as_array().unwrap();
        if let Some(first) = checks.iter().find(|check| check["result"] == "refused") {
            let (reason, detail) = (verdict["reason"].as_str().unwrap(), first["detail"].as_str().unwrap());
            refusal_record::record("ddi", &refusal_record::current_test(), reason, "", detail).unwrap();
        }
        verdict
    }

    fn assert_refused(&self, reason: &str, expected: &[(&str, &str)]) {
        self.assert_refused_by(&[&pair().certificate], reason, expected);
    }

    /// `expected`: those checks that are not ok, and what they say: `REASON: DETAIL`, or `needs CHECK`.
    fn assert_refused_by(&self, certificates: &[&Path], reason: &str, expected: &[(&str, &str)]) {
        let verdict = self.verdict(certificates);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let said = |check: &Value| match text(&check["result"]).as_str() {
            "ok" => None,
            "refused" => {
                Some((text(&check["check"]), format!("{}: {}", text(&check["reason"]), text(&check["detail"]))))
            }
            _ => Some((text(&check["check"]), format!("needs {}", text(&check["needs"])))),
        };
        let found: Vec<_> = verdict["checks"].as_array().unwrap().iter().filter_map(said).collect();
        let expected: Vec<_> = expected.iter().map(|(check, text)| (check.to_string(), text.to_string())).collect();
        assert_eq!(found, expected);
        assert_eq!(verdict["reason"], reason);
        assert_eq!(verdict["valid"], false);
    }

    /// What `veritysetup verify` says: `Ok`, or its stderr.
    fn veritysetup(&self) -> Result<(), String> {
        let path = |name, partition: usize| write(self.directory.path(), name, &self.bytes[self.range(partition)]);
        let mut command = tool("veritysetup");
        command.arg("verify").arg(path("data", ROOT)).arg(path("hashes", VERITY));
        let output = command.arg(self.facts["root_hash"].as_str().unwrap()).output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }
}

/// Without partitions nothing else can be checked.
const NOT_REACHED: [(&str, &str); 7] = [
    ("signature-partition", "needs partitions"),
    ("root-hash", "needs partitions"),
    ("superblock", "needs partitions"),
    ("signer", "needs partitions"),
    ("signature", "needs partitions"),
    ("hash-tree", "needs partitions"),
    ("data", "needs partitions"),
];

/// With trees of no, one, two and three levels.
#[test]
fn good_images_are_valid_and_veritysetup_agrees() {
    for blocks in [1, 2, 128, 129, BLOCKS, 16385] {
        let sample = Sample::new(blocks);
        let verdict = sample.verdict(&[&pair().certificate]);
        assert_eq!(verdict["valid"], true, "{verdict}");
        assert_eq!(verdict["reason"], Value::Null);
        assert_eq!(verdict["root_hash"], sample.facts["root_hash"]);
        assert_eq!(verdict["signer"], sample.facts["signer"]);
        assert_eq!(
            verdict["checks"][7],
            json!({"check": "data", "result": "ok", "detail": format!("{blocks} blocks")})
        );
        assert_eq!(sample.veritysetup(), Ok(()));
    }
}

#[test]
fn text_for_people_says_every_check() {
    let sample = Sample::new(2);
    let certificate = &pair().certificate;
    let text = String::from_utf8(run(ddi(["verify"]).arg(&sample.path).arg("--cert").arg(certificate))).unwrap();
    let expected = format!(
        "image                {} ({} bytes)
root hash            {}
signed by            {} (Test DEVELOPMENT), DEVELOPMENT
partitions           ok           primary table, 512-byte sectors
signature-partition  ok           PKCS#7 of {} bytes
root-hash            ok           is that of the partition UUIDs
superblock           ok           sha256, 4096-byte blocks
signer               ok           {}
signature            ok           RSA with sha256, of the root hash's digits
hash-tree            ok           1 blocks
data                 ok           2 blocks
verdict              valid
not looked at        files such as os-release; what the kernel and the configuration of a device allow
",
        sample.path.display(),
        sample.bytes.len(),
        sample.facts["root_hash"].as_str().unwrap(),
        sample.facts["signer"]["sha256"].as_str().unwrap(),
        sample.pkcs7().len(),
        certificate.display()
    );
    assert_eq!(text, expected);
}

#[test]
fn flipped_bit_in_a_data_block_is_corrupt_and_names_the_block_and_veritysetup_agrees() {
    for block in [0, 127, 128, 299] {
        let mut sample = Sample::new(BLOCKS);
        let offset = sample.offset(ROOT) + block * 4096;
        sample.flip(offset + 4095);
        let detail = format!("corrupt: 1 of 300 blocks, the first is block {block} at byte {offset}");
        sample.assert_refused("corrupt", &[("data", &detail)]);
        let check = &sample.verdict(&[&pair().certificate])["checks"][7];
        assert_eq!(check["bad_blocks"], json!({"first_block": block, "offset": offset, "count": 1}));
        let said = sample.veritysetup().unwrap_err();
        assert!(said.contains("Verification of data area failed"), "{said}");
    }
}

#[test]
fn first_of_several_bad_data_blocks_is_named_and_all_are_counted() {
    let mut sample = Sample::new(BLOCKS);
    let root = sample.offset(ROOT);
    [290, 129, 140, 200].into_iter().for_each(|block| sample.flip(root + block * 4096));
    let detail = format!("corrupt: 4 of 300 blocks, the first is block 129 at byte {}", root + 129 * 4096);
    sample.assert_refused("corrupt", &[("data", &detail)]);
}

/// Blocks of root-verity: 0 the superblock, 1 the root of the tree, 2 to 4 its leaves.
#[test]
fn flipped_bit_in_a_tree_block_is_corrupt_and_veritysetup_agrees() {
    // In the padding of the last leaf no digest lies.
    for (block, byte) in [(2, 0), (4, 4095)] {
        let mut sample = Sample::new(BLOCKS);
        let offset = sample.offset(VERITY) + block * 4096;
        sample.flip(offset + byte);
        let detail = format!("corrupt: 1 of 4 blocks, the first is block {block} at byte {offset}");
        sample.assert_refused("corrupt", &[("hash-tree", &detail), ("data", "needs hash-tree")]);
        let said = sample.veritysetup().unwrap_err();
        assert!(said.contains("Verification"), "{said}");
    }
    // Root and leaf no longer belong together, nor do root and root hash.
    let mut sample = Sample::new(BLOCKS);
    let offset = sample.offset(VERITY) + 4096;
    sample.flip(offset);
    let detail = format!("corrupt: 2 of 4 blocks, the first is block 1 at byte {offset}");
    sample.assert_refused("corrupt", &[("hash-tree", &detail), ("data", "needs hash-tree")]);
    let said = sample.veritysetup().unwrap_err();
    assert!(said.contains("Verification"), "{said}");
}

#[test]
fn flipped_bit_in_the_signature_is_rejected() {
    let mut sample = Sample::new(2);
    let mut der = sample.pkcs7();
    // Its end is the end of the RSA signature.
    *der.last_mut().unwrap() ^= 1;
    sample.replace_pkcs7(&der);
    let detail = format!(
        "signature-rejected: the certificate's key did not sign this root hash ({})",
        pair().certificate.display()
    );
    sample.assert_refused("signature-rejected", &[("signature", &detail)]);
}

#[test]
fn another_root_hash_in_the_json_fits_neither_partitions_nor_signature_nor_tree() {
    let mut sample = Sample::new(BLOCKS);
    let mut json = sample.json();
    let root_hash = sample.facts["root_hash"].as_str().unwrap().to_owned();
    let other = format!("{}{}", if root_hash.starts_with('0') { "1" } else { "0" }, &root_hash[1..]);
    json["rootHash"] = other.as_str().into();
    sample.replace_json(&json);
    let uuid =
        |hash: &str| format!("{}-{}-{}-{}-{}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..32]);
    let mismatch =
        format!("root-hash-mismatch: ddi: root partition is {}, root hash says {}", uuid(&root_hash), uuid(&other));
    let rejected = format!(
        "signature-rejected: the certificate's key did not sign this root hash ({})",
        pair().certificate.display()
    );
    let corrupt = format!("corrupt: 1 of 4 blocks, the first is block 1 at byte {}", sample.offset(VERITY) + 4096);
    sample.assert_refused(
        "root-hash-mismatch",
        &[("root-hash", &mismatch), ("signature", &rejected), ("hash-tree", &corrupt), ("data", "needs hash-tree")],
    );
}

#[test]
fn json_that_is_none_is_malformed() {
    let mut sample = Sample::new(2);
    let offset = sample.find("rootHash");
    sample.bytes[offset] = b'R';
    sample.assert_refused(
        "signature-malformed",
        &[
            ("signature-partition", "signature-malformed: signature: at byte 12: unknown member \"RootHash\""),
            ("root-hash", "needs signature-partition"),
            ("signer", "needs signature-partition"),
            ("signature", "needs signature-partition"),
            ("hash-tree", "needs signature-partition"),
            ("data", "needs signature-partition"),
        ],
    );
}

#[test]
fn pkcs7_that_is_none_is_malformed() {
    let mut sample = Sample::new(2);
    let mut der = sample.pkcs7();
    der[0] = 0x31;
    sample.replace_pkcs7(&der);
    let detail = "signature-malformed: pkcs7: der: at byte 0: tag 0x31, expected 0x30";
    sample.assert_refused("signature-malformed", &[("signer", detail), ("signature", "needs signer")]);
}

#[test]
fn flipped_bit_in_the_superblock_is_named() {
    let mut sample = Sample::new(BLOCKS);
    let offset = sample.offset(VERITY);
    sample.flip(offset + 8); // version
    let detail = "verity-superblock: verity: superblock version 0, expected 1";
    let after = [("hash-tree", "needs superblock"), ("data", "needs superblock")];
    sample.assert_refused("verity-superblock", &[&[("superblock", detail)], &after[..]].concat());

    let mut sample = Sample::new(BLOCKS);
    sample.flip(offset + 75); // 2^24 data blocks more
    let needed = (300 + (1_u64 << 24)) * 4096;
    let detail = format!("verity-superblock: verity: {needed} bytes of data in a partition of {}", 300 * 4096);
    sample.assert_refused("verity-superblock", &[&[("superblock", detail.as_str())], &after[..]].concat());

    // One data block less, under the same blocks of the tree: every digest is right, and the erofs has no end.
    let mut sample = Sample::new(BLOCKS);
    sample.bytes[offset + 72..offset + 80].copy_from_slice(&u64::from(BLOCKS - 1).to_le_bytes());
    let (needed, available) = (BLOCKS * 4096, (BLOCKS - 1) * 4096);
    let detail = format!("verity-superblock: verity: file system of {needed} bytes, the tree covers {available}");
    sample.assert_refused("verity-superblock", &[&[("superblock", detail.as_str())], &after[..]].concat());

    // What the parser cannot know changes every digest.
    let mut sample = Sample::new(BLOCKS);
    sample.flip(offset + 88); // salt
    let detail = format!("corrupt: 4 of 4 blocks, the first is block 1 at byte {}", offset + 4096);
    sample.assert_refused("corrupt", &[("hash-tree", &detail), ("data", "needs hash-tree")]);
}

/// Trees over the image's own data that veritysetup makes when it is told to, in place of the one that was signed.
#[test]
fn trees_of_veritysetup_that_are_not_as_the_boot_wants_them_are_refused_by_name() {
    let blocks = |size: u32| format!("verity: block sizes {size} and {size}, a boot image has 4096 and 4096");
    for (options, detail) in [
        (&["--hash=sha512"][..], r#"verity: algorithm "sha512", expected "sha256""#.to_owned()),
        (&["--format=0"], "verity: hash type 0, expected 1".to_owned()),
        (&["--data-block-size=512", "--hash-block-size=512"], blocks(512)),
        (&["--data-block-size=1024", "--hash-block-size=1024"], blocks(1024)),
        // The digests begin where the superblock should be; the first is of a block of noise.
        (&["--no-superblock"], String::new()),
    ] {
        let mut sample = Sample::new(8);
        let data = sample.bytes[sample.offset(ROOT)..][..8 * 4096].to_vec();
        let hashes = sample.directory.path().join("hashes");
        let mut format = tool("veritysetup");
        format.args(["format", "--salt=-"]).args(options);
        run(format.arg(write(sample.directory.path(), "data", &data)).arg(&hashes));
        let tree = fs::read(&hashes).unwrap();
        let detail = if detail.is_empty() {
            format!("verity: signature \"{}\", expected \"verity\\x00\\x00\"", tree[..8].escape_ascii())
        } else {
            detail
        };
        let range = sample.range(VERITY);
        sample.bytes[range.clone()].fill(0);
        sample.bytes[range][..tree.len()].copy_from_slice(&tree);
        let verdict = sample.verdict(&[&pair().certificate]);
        let superblock =
            verdict["checks"].as_array().unwrap().iter().find(|check| check["check"] == "superblock").unwrap();
        assert_eq!(superblock["detail"], detail, "{options:?}");
        assert_eq!(
            (&verdict["reason"], &superblock["reason"]),
            (&json!("verity-superblock"), &json!("verity-superblock"))
        );
    }
}

#[test]
fn signer_is_unknown_to_another_certificate_and_known_among_several() {
    let sample = Sample::new(2);
    let other = make_pair(sample.directory.path(), "other", "rsa:2048", &[]);
    let detail = "signer-unknown: the signer is none of the given certificates";
    let expected = [("signer", detail), ("signature", "needs signer")];
    sample.assert_refused_by(&[&other.certificate], "signer-unknown", &expected);
    assert_eq!(sample.verdict(&[&other.certificate, &pair().certificate])["valid"], true);
}

/// Same name, same serial number, another key: an impostor's, or ours to somebody who trusts the impostor.
#[test]
fn certificate_of_the_same_name_but_another_key_rejects() {
    let mut sample = Sample::new(2);
    let options = ["-subj", "/CN=Test DEVELOPMENT", "-set_serial"];
    let serial = run(tool("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(&pair().certificate));
    let serial = format!("0x{}", String::from_utf8(serial).unwrap().trim().trim_start_matches("serial="));
    let impostor =
        make_pair(sample.directory.path(), "impostor", "rsa:2048", &[&options[..], &[&serial]].concat()).certificate;
    let fingerprint = "signer-unknown: certificateFingerprint is of another certificate";
    let expected = [("signer", fingerprint), ("signature", "needs signer")];
    sample.assert_refused_by(&[&impostor], "signer-unknown", &expected);

    let mut json = sample.json();
    json.as_object_mut().unwrap().remove("certificateFingerprint");
    sample.replace_json(&json);
    assert_eq!(sample.verdict(&[&pair().certificate])["valid"], true);
    let detail =
        format!("signature-rejected: the certificate's key did not sign this root hash ({})", impostor.display());
    sample.assert_refused_by(&[&impostor], "signature-rejected", &[("signature", &detail)]);
}

#[test]
fn digests_that_are_strong_enough_are_valid_and_others_malformed() {
    let mut sample = Sample::new(2);
    let signed = write(sample.directory.path(), "signed", sample.facts["root_hash"].as_str().unwrap());
    let sign = |sample: &mut Sample, digest: &str| {
        let mut openssl = tool("openssl");
        openssl.args(["smime", "-sign", "-nocerts", "-noattr", "-binary", "-outform", "der", "-md", digest, "-signer"]);
        let der = run(openssl.arg(&pair().certificate).arg("-inkey").arg(&pair().key).arg("-in").arg(&signed));
        sample.replace_pkcs7(&der);
    };
    for digest in ["sha384", "sha512"] {
        sign(&mut sample, digest);
        assert_eq!(sample.verdict(&[&pair().certificate])["valid"], true);
    }
    sign(&mut sample, "sha224");
    let detail = "signature-malformed: pkcs7: digest algorithm 2.16.840.1.101.3.4.2.4, \
                  expected SHA-256, SHA-384 or SHA-512";
    sample.assert_refused("signature-malformed", &[("signer", detail), ("signature", "needs signer")]);
}

/// Both tables anew without the first partition, as whoever cannot sign would write them.
#[test]
fn image_without_a_signature_partition_is_unsigned() {
    let sample = Sample::new(2);
    run(tool("sfdisk").arg("--delete").arg(&sample.path).arg("1"));
    let sample = Sample { bytes: fs::read(&sample.path).unwrap(), ..sample };
    let detail = ("partitions", "unsigned: ddi: no root-verity-sig partition");
    sample.assert_refused("unsigned", &[&[detail], &NOT_REACHED[..]].concat());
}

#[test]
fn truncated_image_is_no_ddi() {
    let mut sample = Sample::new(BLOCKS);
    let sectors = sample.bytes.len() / 512;
    sample.bytes.truncate(sample.offset(ROOT) + 4096);
    let last = sample.bytes.len() / 512 - 1;
    let at_end = sample.bytes[last * 512..][..8].escape_ascii().to_string();
    let detail = format!(
        "not-a-ddi: primary gpt: usable sectors 34 to {}, last sector is {last}; \
         backup gpt: signature \"{at_end}\", expected \"EFI PART\"",
        sectors - 34
    );
    sample.assert_refused("not-a-ddi", &[&[("partitions", detail.as_str())], &NOT_REACHED[..]].concat());

    sample.bytes.clear();
    let detail = ("partitions", "not-a-ddi: gpt: disk of 0 bytes, need 3072");
    sample.assert_refused("not-a-ddi", &[&[detail], &NOT_REACHED[..]].concat());
}

#[test]
fn image_whose_primary_table_is_lost_is_valid_by_its_backup() {
    let mut sample = Sample::new(2);
    sample.bytes[512..1024].fill(0);
    let verdict = sample.verdict(&[&pair().certificate]);
    assert_eq!(verdict["valid"], true);
    assert_eq!(verdict["checks"][0]["detail"], "backup table, 512-byte sectors");
}

#[test]
fn command_line_and_files_that_give_no_verdict() {
    let directory = directory();
    let certificate = pair().certificate.to_str().unwrap();
    let verify = |arguments: &[&str]| refusal(ddi(["verify"]).args(arguments).current_dir(directory.path()));
    let (text, status) = verify(&["image"]);
    assert!(
        text.starts_with("error: the following required arguments were not provided:\n  --cert <FILE>\n"),
        "{text}"
    );
    assert_eq!(status, Some(2));
    for (image, certificate, expected) in [
        ("none", certificate, "none: cannot open: No such file or directory (os error 2)"),
        ("/", certificate, "/: expected a regular file or a block device, found a directory"),
        ("none", "none.pem", "none.pem: cannot open: No such file or directory (os error 2)"),
    ] {
        assert_eq!(verify(&[image, "--cert", certificate]), (format!("ddi: {expected}\n"), Some(1)));
    }
}
