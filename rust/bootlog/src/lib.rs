// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of a boot, read and drawn: the library of the program `bootlog`.
//!
//! * [`log`]: the log in a file, or in what pstore kept of a memory: header and frames.
//! * [`string_table`]: the strings that the frames are numbers of, found by the build ID of the boot binary.
//! * [`entry`]: frames and strings give events, as [`boot_record::event`] defines them.
//! * [`timeline`]: events give stages, waits, and what the boot came to.
//! * [`report`], [`json`], [`drawing`]: for people, for scripts, for looking at.
//! * [`previous`]: where the log of the boot before this one lies.
//!
//! A log of another build than the table's is refused: it would decode to something, and wrongly. A frame that is broken
//! costs itself alone and is named. No input makes it panic.
//!
//! What it does not do: judge a boot (the log says what storage-init did, and is as trustworthy as the memory it comes
//! from), or write anything but the drawing it is asked for.

pub mod cli;
pub mod drawing;
pub mod entry;
pub mod json;
pub mod log;
pub mod previous;
pub mod report;
pub mod string_table;
pub mod timeline;
