// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes of a finished DDI's bytes, each found by parsing the image.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boot_formats::ddi::{self, Layout};
use boot_formats::dps::Role;
use boot_formats::gpt::{self, Geometry, Which};
use boot_formats::range::ByteRange;
use boot_formats::{signature_json, verity};
use sha2::{Digest, Sha256};

use crate::call;
use crate::keys::Keys;
use crate::tools::Tools;
use crate::userspace::late_contents;

/// Where an erofs superblock begins in its file system (fs/erofs/erofs_fs.h).
const EROFS_SUPERBLOCK: u64 = 1024;
/// Where the number of data blocks is in a verity superblock (cryptsetup's lib/verity/verity.c).
const DATA_BLOCKS: u64 = 72;
/// Bytes of the late file that are looked for: no other place has them by chance.
const NEEDLE: usize = 64;
/// Sector size of a DDI's own partition table.
const SECTOR: u32 = 512;

/// Removes the signature partition from the table, by sfdisk.
pub fn remove_signature(tools: &Tools, path: &Path) -> Result<()> {
    let table = table(&open(path)?)?;
    let signature = table.partitions.iter().find(|partition| Role::of(partition.type_guid) == Role::RootVeritySig);
    let number = signature.context("the image has no signature partition to remove")?.number;
    let mut sfdisk = tools.command("sfdisk", &[path])?;
    call::run("sfdisk", sfdisk.args(["--quiet", "--delete"]).arg(path).arg(number.to_string()))
}

/// Replaces the signature by one that holds the signer's certificate, as systemd-repart makes them; openssl makes this one.
pub fn embed_certificate(tools: &Tools, path: &Path, keys: &Keys) -> Result<()> {
    let file = open(path)?;
    let range = layout(&file)?.signature;
    let bytes = read(&file, range)?;
    let json = std::str::from_utf8(bytes.split(|&byte| byte == 0).next().unwrap_or_default())?;
    let root_hash = member(json, "rootHash")?;
    let signed = path.with_extension("root-hash");
    std::fs::write(&signed, root_hash).with_context(|| format!("cannot write {}", signed.display()))?;
    let mut openssl = tools.command("openssl", &[&signed, &keys.certificate_pem, &keys.key_pem])?;
    openssl.args(["smime", "-sign", "-binary", "-noattr", "-outform", "der", "-in"]).arg(&signed);
    openssl.arg("-signer").arg(&keys.certificate_pem).arg("-inkey").arg(&keys.key_pem);
    let signature = call::output("openssl smime", &mut openssl)?;
    let fingerprint = fingerprint(&keys.certificate_der)?;
    let signature = BASE64.encode(signature);
    let mut json =
        format!(r#"{{"rootHash":"{root_hash}","certificateFingerprint":"{fingerprint}","signature":"{signature}"}}"#)
            .into_bytes();
    ensure!(json.len() <= bytes.len(), "the signature does not fit into its partition");
    json.resize(bytes.len(), 0);
    Ok(file.write_all_at(&json, range.offset)?)
}

/// SHA-256 of a certificate.
fn fingerprint(certificate_der: &Path) -> Result<String> {
    let der = std::fs::read(certificate_der).with_context(|| format!("cannot read {}", certificate_der.display()))?;
    Ok(Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Flips the lowest bit of the signature's last byte: in a PKCS#7 without attributes, that is the end of the DER.
pub fn flip_signature_bit(path: &Path) -> Result<()> {
    edit_json(path, |json| {
        let value = member(json, "signature")?;
        let mut der = BASE64.decode(value).context("the signature is not base64")?;
        *der.last_mut().context("the signature is empty")? ^= 1;
        Ok(json.replace(value, &BASE64.encode(der)))
    })
}

/// Flips the lowest bit of the last digit of `rootHash`: it stays a hexadecimal digit.
pub fn flip_json_root_hash_bit(path: &Path) -> Result<()> {
    edit_json(path, |json| {
        let value = member(json, "rootHash")?;
        let (start, last) = value.split_at_checked(value.len().saturating_sub(1)).context("the root hash is empty")?;
        let digit = u8::from_str_radix(last, 16).context("the root hash is not hexadecimal")?;
        Ok(json.replace(value, &format!("{start}{:x}", digit ^ 1)))
    })
}

/// Has the JSON name another certificate as the signer's.
pub fn claim_fingerprint(path: &Path, certificate_der: &Path) -> Result<()> {
    let claimed = fingerprint(certificate_der)?;
    edit_json(path, |json| Ok(json.replace(member(json, "certificateFingerprint")?, &claimed)))
}

/// Flips a bit in the first block of the tree, the one whose digest is the root hash.
pub fn flip_tree_bit(path: &Path) -> Result<()> {
    let file = open(path)?;
    let verity = layout(&file)?.verity;
    let superblock = verity::parse(&read(&file, ByteRange { offset: verity.offset, len: 512 })?)?;
    let start = superblock.hash_start_block() * u64::from(superblock.hash_block_size);
    flip(&file, verity.offset + start)
}

/// Takes one from the number of data blocks in the verity superblock, of which the root hash does not speak.
pub fn count_one_block_less(path: &Path) -> Result<()> {
    let file = open(path)?;
    let verity = layout(&file)?.verity;
    let superblock = verity::parse(&read(&file, ByteRange { offset: verity.offset, len: 512 })?)?;
    file.write_all_at(&(superblock.data_blocks - 1).to_le_bytes(), verity.offset + DATA_BLOCKS)?;
    Ok(())
}

/// Flips a bit of the erofs superblock, which every mount reads.
pub fn flip_superblock_bit(path: &Path) -> Result<()> {
    let file = open(path)?;
    flip(&file, layout(&file)?.root.offset + EROFS_SUPERBLOCK)
}

/// Flips a bit in the middle of the late file.
pub fn flip_late_bit(path: &Path) -> Result<()> {
    let file = open(path)?;
    let root = layout(&file)?.root;
    let contents = late_contents();
    let needle = contents.get(contents.len() / 2..).and_then(|rest| rest.get(..NEEDLE)).context("no late contents")?;
    let data = read(&file, root)?;
    let Some(offset) = find(&data, needle) else {
        bail!("{}: the late file's bytes are not in the root file system as they are", path.display());
    };
    flip(&file, root.offset + offset as u64)
}

/// Writes a copy to `copy` whose root partition begins at byte `root`, behind all that was there: the same DDI in a large file
/// with a hole in it.
pub fn spread(tools: &Tools, path: &Path, copy: &Path, root: u64) -> Result<()> {
    let file = open(path)?;
    let sector = u64::from(SECTOR);
    let (mut script, mut moves) = (String::from("label: gpt\nfirst-lba: 34\n"), Vec::new());
    for partition in table(&file)?.partitions {
        let ByteRange { offset, len } = partition.range;
        let start = if Role::of(partition.type_guid) == Role::Root { root } else { offset };
        let (kind, uuid, first, count) = (partition.type_guid, partition.guid, start / sector, len / sector);
        script.push_str(&format!(
            "start={first}, size={count}, type={kind}, uuid={uuid}, name=\"{}\"\n",
            partition.label
        ));
        moves.push((partition.range, start));
    }
    let end = moves.iter().map(|(range, start)| start + range.len).max().context("the image has no partition")?;
    let target = File::options().read(true).write(true).create_new(true).open(copy)?;
    // Room for the backup table.
    target.set_len(end + (1 << 20))?;
    call::feed("sfdisk", tools.command("sfdisk", &[copy])?.arg("--quiet").arg(copy), &script)?;
    for (range, start) in moves {
        target.write_all_at(&read(&file, range)?, start)?;
    }
    Ok(())
}

/// The signature of an image, PKCS#7 in DER.
pub fn signature(path: &Path) -> Result<Vec<u8>> {
    let file = open(path)?;
    Ok(signature_json::parse(&read(&file, layout(&file)?.signature)?)?.pkcs7.to_vec())
}

fn open(path: &Path) -> Result<File> {
    File::options().read(true).write(true).open(path).with_context(|| format!("cannot open {}", path.display()))
}

fn table(file: &File) -> Result<gpt::Table> {
    let geometry = Geometry::new(SECTOR, file.metadata()?.len())?;
    let header = gpt::parse_header(&read(file, geometry.primary_header())?, geometry, Which::Primary)?;
    Ok(gpt::parse_entries(&header, geometry, &read(file, header.entry_array())?)?)
}

fn layout(file: &File) -> Result<Layout> {
    Ok(ddi::layout(&table(file)?)?)
}

fn read(file: &File, range: ByteRange) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.len)?];
    file.read_exact_at(&mut bytes, range.offset)?;
    Ok(bytes)
}

