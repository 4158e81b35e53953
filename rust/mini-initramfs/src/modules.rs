// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel modules go in, and in which order they are loaded.
//!
//! * [`index`] reads what depmod wrote about a kernel's modules.
//! * [`order`] resolves the wanted names into the list: a pure function of the index, so that no boot has to.
//! * [`contents`] reads a module's file, and decompresses it: the kernel takes ELF.

pub mod contents;
pub mod index;
pub mod order;
