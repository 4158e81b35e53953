// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of a program that lives for milliseconds, and `mmap`, `munmap` for what is larger than that.
//!
//! * A block is the next bytes of a fixed piece of .bss. The last block that was handed out can be given back or grow; others stay
//!   until init is executed, which frees all.
//! * What does not fit is mapped, by itself: slow, and there.
//! * Why: musl maps and unmaps memory for each file that is read, two system calls and new pages to be zeroed each time. A
//!   quarter of a millisecond of a boot of 50; and its allocator is 7 KB of the program, which would be here for nothing else.
//! * Any number of threads: the one number that changes is changed atomically.
//!
//! See mmap(2), and musl's src/malloc/mallocng.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Bytes of the piece: more than a boot takes. Pages that are not used cost nothing.
const BYTES: usize = 256 * 1024;
/// What every mapping is aligned to, whatever the kernel's pages.
const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Memory(UnsafeCell<[u8; BYTES]>);

/// The allocator: `#[global_allocator] static MEMORY: Arena = Arena::new();`
pub struct Arena {
    /// Bytes in front that are handed out.
    used: AtomicUsize,
    /// Bytes in front that were ever handed out: behind them everything is zero.
    touched: AtomicUsize,
    memory: Memory,
}

// SAFETY: the bytes are only reached through the pointers that `take` hands out, each byte to one owner at a time: `used` moves
// past a block by compare-exchange, and back only for the block that ends there, which its owner is giving up.
unsafe impl Sync for Arena {}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Arena {
    /// All of it free.
    #[must_use]
    pub const fn new() -> Self {
        Self { used: AtomicUsize::new(0), touched: AtomicUsize::new(0), memory: Memory(UnsafeCell::new([0; BYTES])) }
    }

    fn base(&self) -> *mut u8 {
        self.memory.0.get().cast()
    }

    /// Where a block lies in the piece, if it is one of ours.
    fn position(&self, block: *const u8) -> Option<usize> {
        block.addr().checked_sub(self.base().addr()).filter(|at| *at < BYTES)
    }

    /// The place of the next block, and how many of its bytes may have been used before.
    fn take(&self, layout: Layout) -> Option<(*mut u8, usize)> {
        let base = self.base();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start =
                base.addr().checked_add(used)?.checked_next_multiple_of(layout.align())?.checked_sub(base.addr())?;
            let end = start.checked_add(layout.size()).filter(|end| *end <= BYTES)?;
            match self.used.compare_exchange_weak(used, end, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    let dirty = self.touched.fetch_max(end, Ordering::Relaxed).saturating_sub(start).min(layout.size());
                    return Some((base.wrapping_add(start), dirty));
                }
                Err(now) => used = now,
            }
        }
    }

    /// Moves the end of the last block from `old` to `new`; false where the block is not the last.
    fn move_end(&self, old: usize, new: usize) -> bool {
        let moved = self.used.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed).is_ok();
        if moved {
            self.touched.fetch_max(new, Ordering::Relaxed);
        }
        moved
    }
}

