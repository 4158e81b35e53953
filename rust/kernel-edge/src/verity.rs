// SPDX-License-Identifier: MIT OR Apache-2.0
//! `DM_TABLE_LOAD "verity"` with a root-hash signature, where the kernel accepts or refuses a DDI; or without one, for who has
//! checked it before.
//!
//! See Documentation/admin-guide/device-mapper/verity.rst, drivers/md/dm-verity-verify-sig.c,
//! crypto/asymmetric_keys/{pkcs7_trust,public_key}.c.

use core::fmt::{self, Write};

use crate::block::DeviceNumber;
use crate::keyring::UserKey;
use crate::{Errno, dm};

/// Longest table line, in bytes: two device numbers, four numbers, a 64-digit hash, a salt of up to 512 digits and the
/// name of the key.
const LINE: usize = 1024;

/// What the kernel needs to know of a tree. Only the root hash is signed; all else is held to it by the hashes.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The device whose first block is the first data block.
    pub data: DeviceNumber,
    /// The device that holds the tree.
    pub hash: DeviceNumber,
    /// Bytes of a data block and of a hash block.
    pub block_sizes: (u32, u32),
    /// Data blocks that the tree covers.
    pub data_blocks: u64,
    /// The hash block of `hash` at which the tree's root level begins.
    pub hash_start_block: u64,
    /// The root hash (SHA-256) as 64 hexadecimal digits: the signed text.
    pub root_hash: &'a str,
    /// The salt, prepended to each block, as hexadecimal digits.
    pub salt: &'a str,
}

/// Why a signed table was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// ENOKEY: no certificate in the kernel's keyring has the signer's issuer and serial number.
    NoSuchCertificate(Errno),
    /// EKEYREJECTED, EBADMSG or EINVAL: the certificate's key did not make this signature. (RSA padding that does not
    /// come out right is EINVAL or EBADMSG; the kernel turns it into EKEYREJECTED only where the message embeds no
    /// certificate, see pkcs7_validate_trust_one.)
    Rejected(Errno),
    /// ENOPKG: the kernel lacks an algorithm that the signature names.
    AlgorithmMissing(Errno),
    /// The kernel has dm-verity without CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG.
    NoSignatureSupport,
    /// The kernel has no dm-verity.
    NoVerity,
    /// ENOKEY for a table without signature: the kernel was started with dm_verity.require_signatures=1.
    SignatureRequired(Errno),
    /// Any other refusal.
    Table(dm::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCertificate(errno) => write!(f, "no certificate of the kernel matches the signer: {errno}"),
            Self::Rejected(errno) => write!(f, "the kernel rejected the signature: {errno}"),
            Self::AlgorithmMissing(errno) => write!(f, "the kernel lacks an algorithm of the signature: {errno}"),
            Self::NoSignatureSupport => f.write_str("the kernel has no CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG"),
            Self::NoVerity => f.write_str("the kernel has no dm-verity"),
            Self::SignatureRequired(errno) => {
                write!(f, "the kernel takes no table without a signature (dm_verity.require_signatures): {errno}")
            }
            Self::Table(error) => write!(f, "{error}"),
        }
    }
}

/// Loads the table of a signed tree over `device`, which stays suspended. The caller has checked its other values:
/// EINVAL speaks of the signature. `Ok` says that the kernel found a
/// certificate it trusts and that its key signed `table.root_hash`; it says nothing of the blocks, which are checked
/// when they are read.
///
/// # Errors
/// See [`Error`].
pub fn load_signed(device: &dm::Device, table: &Table<'_>, signature: &UserKey<'_>) -> Result<(), Error> {
    load(device, table, Some(signature))
}

/// Loads the same table without a signature: the kernel holds every block to `table.root_hash`, whoever vouches for that.
/// `Ok` says nothing about who does: the caller must have checked it.
///
/// # Errors
/// See [`Error`]; none of those that are about a signature, but [`Error::SignatureRequired`].
pub fn load_without_signature(device: &dm::Device, table: &Table<'_>) -> Result<(), Error> {
    load(device, table, None)
}

fn load(device: &dm::Device, table: &Table<'_>, signature: Option<&UserKey<'_>>) -> Result<(), Error> {
    let too_long = Error::Table(dm::Error { call: dm::Call::Layout, errno: Errno::NAMETOOLONG });
    let line = line(table, signature).ok_or(too_long)?;
    // 512-byte sectors, whatever the block size (DM_SECTOR of the kernel).
    let sectors = table.data_blocks.checked_mul(u64::from(table.block_sizes.0)).ok_or(too_long)? >> 9;
    device.load(sectors, "verity", &line).map_err(|error| match signature {
        Some(_) => meaning(error, &Kernel::look()),
        None => meaning_without_signature(error, &Kernel::look()),
    })
}

