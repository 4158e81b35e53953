// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a boot, as values.
//!
//! * Each is one plain line for the console ([`Display`](fmt::Display)).
//! * Each is one defmt frame for the log ([`Event::emit`], with the feature `emit`), and is read back from its fields
//!   ([`fields`]).
//!
//! Names come from devices and images, so from strangers: a control character in one is printed as `?`, and a line
//! stays a line.

#[cfg(feature = "emit")]
mod emit;
pub mod fields;

use core::fmt::{self, Write};

use serde::Serialize;

use crate::reason::Reason;
use crate::stage::Stage;

/// The [`Event::TpmCommand`] that was carried out has this answer.
pub const TPM_SUCCESS: &str = "TPM_RC_SUCCESS";

/// Something that happened.
///
/// A reader takes one from its [`name`](Self::name) and its fields ([`fields`]); the names below in kebab-case are those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// A stage begins.
    StageBegan {
        /// Which.
        stage: Stage,
    },
    /// The stage that began last is over, well or not.
    StageEnded {
        /// Which.
        stage: Stage,
        /// What came of it: a fact, or the name of the reason that it failed for.
        detail: &'a str,
    },
    /// Nothing is left to do until a device appears.
    Waiting {
        /// What is awaited.
        what: &'a str,
        /// Milliseconds until the wait ends by itself.
        at_most_ms: u64,
    },
    /// That wait is over, by a device or by its deadline.
    WaitEnded {
        /// What was awaited.
        what: &'a str,
    },
    /// The primary partition table of a disk is bad; its backup is used.
    BackupTable {
        /// The disk.
        device: &'a str,
    },
    /// A disk or candidate will not be used; the boot goes on.
    Refused {
        /// Where: disk, partition, or partition and file.
        device: &'a str,
        /// Why.
        reason: Reason,
        /// The error in its own words.
        detail: &'a str,
    },
    /// Nothing was measured, and the configuration has the boot go on without.
    NotMeasured {
        /// Why.
        reason: Reason,
        /// The error in its own words.
        detail: &'a str,
    },
    /// The TPM was sent a command. Logged once its request is answered, so later than it happened.
    TpmCommand {
        /// Its name, such as `TPM2_Unseal`.
        command: &'a str,
        /// What the TPM said: the name of a response code, [`TPM_SUCCESS`] where the command was carried out.
        answer: &'a str,
        /// When it was sent, in microseconds of the same clock as every event's time.
        start_us: u64,
        /// Microseconds until the answer.
        took_us: u64,
    },
    /// A candidate that failed after it was measured is now recorded as bad where it lies: the next boot prefers another.
    Condemned {
        /// The candidate.
        device: &'a str,
    },
    /// A candidate was verified and mounted, and its init is about to be executed.
    HandOver {
        /// Path of its init.
        init: &'a str,
        /// Where the candidate lies.
        device: &'a str,
        /// Its version.
        version: &'a str,
        /// Common name of the certificate that signed it.
        signer: &'a str,
        /// Whether that is a development key.
        development: bool,
    },
    /// No candidate is left, or the boot cannot go on.
    Failed {
        /// Why.
        reason: Reason,
        /// Where.
        device: &'a str,
        /// The error in its own words.
        detail: &'a str,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::StageBegan { stage } => write!(f, "{stage}: begins"),
            Self::StageEnded { stage, detail } => write!(f, "{stage}: ended: {}", Plain(detail)),
            Self::Waiting { what, at_most_ms } => write!(f, "waiting for {}, at most {at_most_ms} ms", Plain(what)),
            Self::WaitEnded { what } => write!(f, "no longer waiting for {}", Plain(what)),
            Self::BackupTable { device } => {
                write!(f, "{}: the primary partition table is bad, using the backup", Plain(device))
            }
            Self::Refused { device, reason, detail } => {
                write!(f, "refused: {reason}: {}: {}", Plain(device), Plain(detail))
            }
            Self::NotMeasured { reason, detail } => write!(f, "not measured: {reason}: {}", Plain(detail)),
            Self::TpmCommand { command, answer, took_us, .. } => {
                write!(f, "{}: {} after {took_us} us", Plain(command), Plain(answer))
            }
            Self::Condemned { device } => write!(f, "{}: recorded as bad", Plain(device)),
            Self::HandOver { init, device, version, signer, development } => {
                let key = if development { "DEVELOPMENT key " } else { "" };
                let (init, device, version) = (Plain(init), Plain(device), Plain(version));
                write!(f, "executing {init} of {device} version {version} signed by {key}{}", Plain(signer))
            }
            Self::Failed { reason, device, detail } => {
                write!(f, "BOOT FAILED: {reason}: {}: {}", Plain(device), Plain(detail))
            }
        }
    }
}

/// Text of unknown origin, for one line of a log.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split(char::is_control);
        f.write_str(parts.next().unwrap_or_default())?;
        parts.try_for_each(|part| f.write_char('?').and_then(|()| f.write_str(part)))
    }
}
