// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of boot-formats against files that other tools made (`golden/`), tables of good and bad input with the exact
//! error, and properties.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed, as it should"
)]

mod bad_lines;
mod ddi;
mod der;
mod dps;
mod file_name;
mod golden;
mod gpt;
mod hex;
mod json;
mod luks2;
mod os_release;
mod pkcs7;
mod properties;
mod signature_json;
mod uevent;
mod verity;
mod version;
mod vfat;
mod written_again;
mod x509;
