// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something was not done: the one form in which every stage reports.

use core::fmt::{self, Write};

use boot_record::reason::Reason;
use heapless::string::StringView;

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
        Self::of(reason, device, &detail)
    }

    /// In one piece for all types of errors, and not in a copy for each.
    #[inline(never)]
    fn of(reason: Reason, device: &str, detail: &dyn fmt::Display) -> Self {
        Self { reason, device: device.into(), detail: detail.to_string().into_boxed_str() }
    }
}

/// What stands for the rest of a text that was cut: nothing that is looked up or compared has it in its name.
const CUT: char = '…';

/// `value` as text of at most `N` bytes, three or more. What does not fit is cut at a character's end, and [`CUT`] says so.
pub fn text<const N: usize>(value: impl fmt::Display) -> heapless::String<N> {
    let mut text = heapless::String::new();
    fill(&mut text, &value);
    text
}

/// In one piece for all types and lengths, as [`Failure::of`].
#[inline(never)]
fn fill(text: &mut StringView, value: &dyn fmt::Display) {
    struct Filling<'a>(&'a mut StringView);
    impl Write for Filling<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // Whole, or as much as there is room for.
            self.0
                .push_str(text)
                .or_else(|_| text.chars().try_for_each(|character| self.0.push(character).map_err(|_| fmt::Error)))
        }
    }
    let is_whole = write!(Filling(text), "{value}").is_ok();
    while !is_whole && text.push(CUT).is_err() && text.pop().is_some() {}
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_text_that_is_cut_says_so_and_a_name_is_never_taken_for_another() {
        assert_eq!(text::<6>("vda123").as_str(), "vda123");
        assert_eq!(text::<6>("vda1234").as_str(), "vda…");
        assert_eq!(text::<6>("vdaäöü").as_str(), "vda…", "at a character's end");
        assert_eq!(text::<8>(format_args!("{}{}", "initoverlayfs", 1)).as_str(), "inito…");
        assert_eq!(text::<3>("vda1").as_str(), "…");
    }
}
