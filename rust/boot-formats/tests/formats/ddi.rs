// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layouts of DDIs: one that systemd-repart made, and what is not one.

use crate::golden::{self, Disk};
use boot_formats::ddi::{self, Error, Layout};
use boot_formats::dps::{self, Architecture, ImagePart, Role};
use boot_formats::gpt::{Partition, Table, Which};
use boot_formats::verity::RootHash;
use boot_formats::{ByteRange, Guid, signature_json};

fn partition(number: u32, type_guid: Guid, offset: u64, len: u64) -> Partition {
    let guid = Guid::from_u128(u128::from(number));
    let range = ByteRange { offset, len };
    Partition { number, type_guid, guid, range, attributes: 0, label: heapless::String::new() }
}

fn table(types: &[Guid]) -> Table {
    let partitions = (1..).zip(types).map(|(n, guid)| partition(n, *guid, u64::from(n) << 20, 4096));
    Table { disk_guid: Guid::ZERO, partitions: partitions.collect() }
}

const WHOLE: [Guid; 3] = [dps::ROOT_ARM64_VERITY_SIG, dps::ROOT_ARM64_VERITY, dps::ROOT_ARM64];

#[test]
fn an_image_of_systemd_repart_is_a_ddi() {
    let table = Disk::open("repart").table(Which::Primary).unwrap();
    let layout = ddi::layout(&table).unwrap();
    assert_eq!(layout.root, ByteRange { offset: 40 * 512, len: 1264 * 512 });
    assert_eq!(layout.verity, ByteRange { offset: 1304 * 512, len: 1264 * 512 });
    assert_eq!(layout.signature, ByteRange { offset: 2568 * 512, len: 32 * 512 });

    let signature = signature_json::parse(&golden::bytes("repart.json")).unwrap();
    assert_eq!(layout.check_root_hash(&signature.root_hash), Ok(()));
    let superblock = boot_formats::verity::parse(&golden::bytes("repart.verity")).unwrap();
    assert_eq!(superblock.require_4k(), Ok(()));
    assert_eq!(superblock.check_fits(layout.root, layout.verity), Ok(()));
}

#[test]
fn parts_may_lie_in_any_order() {
    let layout = ddi::layout(&table(&WHOLE)).unwrap();
    let range = |n: u64| ByteRange { offset: n << 20, len: 4096 };
    let expected = Layout {
        root: range(3),
        verity: range(2),
        signature: range(1),
        root_guid: Guid::from_u128(3),
        verity_guid: Guid::from_u128(2),
    };
    assert_eq!(layout, expected);
}

#[test]
fn tables_that_are_not_of_a_ddi() {
    let [sig, verity, root] = WHOLE;
    let foreign = Guid::from_u128(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709);
    let foreign_sig = Guid::from_u128(0x41092b05_9fc8_4523_994f_2def0408b176);
    let stranger = Guid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff);
    for (types, error, line) in [
        (&[][..], Error::Missing(Role::Root), "ddi: no root partition"),
        (&[root, sig], Error::Missing(Role::RootVerity), "ddi: no root-verity partition"),
        // Unsigned: what a systemd image without a signature looks like.
        (&[root, verity], Error::Missing(Role::RootVeritySig), "ddi: no root-verity-sig partition"),
        (&[root, verity, root], Error::Duplicate(Role::Root), "ddi: second root partition"),
        (&[root, verity, sig, sig], Error::Duplicate(Role::RootVeritySig), "ddi: second root-verity-sig partition"),
        (
            &[foreign, verity, sig],
            Error::ForeignArchitecture(Architecture::X86_64, ImagePart::Root),
            "ddi: root partition is for x86-64, expected arm64",
        ),
        (
            &[root, verity, foreign_sig],
            Error::ForeignArchitecture(Architecture::X86_64, ImagePart::RootVeritySig),
            "ddi: root-verity-sig partition is for x86-64, expected arm64",
        ),
        (
            &[root, verity, sig, dps::ESP],
            Error::Unexpected { number: 4, role: Role::Esp, type_guid: dps::ESP },
            "ddi: partition 4 of a boot image is esp, type c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        ),
        (
            &[dps::USR_ARM64, root, verity, sig],
            Error::Unexpected { number: 1, role: Role::Usr, type_guid: dps::USR_ARM64 },
            "ddi: partition 1 of a boot image is usr, type b0e01050-ee5f-4390-949a-9101b17104e9",
        ),
        (
            &[stranger],
            Error::Unexpected { number: 1, role: Role::Unknown, type_guid: stranger },
            "ddi: partition 1 of a boot image is unknown, type 00112233-4455-6677-8899-aabbccddeeff",
        ),
    ] {
        assert_eq!(ddi::layout(&table(types)), Err(error));
        assert_eq!(error.to_string(), line);
    }
}

#[test]
fn parts_must_be_whole_blocks() {
    let mut table = table(&WHOLE);
    for (range, line) in [
        (
            ByteRange { offset: 512, len: 4096 },
            "ddi: root-verity partition is 4096 bytes at 512, expected multiples of 4096",
        ),
        (
            ByteRange { offset: 4096, len: 4095 },
            "ddi: root-verity partition is 4095 bytes at 4096, expected multiples of 4096",
        ),
    ] {
        table.partitions[1].range = range;
        let error = ddi::layout(&table).unwrap_err();
        assert_eq!(error, Error::Unaligned { role: Role::RootVerity, range });
        assert_eq!(error.to_string(), line);
    }
}

#[test]
fn guids_must_be_those_of_the_root_hash() {
    let hash = "0d80ac07d55ba8a9155aba2c94f34b7243f0c554cb18eb02bbe28a9d9b3f6dd8";
    let root_hash = RootHash::parse_hex(hash).unwrap();
    let (root_guid, verity_guid) = dps::partition_guids(&root_hash);
    assert_eq!(root_guid.to_string(), "0d80ac07-d55b-a8a9-155a-ba2c94f34b72");
    assert_eq!(verity_guid.to_string(), "43f0c554-cb18-eb02-bbe2-8a9d9b3f6dd8");

    let layout = Layout { root_guid, verity_guid, ..ddi::layout(&table(&WHOLE)).unwrap() };
    assert_eq!(layout.check_root_hash(&root_hash), Ok(()));
    let found = Guid::from_u128(7);
    let wrong = Layout { root_guid: found, ..layout }.check_root_hash(&root_hash).unwrap_err();
    assert_eq!(wrong, Error::RootGuidMismatch { expected: root_guid, found });
    assert_eq!(
        wrong.to_string(),
        "ddi: root partition is 00000000-0000-0000-0000-000000000007, root hash says \
         0d80ac07-d55b-a8a9-155a-ba2c94f34b72"
    );
    let wrong = Layout { verity_guid: found, ..layout }.check_root_hash(&root_hash).unwrap_err();
    assert_eq!(wrong, Error::VerityGuidMismatch { expected: verity_guid, found });
    assert_eq!(
        wrong.to_string(),
        "ddi: root-verity partition is 00000000-0000-0000-0000-000000000007, root hash says \
         43f0c554-cb18-eb02-bbe2-8a9d9b3f6dd8"
    );
}
