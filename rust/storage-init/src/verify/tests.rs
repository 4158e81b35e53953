// SPDX-License-Identifier: MIT OR Apache-2.0
//! Broken DDIs, held against a good one that `ddi build` made (tests/golden/make): each names its check.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]

use std::io::{Seek, SeekFrom, Write};

use super::*;

#[path = "../../../../tests/refusal_record.rs"]
mod refusal_record;

const SIGNED: &[u8] = include_bytes!("../../tests/golden/signed.raw");
const SIGNER: &[u8] = include_bytes!("../../tests/golden/signer.der");

fn describe_bytes(bytes: &[u8]) -> Result<(Described, Signer), Failure> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let image = ReadOnly::from_fd(file.into()).unwrap();
    let anchors = [Anchor::parse(SIGNER.to_vec()).unwrap()];
    describe(&image, &mut Table::new(), &anchors, &Blame("image")).map(|(described, signer, _)| (described, signer))
}

fn refusal(bytes: &[u8]) -> (Reason, String) {
    match describe_bytes(bytes) {
        Ok(_) => panic!("was not refused"),
        Err(failure) => recorded(failure),
    }
}

/// Puts a refusal into the table of docs/security.md.
fn recorded(Failure { reason, device, detail }: Failure) -> (Reason, String) {
    let test = refusal_record::current_test();
    refusal_record::record("storage-init", &test, reason.name(), &device, &detail).unwrap();
    (reason, detail.into())
}

fn layout() -> Layout {
    describe_bytes(SIGNED).unwrap_or_else(|failure| panic!("{failure:?}")).0.layout
}

/// The golden image with `edit` applied to the bytes of one partition.
fn edited(range: ByteRange, edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = SIGNED.to_vec();
    let (start, len) = (usize::try_from(range.offset).unwrap(), usize::try_from(range.len).unwrap());
    edit(&mut bytes[start..start + len]);
    bytes
}

/// The golden image with `edit` applied to its table, checksums made anew.
fn repartitioned(edit: impl FnOnce(&mut gptman::GPT)) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(SIGNED).unwrap();
    let mut gpt = gptman::GPT::read_from(&mut file, 512).unwrap();
    edit(&mut gpt);
    gpt.write_into(&mut file).unwrap();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes
}

/// The table's slot of the partition at `range`.
fn slot(gpt: &gptman::GPT, range: ByteRange) -> u32 {
    gpt.iter().find(|(_, entry)| entry.starting_lba * 512 == range.offset).unwrap().0
}

/// Replaces the first `from` by `to`, which is as long.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[test]
fn the_golden_image_is_described_and_its_signer_known() {
    let (described, signer) = describe_bytes(SIGNED).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(signer.common_name.as_str(), "storage-init golden DEVELOPMENT");
    assert!(signer.development);
    assert!(described.superblock.data_blocks * 4096 <= described.layout.root.len);
    assert!(described.layout.verity.is_aligned(4096), "the tree is addressed by 4096-byte blocks");
}

#[test]
fn without_a_signature_partition_it_is_unsigned() {
    let signature = layout().signature;
    let bytes = repartitioned(|gpt| {
        let slot = slot(gpt, signature);
        gpt.remove(slot).unwrap();
    });
    assert_eq!(refusal(&bytes), (Reason::Unsigned, "ddi: no root-verity-sig partition".into()));
}

#[test]
fn without_a_tree_it_is_not_a_ddi() {
    let verity = layout().verity;
    let bytes = repartitioned(|gpt| {
        let slot = slot(gpt, verity);
        gpt.remove(slot).unwrap();
    });
    assert_eq!(refusal(&bytes), (Reason::NotADdi, "ddi: no root-verity partition".into()));
}

#[test]
fn the_backup_table_serves_when_the_primary_is_damaged() {
    let mut bytes = SIGNED.to_vec();
    bytes[512 + 24] ^= 1;
    assert!(describe_bytes(&bytes).is_ok());
}

#[test]
fn an_image_cut_in_each_of_its_partitions_names_the_table() {
    // A file that was not copied to its end has no backup, and its last partition ends outside of it.
    let layout = layout();
    for range in [layout.signature, layout.verity, layout.root] {
        let len = usize::try_from(range.offset + range.len / 2).unwrap();
        let (reason, detail) = refusal(&SIGNED[..len]);
        assert_eq!(reason, Reason::NotADdi, "{detail}");
    }
}

#[test]
fn garbage_and_nothing_are_not_a_ddi() {
    assert_eq!(refusal(&[0x5a; 1 << 16]).0, Reason::NotADdi);
    assert_eq!(refusal(&[]).0, Reason::NotADdi);
}

#[test]
fn a_flipped_bit_in_the_root_hash_no_longer_fits_the_partitions() {
    let (described, _) = describe_bytes(SIGNED).unwrap_or_else(|failure| panic!("{failure:?}"));
    let hash = described.signature.root_hash.to_string();
    let other = format!("{}{}", if hash.starts_with('0') { '1' } else { '0' }, &hash[1..]);
    let bytes = edited(described.layout.signature, |partition| replace(partition, &hash, &other));
    assert_eq!(refusal(&bytes).0, Reason::RootHashMismatch);
}

