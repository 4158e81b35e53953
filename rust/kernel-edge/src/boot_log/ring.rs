// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames, each ended by a zero, in a memory of fixed size: the newest push out the oldest, always whole.

use heapless::Vec;

/// What ends a frame; no other byte of one is 0.
const END: u8 = 0;

/// `N` bytes of frames.
pub struct Ring<const N: usize> {
    /// Oldest first. Few boots ever fill it: those move what is left to the front.
    bytes: Vec<u8, N>,
    /// Bytes at the end that belong to the frame that is being written.
    open: usize,
    /// Bytes before those that nobody has taken yet.
    unread: usize,
    /// The frame that is being written is larger than the ring.
    too_large: bool,
    lost: u32,
}

/// How the frame before a new one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// As it should.
    Ended,
    /// Not at all.
    LeftOpen,
}

impl<const N: usize> Ring<N> {
    /// An empty ring: a static one takes no room in the program's file.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), open: 0, unread: 0, too_large: false, lost: 0 }
    }

    /// Begins a frame. One that was never ended (a panic came in between) is taken back.
    pub fn start(&mut self) -> Before {
        let before = if self.open == 0 && !self.too_large { Before::Ended } else { Before::LeftOpen };
        self.take_back();
        self.too_large = false;
        before
    }

    /// Appends to the frame.
    pub fn write(&mut self, bytes: &[u8]) {
        // One at a time, as defmt's encoder gives them.
        for &byte in bytes {
            while !self.too_large && self.bytes.push(byte).is_err() {
                if !self.drop_oldest() {
                    self.take_back();
                    self.too_large = true;
                }
            }
            if !self.too_large {
                self.open = self.open.saturating_add(1);
            }
        }
    }

    /// Ends the frame; its last byte is [`END`].
    pub fn end(&mut self) {
        if self.too_large {
            self.lost = self.lost.saturating_add(1);
        }
        self.unread = self.unread.saturating_add(self.open);
        self.open = 0;
        self.too_large = false;
    }

    /// All whole frames, oldest first.
    pub fn frames(&self) -> &[u8] {
        self.bytes.get(..self.whole()).unwrap_or_default()
    }

    /// The frames since this was last called, oldest first.
    pub fn take_unread(&mut self) -> &[u8] {
        let start = self.whole().saturating_sub(core::mem::take(&mut self.unread));
        self.frames().get(start..).unwrap_or_default()
    }

    /// How many frames were pushed out, or were too large.
    pub const fn lost(&self) -> u32 {
        self.lost
    }

    /// Bytes before the open frame.
    fn whole(&self) -> usize {
        self.bytes.len().saturating_sub(self.open)
    }

    /// Makes room by the oldest frame; false if there is none but the open one.
    fn drop_oldest(&mut self) -> bool {
        let Some(end) = self.frames().iter().position(|byte| *byte == END) else { return false };
        drop(self.bytes.drain(..=end));
        self.lost = self.lost.saturating_add(1);
        self.unread = self.unread.min(self.whole());
        true
    }

    fn take_back(&mut self) {
        self.bytes.truncate(self.whole());
        self.open = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn put<const N: usize>(ring: &mut Ring<N>, frame: &[u8]) {
        assert_eq!(ring.start(), Before::Ended);
        ring.write(frame);
        ring.write(&[END]);
        ring.end();
    }

    #[test]
    fn the_oldest_frames_go_whole_and_are_counted() {
        let mut ring = Ring::<8>::new();
        for frame in [b"aa", b"bb", b"cc"] {
            put(&mut ring, frame);
        }
        assert_eq!((ring.frames().to_vec(), ring.lost()), (b"bb\0cc\0".to_vec(), 1));
        put(&mut ring, b"dddddd");
        assert_eq!((ring.frames().to_vec(), ring.lost()), (b"dddddd\0".to_vec(), 3));
    }

    #[test]
    fn each_frame_is_taken_once_unless_it_was_pushed_out() {
        let mut ring = Ring::<8>::new();
        put(&mut ring, b"aa");
        assert_eq!(ring.take_unread(), b"aa\0");
        assert_eq!(ring.take_unread(), b"");
        for frame in [b"bb", b"cc", b"dd"] {
            put(&mut ring, frame);
        }
        assert_eq!(ring.take_unread(), b"cc\0dd\0");
        assert_eq!(ring.frames(), b"cc\0dd\0");
    }

    #[test]
    fn a_frame_larger_than_the_ring_is_lost_alone() {
        let mut ring = Ring::<8>::new();
        put(&mut ring, b"aa");
        put(&mut ring, b"123456789");
        put(&mut ring, b"bb");
        assert_eq!((ring.frames().to_vec(), ring.lost()), (b"bb\0".to_vec(), 2));
    }

    #[test]
    fn a_frame_that_was_never_ended_leaves_nothing() {
        let mut ring = Ring::<8>::new();
        put(&mut ring, b"aa");
        ring.start();
        ring.write(b"x");
        assert_eq!(ring.frames(), b"aa\0");
        assert_eq!(ring.start(), Before::LeftOpen);
        ring.write(b"bb\0");
        ring.end();
        assert_eq!((ring.take_unread().to_vec(), ring.lost()), (b"aa\0bb\0".to_vec(), 0));
    }

    /// Many frames of many lengths: what is left is always the end of what was written, at a frame's start.
    #[test]
    fn what_is_left_is_the_end_of_all_that_was_written() {
        let mut ring = Ring::<64>::new();
        let mut written = Vec::new();
        let mut taken = Vec::<u8>::new();
        for number in 1..=200_u8 {
            let frame = vec![number; usize::from(number % 19)];
            put(&mut ring, &frame);
            written.extend(frame.into_iter().chain([END]));
            let left = ring.frames().to_vec();
            assert!(written.ends_with(&left));
            let before = written.len().saturating_sub(left.len()).checked_sub(1);
            assert!(before.is_none_or(|before| written.get(before) == Some(&END)));
            taken.extend(ring.take_unread());
        }
        assert_eq!(taken, written);
        assert!(ring.lost() > 100);
    }
}
