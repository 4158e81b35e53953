// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measurements that anybody can repeat: what a boot costs ([`boots`]), what building an image costs ([`images`]).

pub mod boots;
pub mod images;
