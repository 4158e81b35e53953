// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against other programs: volumes of cryptsetup's are enrolled with swtpm, and opened by what the boot stage opens volumes by. The machine,
//! its owner, the volumes and the signer are those of tpm-unlock's tests. `cargo xtask test` brings the programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics"
)]

#[path = "../../../tpm-unlock/tests/other_tools/machine.rs"]
#[allow(dead_code, reason = "the other tests need all of it")]
mod machine;
#[path = "../../../tpm-unlock/tests/other_tools/owner.rs"]
#[allow(dead_code, reason = "the other tests need all of it")]
mod owner;
#[path = "../../../tpm-unlock/tests/other_tools/signer.rs"]
#[allow(dead_code, reason = "the other tests need all of it")]
mod signer;
#[path = "../../../tpm-unlock/tests/other_tools/workshop.rs"]
#[allow(dead_code, reason = "the other tests need all of it")]
mod workshop;

mod desk;
mod enrolled;
mod latched;
mod refused;
mod token;
mod undone;
mod wiped;