/// The arguments of the target; `None` if they do not fit.
fn line(table: &Table<'_>, signature: Option<&UserKey<'_>>) -> Option<heapless::String<LINE>> {
    let (data_block, hash_block) = table.block_sizes;
    let mut line: heapless::String<LINE> = heapless::String::new();
    write!(
        line,
        "1 {} {} {data_block} {hash_block} {} {} sha256 {} ",
        table.data, table.hash, table.data_blocks, table.hash_start_block, table.root_hash,
    )
    .ok()?;
    line.push_str(if table.salt.is_empty() { "-" } else { table.salt }).ok()?;
    if let Some(key) = signature {
        write!(line, " 2 root_hash_sig_key_desc {}", key.description().to_str().ok()?).ok()?;
    }
    Some(line)
}

/// What /sys/module says of the kernel's dm-verity.
struct Kernel {
    verity: bool,
    signatures: bool,
}

impl Kernel {
    fn look() -> Self {
        let there = |path: &str| rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok();
        Self {
            verity: there("/sys/module/dm_verity"),
            // The parameter is compiled in with the option.
            signatures: there("/sys/module/dm_verity/parameters/require_signatures"),
        }
    }
}

fn meaning(error: dm::Error, kernel: &Kernel) -> Error {
    match error.errno {
        _ if error.call != dm::Call::Load => Error::Table(error),
        Errno::INVAL if !kernel.verity => Error::NoVerity,
        Errno::INVAL if !kernel.signatures => Error::NoSignatureSupport,
        Errno::NOKEY => Error::NoSuchCertificate(error.errno),
        Errno::KEYREJECTED | Errno::BADMSG | Errno::INVAL => Error::Rejected(error.errno),
        Errno::NOPKG => Error::AlgorithmMissing(error.errno),
        _ => Error::Table(error),
    }
}

fn meaning_without_signature(error: dm::Error, kernel: &Kernel) -> Error {
    match error.errno {
        _ if error.call != dm::Call::Load => Error::Table(error),
        Errno::INVAL if !kernel.verity => Error::NoVerity,
        Errno::NOKEY => Error::SignatureRequired(error.errno),
        _ => Error::Table(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_becomes_the_verdict() {
        let full = Kernel { verity: true, signatures: true };
        let load = |errno| dm::Error { call: dm::Call::Load, errno };
        let verdict = |errno| meaning(load(errno), &full);
        assert_eq!(verdict(Errno::NOKEY), Error::NoSuchCertificate(Errno::NOKEY));
        assert_eq!(verdict(Errno::KEYREJECTED), Error::Rejected(Errno::KEYREJECTED));
        assert_eq!(verdict(Errno::BADMSG), Error::Rejected(Errno::BADMSG));
        assert_eq!(verdict(Errno::NOPKG), Error::AlgorithmMissing(Errno::NOPKG));
        assert_eq!(verdict(Errno::INVAL), Error::Rejected(Errno::INVAL));
        assert_eq!(verdict(Errno::NOMEM), Error::Table(load(Errno::NOMEM)));
    }

    #[test]
    fn a_kernel_that_lacks_the_check_is_named_not_blamed_on_the_table() {
        let load = dm::Error { call: dm::Call::Load, errno: Errno::INVAL };
        assert_eq!(meaning(load, &Kernel { verity: true, signatures: false }), Error::NoSignatureSupport);
        assert_eq!(meaning(load, &Kernel { verity: false, signatures: false }), Error::NoVerity);
    }

    #[test]
    fn a_device_that_could_not_be_made_is_no_verdict_on_the_signature() {
        let create = dm::Error { call: dm::Call::Create, errno: Errno::NOKEY };
        assert_eq!(meaning(create, &Kernel { verity: true, signatures: true }), Error::Table(create));
    }

    #[test]
    fn without_a_signature_no_errno_speaks_of_one_that_was_checked() {
        let full = Kernel { verity: true, signatures: true };
        let load = |errno| dm::Error { call: dm::Call::Load, errno };
        let verdict = |errno| meaning_without_signature(load(errno), &full);
        assert_eq!(verdict(Errno::NOKEY), Error::SignatureRequired(Errno::NOKEY));
        for errno in [Errno::INVAL, Errno::KEYREJECTED, Errno::BADMSG, Errno::NOPKG] {
            assert_eq!(verdict(errno), Error::Table(load(errno)));
        }
        let none = Kernel { verity: false, signatures: false };
        assert_eq!(meaning_without_signature(load(Errno::INVAL), &none), Error::NoVerity);
    }
}
