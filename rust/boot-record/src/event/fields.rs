// SPDX-License-Identifier: MIT OR Apache-2.0
//! An event from its name and the text of its fields, as a decoder of the log has them.

use core::fmt;
use core::str::FromStr;

use super::Event;
use crate::reason::Reason;
use crate::stage::Stage;

/// Why an event was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No event has this name: the log is of a newer writer.
    UnknownEvent,
    /// A field of the event is not there.
    Missing {
        /// Its key.
        key: &'static str,
    },
    /// A field has a value that is none of its kind.
    Value {
        /// Its key.
        key: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEvent => f.write_str("an event of no known name"),
            Self::Missing { key } => write!(f, "an event without its field {key}"),
            Self::Value { key } => write!(f, "an event whose field {key} has no known value"),
        }
    }
}

impl core::error::Error for Error {}

impl<'a> Event<'a> {
    /// The event called `name`; `field` gives the text of the field of a key. Fields that the event does not have are not
    /// asked for.
    ///
    /// # Errors
    /// Each of [`Error`].
    pub fn from_fields(name: &str, field: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Error> {
        let text = |key| field(key).ok_or(Error::Missing { key });
        let stage = |key| Stage::of(text(key)?).ok_or(Error::Value { key });
        let reason = |key| Reason::of(text(key)?).ok_or(Error::Value { key });
        Ok(match name {
            "stage-began" => Self::StageBegan { stage: stage("stage")? },
            "stage-ended" => Self::StageEnded { stage: stage("stage")?, detail: text("detail")? },
            "waiting" => Self::Waiting { what: text("what")?, at_most_ms: parsed(text, "at_most_ms")? },
            "wait-ended" => Self::WaitEnded { what: text("what")? },
            "backup-table" => Self::BackupTable { device: text("device")? },
            "refused" => Self::Refused { device: text("device")?, reason: reason("reason")?, detail: text("detail")? },
            "not-measured" => Self::NotMeasured { reason: reason("reason")?, detail: text("detail")? },
            "tpm-command" => Self::TpmCommand {
                command: text("command")?,
                answer: text("answer")?,
                start_us: parsed(text, "start_us")?,
                took_us: parsed(text, "took_us")?,
            },
            "condemned" => Self::Condemned { device: text("device")? },
            "hand-over" => Self::HandOver {
                init: text("init")?,
                device: text("device")?,
                version: text("version")?,
                signer: text("signer")?,
                development: parsed(text, "development")?,
            },
            "failed" => Self::Failed { reason: reason("reason")?, device: text("device")?, detail: text("detail")? },
            _ => return Err(Error::UnknownEvent),
        })
    }
}

fn parsed<'a, T: FromStr>(
    text: impl Fn(&'static str) -> Result<&'a str, Error>,
    key: &'static str,
) -> Result<T, Error> {
    text(key)?.parse().map_err(|_| Error::Value { key })
}
