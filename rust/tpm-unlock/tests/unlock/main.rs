// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes of cryptsetup, with tokens as systemd-cryptenroll writes them, and swtpm: what is opened, and what is refused by which
//! words. Both come out of PATH; `cargo xtask test` brings them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics"
)]

#[path = "../swtpm/machine.rs"]
#[allow(dead_code, reason = "the tests of the TPM use more of it")]
mod machine;
#[path = "../swtpm/owner.rs"]
#[allow(dead_code, reason = "the tests of the TPM use more of it")]
mod owner;
mod volumes;
#[path = "../luks2/workshop.rs"]
#[allow(dead_code, reason = "the tests of the header use more of it")]
mod workshop;