#[test]
fn a_signature_that_is_no_json_is_malformed() {
    let bytes = edited(layout().signature, |partition| partition[0] = b'[');
    assert_eq!(refusal(&bytes).0, Reason::SignatureMalformed);
}

#[test]
fn a_signature_that_is_no_pkcs7_is_malformed() {
    // The first byte of the DER is in the first digits of the base64.
    let bytes = edited(layout().signature, |partition| replace(partition, "\"signature\":\"M", "\"signature\":\"A"));
    assert_eq!(refusal(&bytes).0, Reason::SignatureMalformed);
}

#[test]
fn a_signer_that_is_not_configured_is_unknown() {
    let image = {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(SIGNED).unwrap();
        ReadOnly::from_fd(file.into()).unwrap()
    };
    let refused = describe(&image, &mut Table::new(), &[], &Blame("image"));
    let Err(failure) = refused else { panic!("was not refused") };
    let expected = (Reason::SignerUnknown, "the signer is none of the configured certificates".to_owned());
    assert_eq!(recorded(failure), expected);
}

#[test]
fn a_tree_with_another_hash_is_refused_by_its_name() {
    let bytes = edited(layout().verity, |partition| replace(partition, "sha256", "sha512"));
    let (reason, detail) = refusal(&bytes);
    assert_eq!(reason, Reason::VeritySuperblock);
    assert!(detail.contains("sha512"), "{detail}");
}

#[test]
fn a_tree_for_more_data_than_there_is_does_not_fit() {
    let bytes = edited(layout().verity, |partition| partition[72..80].copy_from_slice(&1_000_000_u64.to_le_bytes()));
    assert_eq!(refusal(&bytes).0, Reason::VeritySuperblock);
}

#[test]
fn a_tree_of_small_blocks_is_refused() {
    let bytes = edited(layout().verity, |partition| partition[64..68].copy_from_slice(&512_u32.to_le_bytes()));
    assert_eq!(refusal(&bytes).0, Reason::VeritySuperblock);
}

#[test]
fn a_tree_of_the_old_format_is_refused() {
    let bytes = edited(layout().verity, |partition| partition[12..16].copy_from_slice(&0_u32.to_le_bytes()));
    let (reason, detail) = refusal(&bytes);
    assert_eq!(reason, Reason::VeritySuperblock);
    assert!(detail.contains("type"), "{detail}");
}

#[test]
fn a_tree_without_a_superblock_is_refused() {
    let bytes = edited(layout().verity, |partition| partition[..512].fill(0));
    let (reason, detail) = refusal(&bytes);
    assert_eq!(reason, Reason::VeritySuperblock);
    assert!(detail.contains("magic") || detail.contains("signature"), "{detail}");
}

#[test]
fn a_fingerprint_of_another_certificate_is_refused() {
    let (described, signer) = describe_bytes(SIGNED).unwrap_or_else(|failure| panic!("{failure:?}"));
    let claimed = Hex(&signer.sha256).to_string();
    let other = format!("{}{}", if claimed.starts_with('0') { '1' } else { '0' }, &claimed[1..]);
    let bytes = edited(described.layout.signature, |partition| replace(partition, &claimed, &other));
    let expected = (Reason::SignerUnknown, "certificateFingerprint is of another certificate".to_owned());
    assert_eq!(refusal(&bytes), expected);
}

/// `signature = user-space`: the check itself, which the kernel makes in the other path.
#[cfg(feature = "user-signature")]
mod in_user_space {
    use super::*;

    fn check(bytes: &[u8]) -> Result<(), (Reason, String)> {
        let (described, _) = describe_bytes(bytes).unwrap_or_else(|failure| panic!("{failure:?}"));
        let anchor = Anchor::parse(SIGNER.to_vec()).unwrap();
        user_space::check(&described.signature, &anchor, &Blame("image")).map(|_| ()).map_err(recorded)
    }

    #[test]
    fn what_ddi_build_signed_is_verified() {
        assert_eq!(check(SIGNED), Ok(()));
    }

    #[test]
    fn a_flipped_bit_in_the_signature_is_rejected() {
        // The last digit of the base64 that is no padding: in the signature's last bytes, which the DER ends with.
        let bytes = edited(layout().signature, |partition| {
            let end = partition.iter().rposition(|byte| *byte == b'}').unwrap();
            let quote = partition[..end].iter().rposition(|byte| *byte == b'"').unwrap();
            let digit = partition[..quote].iter().rposition(|byte| *byte != b'=').unwrap() - 4;
            partition[digit] = if partition[digit] == b'A' { b'B' } else { b'A' };
        });
        let expected = (Reason::SignatureRejected, "the certificate's key did not sign this root hash".to_owned());
        assert_eq!(check(&bytes), Err(expected));
    }
}
