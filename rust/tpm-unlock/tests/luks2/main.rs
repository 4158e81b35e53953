// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against cryptsetup: volumes that it made are opened to the key that it says they have, and spoilt ones are refused. cryptsetup
//! comes out of PATH; `cargo xtask test` brings it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics"
)]

mod keys;
mod spoilt;
mod token;
mod workshop;
