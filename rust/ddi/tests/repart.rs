// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that systemd-repart made and signed: `ddi inspect` and `ddi verify` read it as the boot stage does.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Pair, ddi, directory, make_tree, pair, run, tool, write};

/// Makes `repart.raw` of a small tree, signed by the shared pair.
fn repart(directory: &Path) -> PathBuf {
    let (tree, erofs, image) = (directory.join("tree"), directory.join("root.erofs"), directory.join("repart.raw"));
    make_tree(&tree);
    run(tool("mkfs.erofs").args(["--quiet", "-zlz4hc"]).arg(&erofs).arg(&tree));
    let definitions = directory.join("repart.d");
    fs::create_dir(&definitions).unwrap();
    for (name, partition, verity) in [
        ("1.conf", "root-arm64", format!("data\nCopyBlocks={}", erofs.display())),
        ("2.conf", "root-arm64-verity", "hash".to_owned()),
        ("3.conf", "root-arm64-verity-sig", "signature".to_owned()),
    ] {
        let text = format!("[Partition]\nType={partition}\nVerityMatchKey=root\nVerity={verity}\n");
        write(&definitions, name, text);
    }
    let Pair { key, certificate } = pair();
    let mut repart = tool("systemd-repart");
    repart.args(["--empty=create", "--size=auto", "--dry-run=no", "--offline=yes", "--no-pager"]);
    repart.arg(format!("--definitions={}", definitions.display()));
    repart.arg(format!("--private-key={}", key.display())).arg(format!("--certificate={}", certificate.display()));
    run(repart.env("TMPDIR", directory).arg(&image));
    image
}

fn verdict(image: &Path) -> Value {
    let mut command = ddi(["verify", "--json", "--cert"]);
    let output = command.arg(&pair().certificate).arg(image).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn image_of_systemd_repart_is_valid_and_a_bad_block_in_it_is_found() {
    let directory = directory();
    let image = repart(directory.path());
    let facts: Value = serde_json::from_slice(&run(ddi(["inspect", "--json"]).arg(&image))).unwrap();
    assert_eq!(facts["root_hash_in_uuids"], true);
    // What repart does and `ddi build` does not: the certificate is inside.
    let embedded = &facts["signer"]["embedded_certificate"]["sha256"];
    let valid = verdict(&image);
    assert_eq!(valid["valid"], true, "{valid}");
    assert_eq!(&valid["signer"]["sha256"], embedded);
    assert_eq!(valid["root_hash"], facts["root_hash"]);

    let partitions = facts["partitions"].as_array().unwrap();
    let root = partitions.iter().find(|partition| partition["role"] == "root").unwrap();
    let offset = usize::try_from(root["offset"].as_u64().unwrap()).unwrap();
    let mut bytes = fs::read(&image).unwrap();
    bytes[offset + 5000] ^= 1;
    fs::write(&image, bytes).unwrap();
    let bad = verdict(&image);
    assert_eq!(bad["reason"], "corrupt");
    let check = bad["checks"].as_array().unwrap().iter().find(|check| check["check"] == "data").unwrap();
    assert_eq!(check["bad_blocks"]["first_block"], 1, "{check}");
    assert_eq!(check["bad_blocks"]["count"], 1, "{check}");
}