/// A block of pages of its own, all zero; null where the kernel has none, or none so aligned.
fn map(layout: Layout) -> *mut u8 {
    if layout.align() > PAGE {
        return core::ptr::null_mut();
    }
    // SAFETY: a new mapping, where the kernel likes, that nobody else knows of.
    let mapped = unsafe {
        mmap_anonymous(core::ptr::null_mut(), layout.size(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    mapped.map_or(core::ptr::null_mut(), <*mut _>::cast)
}

// SAFETY: a block of the piece has the layout's size and alignment (`take` computes both) and lies in memory that lives as long as the
// program; so has one of pages of its own, until it is given back. The two are told apart by address.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some((block, _)) => block,
            None => map(layout),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some((block, dirty)) => {
                // SAFETY: `dirty` is at most the size of the block, which nobody else has.
                unsafe { block.write_bytes(0, dirty) };
                block
            }
            None => map(layout),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.position(block) {
            Some(start) => {
                // The end cannot wrap: the block lies in the piece.
                self.move_end(start.saturating_add(layout.size()), start);
            }
            None => {
                // SAFETY: not of the piece, so pages of its own, by the caller's promise, who gives them up.
                let _ = unsafe { munmap(block.cast(), layout.size()) };
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if let Some(start) = self.position(block) {
            let end = start.saturating_add(size);
            if end <= BYTES && self.move_end(start.saturating_add(layout.size()), end) {
                return block;
            }
        }
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return core::ptr::null_mut() };
        // SAFETY: the new size is not zero, by the caller's promise.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both blocks have that many bytes, and are different blocks.
            unsafe { new.copy_from_nonoverlapping(block, layout.size().min(size)) };
            // SAFETY: the caller gives the block up.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Blocks of one alignment: each is used with its layout, and not after it was given back.
    #[derive(Clone, Copy)]
    struct Blocks<'a>(&'a Arena, usize);

    impl Blocks<'_> {
        fn layout(self, size: usize) -> Layout {
            Layout::from_size_align(size, self.1).unwrap()
        }

        fn take(self, size: usize) -> *mut u8 {
            // SAFETY: no size here is zero.
            unsafe { self.0.alloc(self.layout(size)) }
        }

        fn take_zeroed(self, size: usize) -> *mut u8 {
            // SAFETY: as above.
            unsafe { self.0.alloc_zeroed(self.layout(size)) }
        }

        fn resize(self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
            // SAFETY: see `Blocks`.
            unsafe { self.0.realloc(block, self.layout(old), new) }
        }

        fn give_back(self, block: *mut u8, size: usize) {
            // SAFETY: see `Blocks`.
            unsafe { self.0.dealloc(block, self.layout(size)) }
        }

        fn fill(self, block: *mut u8, size: usize, with: u8) {
            // SAFETY: the block has that many bytes, and belongs to the test.
            unsafe { block.write_bytes(with, size) }
        }

        fn has(self, block: *mut u8, size: usize, only: u8) -> bool {
            // SAFETY: as above, and all of them were written.
            unsafe { core::slice::from_raw_parts(block, size) }.iter().all(|byte| *byte == only)
        }
    }

    #[test]
    fn the_last_block_is_given_back_and_grows_where_it_is() {
        let arena = Arena::new();
        let (bytes, lines) = (Blocks(&arena, 1), Blocks(&arena, 64));
        let first = bytes.take(100);
        bytes.fill(first, 100, 1);
        let second = lines.take(8);
        lines.fill(second, 8, 2);
        assert!(second.addr().is_multiple_of(64) && second.addr() >= first.addr() + 100);
        assert_eq!(lines.resize(second, 8, 4000), second);
        // Not the last: it moves, and its bytes with it.
        let moved = bytes.resize(first, 100, 200);
        assert_ne!(moved, first);
        assert!(bytes.has(moved, 100, 1) && bytes.has(second, 8, 2));
        bytes.give_back(moved, 200);
        assert_eq!(bytes.take(200), moved, "it was the last");
    }

    #[test]
    fn zeroed_is_zero_where_bytes_were_used_before_and_behind_them() {
        let arena = Arena::new();
        let bytes = Blocks(&arena, 1);
        let used = bytes.take(1000);
        bytes.fill(used, 1000, 0xff);
        bytes.give_back(used, 1000);
        let small = bytes.take(10);
        let grown = bytes.resize(small, 10, 2000);
        bytes.fill(grown, 2000, 0xff);
        bytes.give_back(grown, 2000);
        let zeroed = bytes.take_zeroed(3000);
        assert_eq!(zeroed, used);
        assert!(bytes.has(zeroed, 3000, 0));
    }

    #[test]
    fn what_does_not_fit_has_pages_of_its_own() {
        let arena = Arena::new();
        let bytes = Blocks(&arena, 1);
        let all = bytes.take(BYTES);
        assert!(arena.position(all).is_some());
        let more = bytes.take_zeroed(5000);
        assert!(!more.is_null() && arena.position(more).is_none());
        let grown = bytes.resize(more, 5000, 9000);
        assert!(bytes.has(grown, 5000, 0));
        bytes.give_back(grown, 9000);
        // Growing out of the piece takes the contents along.
        bytes.fill(all, BYTES, 3);
        let outside = bytes.resize(all, BYTES, BYTES + 1);
        assert!(arena.position(outside).is_none() && bytes.has(outside, BYTES, 3));
        bytes.give_back(outside, BYTES + 1);
        let (pages, beyond) = (Blocks(&arena, PAGE), Blocks(&arena, 2 * PAGE));
        assert!(pages.take(BYTES + 1).addr().is_multiple_of(PAGE));
        assert!(beyond.take(BYTES + 1).is_null(), "no mapping is sure to be so aligned");
        assert_eq!(bytes.take(1), all, "the piece is free again");
    }

    #[test]
    fn threads_get_blocks_of_their_own() {
        let arena = Arena::new();
        std::thread::scope(|scope| {
            for mark in 0..4_u8 {
                let blocks = Blocks(&arena, 8);
                scope.spawn(move || {
                    for size in (1..37).cycle().take(2000) {
                        let block = blocks.take(size);
                        blocks.fill(block, size, mark);
                        std::thread::yield_now();
                        assert!(blocks.has(block, size, mark));
                        blocks.give_back(block, size);
                    }
                });
            }
        });
    }
}
