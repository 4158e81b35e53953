// SPDX-License-Identifier: MIT OR Apache-2.0
//! From bytes to facts, for every format of the boot path that somebody else has specified.
//!
//! * No I/O, no allocation, no unsafe code, no panic: a caller hands over bytes it has read.
//! * Every range that is returned lies inside the disk, image or slice it was read from.
//! * Whatever is not known is refused: version, algorithm, member, form. Nothing is repaired.
//! * Errors are `Copy`, say where, and give both numbers.
//! * Every loop and every collection has a limit that is not taken from the bytes.
//!
//! What it does not do: decide trust. A [`ddi::Layout`] is not verified, a [`pkcs7::Signer`] has not been checked to
//! have signed, a [`file_name::ImageName`] is a claim. storage-init's `verify` decides, and the kernel.
//!
//! Formats of this project's own are in the crate `boot-record`.

#![no_std]

mod crc32;

pub mod base64;
pub mod bytes;
pub mod ddi;
pub mod der;
pub mod dps;
pub mod file_name;
pub mod gpt;
pub mod guid;
pub mod hex;
pub mod json;
pub mod luks2;
pub mod os_release;
pub mod pkcs7;
pub mod range;
pub mod signature_json;
pub mod uevent;
pub mod verity;
pub mod version;
pub mod vfat;
pub mod x509;

pub use guid::Guid;
pub use range::ByteRange;
