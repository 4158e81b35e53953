// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against other programs: what is sealed in swtpm, libtpms's TPM in software, is unsealed; volumes that cryptsetup made are opened to
//! the key that it says they have; and what is spoilt on the way, or in the volume, is refused. swtpm, cryptsetup and openssl come out
//! of PATH; `cargo xtask test` brings them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics"
)]

mod ahead;
mod keys;
mod literal;
mod machine;
mod owner;
mod patience;
mod signed;
mod signer;
mod spoilt_answers;
mod spoilt_volume;
mod storage_root_key;
mod token;
mod volumes;
mod workshop;
