// SPDX-License-Identifier: MIT OR Apache-2.0
//! One event of a log, with its time: a frame that was decoded.
//!
//! The text of a frame is literal and parameter in turn (boot-record's `event/emit.rs`: `NAME KEY={...} KEY={...}`). The literals
//! come from the string table, the values from the frame, so that no value can pass for another field.

use boot_record::event::{Event, fields};
use boot_record::log_header::{BuildId, Header};
use defmt_decoder::DecodeError;

use crate::log::{Frame, Log};
use crate::string_table::StringTable;

/// Why a frame gave no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The writer had not come to its end.
    #[error("it is cut short")]
    Cut,
    /// It does not decode with the table of its build.
    #[error("it is damaged")]
    Damaged,
    /// Its time is no time.
    #[error("it has no time")]
    NoTime,
    /// It does not have the form of our events.
    #[error("it is no event")]
    NoEvent,
    /// It is an event that this program does not know.
    #[error("it is {0}")]
    Event(#[from] fields::Error),
}

/// A frame that gave no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where it begins, in bytes of the whole input.
    pub offset: usize,
    /// Bytes it has.
    pub len: usize,
    /// Why.
    pub error: Error,
}

/// An event and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Microseconds since the kernel's timekeeping started.
    pub at_us: u64,
    name: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    /// The event.
    ///
    /// # Errors
    /// [`fields::Error`]. Entries of [`decode`] have none.
    pub fn event(&self) -> Result<Event<'_>, fields::Error> {
        Event::from_fields(&self.name, |key| {
            self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
        })
    }

    fn decode(frame: &Frame<'_>, strings: &StringTable) -> Result<Self, Error> {
        if !frame.ended {
            return Err(Error::Cut);
        }
        let mut decoder = strings.table().new_stream_decoder();
        decoder.received(frame.bytes);
        decoder.received(&[0]);
        let frame = decoder.decode().map_err(|error| match error {
            DecodeError::UnexpectedEof | DecodeError::Malformed => Error::Damaged,
        })?;
        let time = frame.display_timestamp().ok_or(Error::NoTime)?.to_string();
        let at_us = microseconds(&time).ok_or(Error::NoTime)?;

        let texts: Vec<String> = frame.display_fragments().map(|fragment| fragment.to_string()).collect();
        let (first, rest) = texts.split_first().ok_or(Error::NoEvent)?;
        let (name, mut key) = first.split_once(' ').unwrap_or((first, ""));
        let mut fields = Vec::new();
        for pair in rest.chunks(2) {
            let (value, next) = match pair {
                [value, next] => (value, next.as_str()),
                [value] => (value, ""),
                _ => return Err(Error::NoEvent),
            };
            let name = key.trim_start().strip_suffix('=').ok_or(Error::NoEvent)?;
            fields.push((name.to_owned(), value.clone()));
            key = next;
        }
        let entry = Self { at_us, name: name.to_owned(), fields };
        entry.event()?;
        Ok(entry)
    }
}

/// The table is of another build than the log: its frames would be read as what they are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log is of build {log}, the log strings are of build {strings}")]
pub struct OtherBuild {
    /// The log's build.
    pub log: BuildId,
    /// The table's.
    pub strings: BuildId,
}

/// A log that was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its header.
    pub header: Header,
    /// Its events, in order.
    pub entries: Vec<Entry>,
    /// The frames that gave none.
    pub broken: Vec<Broken>,
}

impl Decoded {
    /// The events with their times.
    pub fn events(&self) -> impl Iterator<Item = (u64, Event<'_>)> {
        self.entries.iter().filter_map(|entry| Some((entry.at_us, entry.event().ok()?)))
    }
}

/// All events of a log.
///
/// # Errors
/// [`OtherBuild`]. A frame that gives no event is no error of the log.
pub fn decode(log: &Log<'_>, strings: &StringTable) -> Result<Decoded, OtherBuild> {
    if log.header.build_id != *strings.build_id() {
        return Err(OtherBuild { log: log.header.build_id.clone(), strings: strings.build_id().clone() });
    }
    let mut decoded = Decoded { header: log.header.clone(), entries: Vec::new(), broken: Vec::new() };
    for frame in &log.frames {
        match Entry::decode(frame, strings) {
            Ok(entry) => decoded.entries.push(entry),
            Err(error) => {
                decoded.broken.push(Broken { offset: frame.offset, len: frame.bytes.len(), error });
            }
        }
    }
    Ok(decoded)
}

/// Microseconds of a time that defmt shows as seconds with six digits behind the point.
fn microseconds(time: &str) -> Option<u64> {
    let (seconds, fraction) = time.split_once('.').filter(|(_, fraction)| fraction.len() == 6)?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_and_six_digits() {
        assert_eq!(microseconds("0.000007"), Some(7));
        assert_eq!(microseconds("12.345678"), Some(12_345_678));
        for time in ["", "7", "7.5", "x.000000", "1.00000x", "18446744073709551615.000000"] {
            assert_eq!(microseconds(time), None, "{time}");
        }
    }
}
