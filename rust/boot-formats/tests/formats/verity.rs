// SPDX-License-Identifier: MIT OR Apache-2.0
//! Superblocks of veritysetup, and the shape of the trees it made.

use crate::golden;
use boot_formats::verity::{self, HexError, RootHash, levels};

const GOOD: [&str; 8] =
    ["one-block", "one-level", "two-levels", "three-levels", "unsalted", "long-salt", "small-blocks", "small-data"];

#[test]
fn a_superblock_says_what_veritysetup_printed() {
    for name in GOOD {
        let superblock = verity::parse(&golden::bytes(&format!("{name}.verity"))).unwrap();
        let facts = golden::facts(&format!("{name}.txt"));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let salt = if superblock.salt.is_empty() { "-".to_owned() } else { hex(&superblock.salt) };
        assert_eq!(hex(&superblock.uuid), facts["UUID"].replace('-', ""), "{name}");
        assert_eq!(superblock.data_blocks.to_string(), facts["Data blocks"], "{name}");
        assert_eq!(superblock.data_block_size.to_string(), facts["Data block size"], "{name}");
        assert_eq!(superblock.hash_block_size.to_string(), facts["Hash block size"], "{name}");
        assert_eq!(salt, facts["Salt"], "{name}");
    }
}

#[test]
fn trees_are_as_large_as_veritysetup_made_them() {
    for name in GOOD {
        let superblock = verity::parse(&golden::bytes(&format!("{name}.verity"))).unwrap();
        let facts = golden::facts(&format!("{name}.txt"));
        let blocks: u64 = levels(superblock.data_blocks, superblock.hash_block_size).unwrap().iter().sum();
        assert_eq!(blocks.to_string(), facts["Hash blocks"], "{name}");
        let bytes = superblock.tree_bytes().unwrap();
        assert_eq!(format!("{bytes} [bytes]"), facts["Hash device size"], "{name}");
    }
}

#[test]
fn a_tree_covers_a_file_system_that_is_not_longer() {
    let mut superblock = verity::parse(&golden::bytes("three-levels.verity")).unwrap();
    let bytes = 16385 * 4096;
    assert_eq!(superblock.check_covers(bytes), Ok(()));
    assert_eq!(superblock.check_covers(bytes - 4096), Ok(()));
    let error = verity::Error::FileSystemDoesNotFit { needed: bytes + 1, available: bytes };
    assert_eq!(superblock.check_covers(bytes + 1), Err(error));
    assert_eq!(error.to_string(), "verity: file system of 67112961 bytes, the tree covers 67112960");
    superblock.data_blocks = u64::MAX;
    assert_eq!(superblock.check_covers(u64::MAX), Ok(()), "more than any file system has");
}

#[test]
fn levels_of_trees() {
    let levels = |data_blocks, size| levels(data_blocks, size).map(|levels| levels.to_vec());
    assert_eq!(levels(0, 4096), Ok(vec![]));
    assert_eq!(levels(1, 4096), Ok(vec![]));
    assert_eq!(levels(2, 4096), Ok(vec![1]));
    assert_eq!(levels(128, 4096), Ok(vec![1]));
    assert_eq!(levels(129, 4096), Ok(vec![1, 2]));
    assert_eq!(levels(16385, 4096), Ok(vec![1, 2, 129]));
    assert_eq!(levels(u64::MAX, 4096).unwrap().len(), 10);
    assert_eq!(levels(u64::MAX, 512).unwrap().len(), verity::MAX_LEVELS);
    assert_eq!(levels(1, 0), Err(verity::Error::HashBlockSize { found: 0 }));
    assert_eq!(levels(1, 8192), Err(verity::Error::HashBlockSize { found: 8192 }));
}

#[test]
fn a_root_hash_is_64_lower_case_digits_and_nothing_else() {
    let text = golden::facts("two-levels.txt").remove("Root hash").unwrap();
    let root_hash = RootHash::parse_hex(&text).unwrap();
    assert_eq!(root_hash.to_string(), text);
    assert_eq!(root_hash.as_hex(), *text.as_bytes());
    assert_eq!(RootHash::new(*root_hash.as_bytes()), root_hash);
    assert_eq!(format!("{root_hash:?}"), format!("RootHash({text})"));

    let long = format!("{text}\n");
    let upper = text.to_uppercase();
    for (text, error, line) in [
        ("", HexError::Length { found: 0 }, "0 characters, expected 64 hexadecimal digits"),
        (&long, HexError::Length { found: 65 }, "65 characters, expected 64 hexadecimal digits"),
        (&upper, HexError::Digit { offset: 2, found: b'E' }, "'E' at character 2 is no lower-case hexadecimal digit"),
    ] {
        assert_eq!(RootHash::parse_hex(text), Err(error));
        assert_eq!(error.to_string(), line);
    }
}
