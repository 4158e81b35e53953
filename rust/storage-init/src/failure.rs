// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something was not done: the one form in which every stage reports.

use core::fmt::{self, Write};

use boot_record::reason::Reason;

/// A device or candidate as the console names it: `vda2`, `vda1:/initoverlayfs/initoverlayfs_7.raw`.
pub type DeviceLabel = heapless::String<{ boot_record::boot_json::MAX_DEVICE }>;

/// What failed, on what, and in which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, of a closed list: what policy and tests go by.
    pub reason: Reason,
    /// The device or candidate, or the part of the kernel or configuration.
    pub device: Box<str>,
    /// The error in its own words.
    pub detail: Box<str>,
}

impl Failure {
    /// A failure of `device`.
    pub fn new(reason: Reason, device: &str, detail: impl fmt::Display) -> Self {
        Self { reason, device: device.into(), detail: detail.to_string().into_boxed_str() }
    }
}

/// `value` as text of at most `N` bytes, cut at a character's end.
pub fn text<const N: usize>(value: impl fmt::Display) -> heapless::String<N> {
    struct Cut<const N: usize>(heapless::String<N>);
    impl<const N: usize> Write for Cut<N> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            text.chars().try_for_each(|character| self.0.push(character).map_err(|_| fmt::Error))
        }
    }
    let mut cut = Cut(heapless::String::new());
    let _ = write!(cut, "{value}");
    cut.0
}
