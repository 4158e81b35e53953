// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signing elsewhere: an unsigned image, a signature by openssl or a hardware module, and what comes of the two.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

mod interrupted;
mod refusals;
mod signatures;
#[path = "../support/mod.rs"]
mod support;
mod workshop;
