// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of a DDI, against the rule spelt out: the three partitions once each, whole blocks, nothing else.
//!
//! Input: a root hash, then partitions of a type by number, a GUID by choice, offset and length.
#![no_main]

use boot_formats::ddi::{self, ALIGNMENT};
use boot_formats::gpt::{Partition, Table};
use boot_formats::verity::RootHash;
use boot_formats::{ByteRange, Guid, dps};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

const PARTS: [Guid; 3] = [dps::ROOT_ARM64, dps::ROOT_ARM64_VERITY, dps::ROOT_ARM64_VERITY_SIG];
/// x86-64 root, so that another architecture is among them.
const FOREIGN: Guid = Guid::from_u128(0x4f68_bce3_e8cd_4db1_96e7_fbca_f984_b709);

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let root_hash = RootHash::new(input.array()?);
    let table = table(&mut input, &root_hash);
    let is_aligned = |partition: &Partition| {
        partition.range.offset.is_multiple_of(ALIGNMENT) && partition.range.len.is_multiple_of(ALIGNMENT)
    };
    let count = |guid: Guid| table.partitions.iter().filter(|partition| partition.type_guid == guid).count();
    let expected = table.partitions.len() == 3
        && PARTS.iter().all(|part| count(*part) == 1)
        && table.partitions.iter().all(is_aligned);
    let found = ddi::layout(&table);
    assert_eq!(found.is_ok(), expected, "{found:?} of {table:?}");
    let layout = found.ok()?;

    let part = |guid: Guid| table.partitions.iter().find(|partition| partition.type_guid == guid);
    let [root, verity, signature] = PARTS.map(|guid| part(guid).expect("counted above"));
    assert_eq!((layout.root, layout.verity, layout.signature), (root.range, verity.range, signature.range));
    assert_eq!((layout.root_guid, layout.verity_guid), (root.guid, verity.guid));
    // By the text: 32 digits and 32 digits, without the dashes.
    let digits = [layout.root_guid, layout.verity_guid].map(|guid| guid.to_string().replace('-', "")).concat();
    assert_eq!(layout.check_root_hash(&root_hash).is_ok(), digits == root_hash.to_string());
    Some(())
}

fn table(input: &mut Input<'_>, root_hash: &RootHash) -> Table {
    let (first, last) = dps::partition_guids(root_hash);
    let mut table = Table { disk_guid: Guid::ZERO, partitions: heapless::Vec::new() };
    while let Some([kind, guid]) = input.array() {
        let (Some(offset), Some(len)) = (input.number(), input.number()) else { break };
        let partition = Partition {
            number: table.partitions.len() as u32 + 1,
            type_guid: match kind % 8 {
                3 => dps::ESP,
                4 => FOREIGN,
                5 => Guid::from_disk([kind; 16]),
                part => PARTS[usize::from(part) % PARTS.len()],
            },
            guid: match guid % 4 {
                0 => first,
                1 => last,
                _ => Guid::from_disk([guid; 16]),
            },
            range: ByteRange { offset, len },
            attributes: 0,
            label: heapless::String::new(),
        };
        if table.partitions.push(partition).is_err() {
            break;
        }
    }
    table
}
