// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot for scripts: one JSON object. New members may be added; `format` changes when one changes its meaning.

use boot_record::event::Event;
use serde::Serialize;

use crate::entry::Decoded;
use crate::timeline::{Outcome, StageSpan, Timeline, TpmCommand, Wait};

/// The format written.
pub const FORMAT: u32 = 1;

/// The object.
#[derive(Debug, Serialize)]
struct Boot<'a> {
    /// [`FORMAT`].
    format: u32,
    /// The boot binary's, in hexadecimal digits.
    build_id: String,
    /// Events that the log had no room for, its first.
    lost: u32,
    outcome: &'a Outcome,
    /// The first event, in microseconds since the kernel's timekeeping started.
    start_us: u64,
    /// The last.
    end_us: u64,
    stages: &'a [StageSpan],
    waits: &'a [Wait],
    tpm: &'a [TpmCommand],
    events: Vec<Timed<'a>>,
    /// Frames that gave no event.
    broken: Vec<Broken>,
}

#[derive(Debug, Serialize)]
struct Timed<'a> {
    at_us: u64,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Debug, Serialize)]
struct Broken {
    offset: usize,
    len: usize,
    error: String,
}

/// The object on one line.
///
/// # Errors
/// serde_json's, which has none for what is in here.
pub fn to_json(timeline: &Timeline, decoded: &Decoded) -> serde_json::Result<String> {
    let broken = |broken: &crate::entry::Broken| Broken {
        offset: broken.offset,
        len: broken.len,
        error: broken.error.to_string(),
    };
    let events =
        decoded.entries.iter().filter_map(|entry| Some(Timed { at_us: entry.at_us, event: entry.event().ok()? }));
    serde_json::to_string(&Boot {
        format: FORMAT,
        build_id: decoded.header.build_id.to_string(),
        lost: decoded.header.lost,
        outcome: &timeline.outcome,
        start_us: timeline.start_us,
        end_us: timeline.end_us,
        stages: &timeline.stages,
        waits: &timeline.waits,
        tpm: &timeline.tpm,
        events: events.collect(),
        broken: decoded.broken.iter().map(broken).collect(),
    })
}
