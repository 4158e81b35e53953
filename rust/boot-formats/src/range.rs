// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of bytes on a device or in a file.

use core::fmt;

/// `len` bytes from `offset` on. Any two numbers make a value: ask [`end`](Self::end) before believing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

impl ByteRange {
    /// The byte after the last; `None` if that is more than 2^64 - 1.
    #[must_use]
    pub const fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }

    /// Whether every byte of `inner` is in `self`. A range that wraps contains nothing and lies in nothing.
    #[must_use]
    pub const fn contains(&self, inner: &Self) -> bool {
        match (self.end(), inner.end()) {
            (Some(end), Some(inner_end)) => self.offset <= inner.offset && inner_end <= end,
            _ => false,
        }
    }

    /// Whether the two have a byte in common. An empty range overlaps nothing; one that wraps overlaps
    /// whatever lies above its start, so that a wrapping range never passes as free of overlap.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        if self.len == 0 || other.len == 0 {
            return false;
        }
        self.starts_before_end_of(other) && other.starts_before_end_of(self)
    }

    const fn starts_before_end_of(&self, other: &Self) -> bool {
        match other.end() {
            Some(end) => self.offset < end,
            None => true,
        }
    }

    /// From the first byte of this range to the last of one that lies behind it; `None` for one that does not.
    #[must_use]
    pub const fn through(&self, behind: &Self) -> Option<Self> {
        match (self.end(), behind.end()) {
            (Some(end), Some(last)) if end <= behind.offset => match last.checked_sub(self.offset) {
                Some(len) => Some(Self { offset: self.offset, len }),
                None => None,
            },
            _ => None,
        }
    }

    /// Whether start and length are both multiples of `n`. Nothing is a multiple of 0.
    #[must_use]
    pub const fn is_aligned(&self, n: u64) -> bool {
        self.offset.is_multiple_of(n) && self.len.is_multiple_of(n) && n != 0
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {}", self.len, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(offset: u64, len: u64) -> ByteRange {
        ByteRange { offset, len }
    }

    #[test]
    fn one_range_goes_through_to_another_behind_it() {
        assert_eq!(range(10, 5).through(&range(15, 5)), Some(range(10, 10)));
        assert_eq!(range(10, 5).through(&range(20, 0)), Some(range(10, 10)));
        assert_eq!(range(10, 5).through(&range(14, 5)), None, "they overlap");
        assert_eq!(range(10, 5).through(&range(0, 10)), None, "it lies before");
        assert_eq!(range(10, 5).through(&range(20, u64::MAX)), None, "it wraps");
    }

    #[test]
    fn the_end_of_a_wrapping_range_is_none() {
        assert_eq!(range(4096, 512).end(), Some(4608));
        assert_eq!(range(u64::MAX, 0).end(), Some(u64::MAX));
        assert_eq!(range(u64::MAX, 1).end(), None);
    }

    #[test]
    fn containing() {
        let outer = range(100, 50);
        assert!(outer.contains(&range(100, 50)));
        assert!(outer.contains(&range(150, 0)));
        assert!(!outer.contains(&range(99, 2)));
        assert!(!outer.contains(&range(149, 2)));
        assert!(!outer.contains(&range(u64::MAX, 2)));
        assert!(!range(100, u64::MAX).contains(&range(100, 1)));
    }

    #[test]
    fn overlapping() {
        assert!(!range(0, 10).overlaps(&range(10, 10)));
        assert!(range(0, 11).overlaps(&range(10, 10)));
        assert!(range(0, 100).overlaps(&range(10, 1)));
        assert!(!range(0, 100).overlaps(&range(10, 0)));
        assert!(range(u64::MAX, 2).overlaps(&range(u64::MAX, 1)));
        assert!(!range(u64::MAX, 2).overlaps(&range(0, 1)));
    }

    #[test]
    fn alignment_is_of_both_ends() {
        assert!(range(8192, 4096).is_aligned(4096));
        assert!(!range(512, 4096).is_aligned(4096));
        assert!(!range(4096, 512).is_aligned(4096));
        assert!(!range(0, 0).is_aligned(0));
    }
}
