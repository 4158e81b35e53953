// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events as spans of time: the kernel, the stages, the waits, the TPM's commands; and what the boot came to.

use boot_record::event::{Event, TPM_SUCCESS};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use serde::Serialize;

/// A stage, once for each time that it was entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageSpan {
    /// Which.
    pub stage: Stage,
    /// When it began, in microseconds since the kernel's timekeeping started.
    pub start_us: u64,
    /// When it ended; `None` if the log ends before.
    pub end_us: Option<u64>,
    /// What came of it.
    pub detail: String,
    /// Why what it tried was refused, if it was.
    pub refused: Option<Reason>,
}

/// A wait for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// What was awaited.
    pub what: String,
    /// When it began, in microseconds since the kernel's timekeeping started.
    pub start_us: u64,
    /// When it ended; `None` if the log ends before.
    pub end_us: Option<u64>,
}

/// A command that the TPM was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TpmCommand {
    /// Its name.
    pub command: String,
    /// What the TPM said.
    pub answer: String,
    /// When it was sent, in microseconds since the kernel's timekeeping started.
    pub start_us: u64,
    /// When there was an answer.
    pub end_us: u64,
}

impl TpmCommand {
    /// Whether it was carried out.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.answer == TPM_SUCCESS
    }
}

impl std::fmt::Display for TpmCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.command)?;
        if self.is_done() { Ok(()) } else { write!(f, ": {}", self.answer) }
    }
}

/// Something at one time that a person should see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When, in microseconds since the kernel's timekeeping started.
    pub at_us: u64,
    /// What, as the console had it.
    pub text: String,
}

/// What the boot came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// Init was to be executed.
    HandedOver {
        /// When.
        at_us: u64,
        /// Path of init.
        init: String,
        /// Where the image lies.
        device: String,
        /// Its version.
        version: String,
        /// Who signed it.
        signer: String,
        /// Whether with a development key.
        development: bool,
    },
    /// storage-init gave up.
    Failed {
        /// When.
        at_us: u64,
        /// Why.
        reason: Reason,
        /// Where.
        device: String,
        /// In which words.
        detail: String,
    },
    /// The log ends before either: the machine was reset, or lost its power.
    Unfinished {
        /// When the last event was.
        at_us: u64,
        /// The stage that had begun.
        stage: Option<Stage>,
    },
}

/// A boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The first event: what was before it is the kernel's.
    pub start_us: u64,
    /// The last event.
    pub end_us: u64,
    /// The stages, in order.
    pub stages: Vec<StageSpan>,
    /// The waits, in order.
    pub waits: Vec<Wait>,
    /// What the TPM was sent, in order.
    pub tpm: Vec<TpmCommand>,
    /// What was refused, and the like, in order.
    pub marks: Vec<Mark>,
    /// What it came to.
    pub outcome: Outcome,
}

/// A log without any event: there is nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has no event")]
pub struct NoEvent;

impl Timeline {
    /// The spans of these events, each with its time in microseconds since the kernel's timekeeping started.
    ///
    /// # Errors
    /// [`NoEvent`].
    pub fn of<'a>(events: impl IntoIterator<Item = (u64, Event<'a>)>) -> Result<Self, NoEvent> {
        let mut events = events.into_iter().peekable();
        let start_us = events.peek().ok_or(NoEvent)?.0;
        let mut timeline = Self {
            start_us,
            end_us: start_us,
            stages: Vec::new(),
            waits: Vec::new(),
            tpm: Vec::new(),
            marks: Vec::new(),
            outcome: Outcome::Unfinished { at_us: start_us, stage: None },
        };
        for (at_us, event) in events {
            timeline.end_us = at_us;
            timeline.add(at_us, &event);
        }
        if let Outcome::Unfinished { stage, at_us } = &mut timeline.outcome {
            *at_us = timeline.end_us;
            *stage = timeline.stages.last().filter(|last| last.end_us.is_none()).map(|last| last.stage);
        }
        Ok(timeline)
    }

    fn add(&mut self, at_us: u64, event: &Event<'_>) {
        match *event {
            Event::StageBegan { stage } => {
                self.end_stage(at_us);
                self.stages.push(StageSpan {
                    stage,
                    start_us: at_us,
                    end_us: None,
                    detail: String::new(),
                    refused: None,
                });
            }
            Event::StageEnded { stage, detail } => {
                if let Some(span) = self.stages.last_mut().filter(|span| span.stage == stage) {
                    detail.clone_into(&mut span.detail);
                    // Its record is written then; the stage itself lasts until init is executed.
                    if stage != Stage::HandOver {
                        span.end_us = Some(at_us);
                    }
                }
            }
            Event::Waiting { what, .. } => {
                self.waits.push(Wait { what: what.to_owned(), start_us: at_us, end_us: None });
            }
            Event::WaitEnded { what } => {
                if let Some(wait) = self.waits.last_mut().filter(|wait| wait.what == what) {
                    wait.end_us = Some(at_us);
                }
            }
            Event::TpmCommand { command, answer, start_us, took_us } => self.tpm.push(TpmCommand {
                command: command.to_owned(),
                answer: answer.to_owned(),
                start_us,
                end_us: start_us.saturating_add(took_us),
            }),
            Event::BackupTable { .. } | Event::NotMeasured { .. } | Event::Condemned { .. } => self.mark(at_us, event),
            Event::Refused { reason, .. } => {
                if let Some(span) = self.stages.last_mut().filter(|span| span.end_us.is_none()) {
                    span.refused = Some(reason);
                }
                self.mark(at_us, event);
            }
            Event::HandOver { init, device, version, signer, development } => {
                self.end_stage(at_us);
                self.outcome = Outcome::HandedOver {
                    at_us,
                    init: init.to_owned(),
                    device: device.to_owned(),
                    version: version.to_owned(),
                    signer: signer.to_owned(),
                    development,
                };
            }
            // One after the hand-over is that init could not be executed: what comes last counts.
            Event::Failed { reason, device, detail } => {
                if let Some(span) = self.stages.last_mut().filter(|span| span.end_us.is_none()) {
                    span.refused = Some(reason);
                }
                self.end_stage(at_us);
                self.outcome = Outcome::Failed { at_us, reason, device: device.to_owned(), detail: detail.to_owned() };
            }
        }
    }

    fn mark(&mut self, at_us: u64, event: &Event<'_>) {
        self.marks.push(Mark { at_us, text: event.to_string() });
    }

    fn end_stage(&mut self, at_us: u64) {
        if let Some(span) = self.stages.last_mut().filter(|span| span.end_us.is_none()) {
            span.end_us = Some(at_us);
        }
    }
}

impl Outcome {
    /// Whether init was executed, as far as the log says.
    #[must_use]
    pub const fn is_handed_over(&self) -> bool {
        matches!(self, Self::HandedOver { .. })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HandedOver { init, device, version, signer, development, .. } => {
                Event::HandOver { init, device, version, signer, development: *development }.fmt(f)
            }
            Self::Failed { reason, device, detail, .. } => Event::Failed { reason: *reason, device, detail }.fmt(f),
            Self::Unfinished { stage: Some(stage), .. } => write!(f, "BOOT CUT SHORT in stage {stage}"),
            Self::Unfinished { stage: None, .. } => f.write_str("BOOT CUT SHORT between two stages"),
        }
    }
}
