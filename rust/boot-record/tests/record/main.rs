// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of boot-record: good and bad input with the exact error, and properties.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed, as it should"
)]

mod boot_json;
mod cmdline;
mod config;
mod event;
mod log_header;
mod modules;
mod names;
mod properties;
mod written_again;
