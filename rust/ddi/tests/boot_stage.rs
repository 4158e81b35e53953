// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the boot stage's parsers find in an image is what `ddi build` says it put there.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

mod support;

use std::fs;

use boot_formats::gpt::{self, Geometry, Table, Which};
use boot_formats::verity::{self, RootHash, SUPERBLOCK_SIZE};
use boot_formats::{ByteRange, ddi, pkcs7, signature_json, x509};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use support::{build, directory, noise_erofs, pair, run, tool, write};

fn slice(image: &[u8], range: ByteRange) -> &[u8] {
    &image[usize::try_from(range.offset).unwrap()..][..usize::try_from(range.len).unwrap()]
}

fn table(image: &[u8], which: Which) -> Table {
    let geometry = Geometry::new(512, image.len().try_into().unwrap()).unwrap();
    let header = gpt::parse_header(slice(image, geometry.header(which)), geometry, which).unwrap();
    gpt::parse_entries(&header, geometry, slice(image, header.entry_array())).unwrap()
}

/// The root hash by the definition, not by the tree: levels of digests, each block of them hashed again.
fn root_hash_by_definition(data: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut level = data.to_vec();
    loop {
        let digests: Vec<[u8; 32]> = level
            .chunks(4096)
            .map(|block| Sha256::new().chain_update(salt).chain_update(block).finalize().into())
            .collect();
        if let [root] = digests[..] {
            return root;
        }
        level = digests.concat();
        level.resize(level.len().next_multiple_of(4096), 0);
    }
}

fn assert_read_as_built(blocks: u32, salt: Option<&[u8]>) {
    let directory = directory();
    let data = noise_erofs(blocks);
    let erofs = write(directory.path(), "erofs", &data);
    let option = salt.map(|salt| format!("--salt={}", ::ddi::signature::hex(salt)));
    let options: Vec<_> = option.iter().map(String::as_str).collect();
    let facts = build("--erofs", &erofs, &directory.path().join("out"), &options);
    let image = fs::read(directory.path().join("out")).unwrap();

    let table = table(&image, Which::Primary);
    assert_eq!(table, self::table(&image, Which::Backup));
    let layout = ddi::layout(&table).unwrap();
    for (fact, partition) in facts["partitions"].as_array().unwrap().iter().zip(&table.partitions) {
        assert_eq!(fact["label"], partition.label.as_str());
        assert_eq!(fact["uuid"], partition.guid.to_string());
        assert_eq!(fact["offset"], partition.range.offset);
        assert_eq!(fact["size"], partition.range.len);
        assert_eq!(partition.attributes, 1 << 60, "read-only, and nothing else");
    }

    let superblock = verity::parse(&slice(&image, layout.verity)[..SUPERBLOCK_SIZE]).unwrap();
    superblock.require_4k().unwrap();
    superblock.check_fits(layout.root, layout.verity).unwrap();
    assert_eq!(superblock.tree_bytes(), Some(layout.verity.len));
    assert_eq!(superblock.data_blocks, u64::from(blocks));
    assert_eq!(facts["salt"], ::ddi::signature::hex(&superblock.salt));
    assert!(slice(&image, layout.root) == data);
    let root_hash = RootHash::new(root_hash_by_definition(&data, &superblock.salt));
    assert_eq!(facts["root_hash"], root_hash.to_string());
    layout.check_root_hash(&root_hash).unwrap();

    let signature = signature_json::parse(slice(&image, layout.signature)).unwrap();
    assert_eq!(signature.root_hash, root_hash);
    let der = run(tool("openssl").args(["x509", "-outform", "der", "-in"]).arg(&pair().certificate));
    let certificate = x509::parse(&der).unwrap();
    assert_eq!(signature.certificate_fingerprint, Some(certificate.fingerprint()));
    assert_eq!(facts["signer"]["sha256"], ::ddi::signature::hex(&certificate.fingerprint()));
    assert_eq!(facts["signer"]["common_name"].as_str(), certificate.subject_common_name);
    assert!(certificate.is_signer(&pkcs7::sole_signer(&signature.pkcs7).unwrap()));
    assert_only_zeros_between(&image, &layout);
}

/// No byte of this machine's memory or of an older file gets into the gaps.
fn assert_only_zeros_between(image: &[u8], layout: &ddi::Layout) {
    // Behind the MBR's code area, the primary entries, and the hash tree, up to the 33 sectors of the backup.
    let end = |range: ByteRange| usize::try_from(range.end().unwrap()).unwrap();
    for gap in [0..440, 34 * 512..20480, end(layout.verity)..image.len() - 33 * 512] {
        assert!(image[gap.clone()].iter().all(|byte| *byte == 0), "{gap:?}");
    }
    assert_eq!(image.len() % 4096, 0);
}

#[test]
fn smallest_image_is_read_as_it_was_built() {
    assert_read_as_built(1, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn image_is_read_as_it_was_built(
        blocks in 2_u32..700,
        salt in prop::option::of(prop::collection::vec(any::<u8>(), 0..=256)),
    ) {
        assert_read_as_built(blocks, salt.as_deref());
    }
}
