// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot for people: what it came to, then a table of where its time went.

use std::fmt;

use boot_record::event::Plain;

use crate::entry::Decoded;
use crate::timeline::{StageSpan, Timeline};

/// Name of the time before storage-init's first event.
pub const KERNEL: &str = "kernel";

/// Prints a boot. Names come from devices and images: control characters are printed as `?`.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The boot.
    pub timeline: &'a Timeline,
    /// The log it is from.
    pub decoded: &'a Decoded,
}

/// A line of the table.
struct Row<'a> {
    name: &'a str,
    start_us: u64,
    end_us: Option<u64>,
    what: String,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeline, decoded } = self;
        writeln!(f, "{}", timeline.outcome)?;
        writeln!(f)?;
        writeln!(f, "{:<9} | {:>11} | {:>10} | what", "stage", "start", "took")?;
        writeln!(f, "{:-<9}-+-{:-<11}-+-{:-<10}-+-{:-<38}", "", "", "", "")?;
        for row in rows(timeline) {
            let Row { name, start_us, end_us, what } = &row;
            let took = end_us.map_or_else(|| "?".to_owned(), |end_us| milliseconds(end_us.saturating_sub(*start_us)));
            writeln!(f, "{name:<9} | {:>11} | {took:>10} | {}", milliseconds(*start_us), Plain(what))?;
        }
        let before = milliseconds(timeline.start_us);
        let after = milliseconds(timeline.end_us.saturating_sub(timeline.start_us));
        writeln!(f, "\n{before} until storage-init, {after} in it; build {}", decoded.header.build_id)?;
        if decoded.header.lost > 0 {
            writeln!(f, "the log had no room for its first {} events", decoded.header.lost)?;
        }
        for broken in &decoded.broken {
            writeln!(f, "{} bytes at {} are no event: {}", broken.len, broken.offset, broken.error)?;
        }
        Ok(())
    }
}

/// Everything in order of time; what began at the same time, in order of what contains what.
fn rows(timeline: &Timeline) -> Vec<Row<'_>> {
    let mut rows = vec![Row {
        name: KERNEL,
        start_us: 0,
        end_us: Some(timeline.start_us),
        what: "from its first clock tick".to_owned(),
    }];
    rows.extend(timeline.stages.iter().map(|span| Row {
        name: span.stage.name(),
        start_us: span.start_us,
        end_us: span.end_us,
        what: what(span),
    }));
    rows.extend(timeline.waits.iter().map(|wait| Row {
        name: "  wait",
        start_us: wait.start_us,
        end_us: wait.end_us,
        what: format!("for {}", wait.what),
    }));
    rows.extend(timeline.tpm.iter().map(|command| Row {
        name: "  TPM",
        start_us: command.start_us,
        end_us: Some(command.end_us),
        what: command.to_string(),
    }));
    rows.extend(timeline.marks.iter().map(|mark| Row {
        name: "  note",
        start_us: mark.at_us,
        end_us: Some(mark.at_us),
        what: mark.text.clone(),
    }));
    rows.sort_by_key(|row| row.start_us);
    rows
}

/// What a stage came to, in one cell.
#[must_use]
pub fn what(span: &StageSpan) -> String {
    match (span.end_us, span.refused) {
        (None, _) => "the log ends in it".to_owned(),
        (_, Some(reason)) => format!("refused: {reason}"),
        (_, None) => span.detail.clone(),
    }
}

/// Microseconds as milliseconds with one digit behind the point, cut, not rounded.
#[must_use]
pub fn milliseconds(us: u64) -> String {
    let tenths = us / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