/// Changes one bit of a file, in the byte at `offset`.
///
/// # Errors
/// The file has no such byte, or cannot be written.
pub fn flip_bit(path: &Path, offset: u64) -> Result<()> {
    flip(&open(path)?, offset)
}

fn flip(file: &File, offset: u64) -> Result<()> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    byte[0] ^= 1;
    Ok(file.write_all_at(&byte, offset)?)
}

/// Replaces the signature JSON by what `edit` makes of it, of the same length.
fn edit_json(path: &Path, edit: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let file = open(path)?;
    let range = layout(&file)?.signature;
    let bytes = read(&file, range)?;
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let json = std::str::from_utf8(bytes.get(..length).unwrap_or_default())?;
    let edited = edit(json)?;
    ensure!(edited.len() == json.len() && edited != json, "the edit of the signature JSON went wrong: {edited}");
    Ok(file.write_all_at(edited.as_bytes(), range.offset)?)
}

/// The text of a string member, as it stands in the JSON: none of ours has escapes.
fn member<'a>(json: &'a str, name: &str) -> Result<&'a str> {
    let value = json
        .split_once(&format!("\"{name}\""))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .and_then(|rest| rest.trim_start().strip_prefix('"'))
        .and_then(|rest| rest.split_once('"'));
    Ok(value.with_context(|| format!("the signature JSON has no member {name}"))?.0)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut start = 0;
    loop {
        let rest = haystack.get(start..)?;
        start += rest.iter().position(|&byte| byte == first)?;
        if haystack.get(start..)?.starts_with(needle) {
            return Some(start);
        }
        start += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_are_found_with_and_without_white_space() {
        let json = r#"{"rootHash":"ab", "signature" : "MII="}"#;
        assert_eq!(member(json, "rootHash").unwrap(), "ab");
        assert_eq!(member(json, "signature").unwrap(), "MII=");
        assert_eq!(member(json, "other").unwrap_err().to_string(), "the signature JSON has no member other");
    }

    #[test]
    fn a_needle_is_found_where_it_begins() {
        assert_eq!(find(b"aab aaab", b"aaab"), Some(4));
        assert_eq!(find(b"aab", b"b"), Some(2));
        assert_eq!(find(b"aab", b"abc"), None);
    }
}
