// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against swtpm, libtpms's TPM in software: what is sealed is unsealed, and what is spoilt on the way is refused. swtpm and openssl
//! come out of PATH; `cargo xtask test` brings them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics"
)]

mod literal;
mod machine;
mod owner;
mod patience;
mod signed;
mod signer;
mod spoilt;
mod storage_root_key;
