// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands behind `make qemu` and `make test`, as a library for the boot tests.
//!
//! * Writes nothing outside the cache folder (`cache`) and `target/` folders of the checkout.
//! * Installs nothing on the host; programs newer than the host's run in the tools root (`tools`, `sandbox`).
//! * Says before it starts what it will cost (`plan`).
//! * Is no part of the product: nothing here ends up in an image.

pub mod bench;
pub mod boot_report;
pub mod cache;
pub mod call;
pub mod crates_inc;
pub mod debian;
pub mod debian_kernel;
pub mod disk;
pub mod fuzz;
pub mod host_program;
pub mod kernel;
pub mod keys;
pub mod layer;
pub mod log_strings;
pub mod no_panic;
pub mod plan;
pub mod progress;
pub mod qemu;
pub mod refusals;
pub mod repository;
pub mod sandbox;
pub mod suite;
pub mod tamper;
pub mod target;
pub mod tools;
pub mod userspace;
pub mod variables;
pub mod yocto;
