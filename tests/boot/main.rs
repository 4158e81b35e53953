// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot tests: real kernel, real storage-init, QEMU.
//!
//! * One boot for each refusal, asserting its exact reason and device; two whole systems, up to multi-user.target.
//! * A boot that should succeed is held against the whole chain (`support::assert_boot_chain`), never against a log line.
//! * Each test makes its own images and disk, prints its seconds, and leaves its files only where it failed.
//! * They run from `cargo xtask test`, or alone: `cargo test --manifest-path xtask/Cargo.toml --test boot -- NAME`.

mod allowed;
mod bootlog;
mod bus;
mod candidates;
mod corruption;
mod devices;
mod enrolled;
mod enrolment;
mod firmware;
mod forced;
mod kept_shut;
mod measure;
mod modules;
mod policies;
mod refusals;
mod repart;
mod signatures;
mod storage;
mod support;
mod systems;
mod tables;
mod unlock;
mod vfat;

use std::process::ExitCode;

use libtest_mimic::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut tests = Vec::new();
    // The long ones first: the short ones fill what is left of the other core.
    tests.extend(systems::tests());
    tests.extend(bootlog::tests());
    tests.extend(policies::tests());
    tests.extend(signatures::tests());
    tests.extend(devices::tests());
    tests.extend(storage::tests());
    tests.extend(allowed::tests());
    tests.extend(tables::tests());
    tests.extend(vfat::tests());
    tests.extend(modules::tests());
    tests.extend(corruption::tests());
    tests.extend(candidates::tests());
    tests.extend(repart::tests());
    tests.extend(measure::tests());
    tests.extend(unlock::tests());
    tests.extend(kept_shut::tests());
    tests.extend(refusals::tests());
    tests.extend(forced::tests());
    tests.extend(firmware::tests());
    tests.extend(enrolled::tests());
    tests.extend(enrolment::tests());
    tests.extend(bus::tests());
    run(&arguments, tests).exit_code()
}
