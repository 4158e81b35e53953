// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened so far: lines for the console, the log of all events, and the record that goes to the booted system.
//!
//! Every event goes into the log. What a person at the console, or in the journal of the booted system, has to know is also a
//! line of the kernel log: whatever is refused, and one line for the outcome.

use core::fmt;

use boot_record::boot_json::{MAX_REFUSED, MAX_STAGES, Refusal, StageRecord};
use boot_record::event::Event;
use boot_record::log_header::{BuildId, Header};
use boot_record::stage::Stage;
use kernel_edge::clock::now_us;
use kernel_edge::kmsg::{Kmsg, Level};
use kernel_edge::{Errno, boot_log, build_id, file};

use crate::failure::{Failure, text};

/// The log of this boot.
#[derive(Debug)]
pub struct Journal {
    kmsg: Option<Kmsg>,
    open: Option<(Stage, u64)>,
    /// The stages that ended.
    pub stages: Box<heapless::Vec<StageRecord, MAX_STAGES>>,
    /// The disks and candidates that were refused.
    pub refused: Box<heapless::Vec<Refusal, MAX_REFUSED>>,
}

impl Journal {
    /// A log without a console yet.
    pub fn new() -> Self {
        Self { kmsg: None, open: None, stages: Box::default(), refused: Box::default() }
    }

    /// From here on lines go to the kernel log, and events also to the memory that outlives a reset. What cannot be opened
    /// is not needed to boot.
    pub fn open(&mut self) {
        self.kmsg = Kmsg::open().ok();
        self.open_persistent();
    }

    /// Opens the memory that outlives a reset, unless it is open: its driver may be a module. It gets all events since the start.
    pub fn open_persistent(&self) {
        if boot_log::is_persistent() {
            return;
        }
        if let Some(header) = header() {
            boot_log::open_persistent(header.item().as_bytes());
        }
    }

    /// Leaves the kernel log as a system expects it.
    pub fn close(&self) {
        if let Some(kmsg) = &self.kmsg {
            kmsg.restore_rate_limit();
        }
    }

    /// A stage begins.
    pub fn begin(&mut self, stage: Stage) {
        self.open = Some((stage, now_us()));
        self.log(&Event::StageBegan { stage });
    }

    /// The stage that began last has ended, with this result.
    pub fn end(&mut self, detail: impl fmt::Display) {
        if let Some((stage, start_us)) = self.open.take() {
            let took_us = now_us().saturating_sub(start_us);
            // The stages of the candidate that boots are the last: a full log loses its oldest.
            if self.stages.is_full() {
                self.stages.remove(0);
            }
            let detail = text(detail);
            self.log(&Event::StageEnded { stage, detail: &detail });
            let _ = self.stages.push(StageRecord { stage, start_us, took_us, detail });
        }
    }

    /// Says what happened. A refusal is kept for boot.json too.
    pub fn log(&mut self, event: &Event<'_>) {
        event.emit();
        // The end of a stage waits for the beginning of the next: a watchdog that resets here blames the right one.
        if !matches!(event, Event::StageEnded { .. } | Event::WaitEnded { .. }) {
            boot_log::flush();
        }
        if let Some(level) = level(event) {
            self.line(level, format_args!("{event}"));
        }
        if let Event::Refused { device, reason, detail } = *event {
            // A full list has the newest candidates: those that were tried first.
            let _ = self.refused.push(Refusal { reason, device: text(device), detail: text(detail) });
        }
    }

    /// A disk or candidate was refused; the boot goes on.
    pub fn refused(&mut self, failure: &Failure) {
        self.log(&Event::Refused { device: &failure.device, reason: failure.reason, detail: &failure.detail });
    }

    fn line(&self, level: Level, line: fmt::Arguments<'_>) {
        match &self.kmsg {
            Some(kmsg) => kmsg.line(level, line),
            // Before /dev is there, only the kernel's own console is.
            None => {
                let line: heapless::String<512> = text(format_args!("storage-init: {line}\n"));
                let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
            }
        }
    }
}

/// How an event appears in the kernel log, if it does.
const fn level(event: &Event<'_>) -> Option<Level> {
    match event {
        Event::StageBegan { .. }
        | Event::StageEnded { .. }
        | Event::Waiting { .. }
        | Event::WaitEnded { .. }
        | Event::TpmCommand { .. } => None,
        Event::BackupTable { .. } | Event::Condemned { .. } | Event::HandOver { .. } => Some(Level::Notice),
        Event::Refused { .. } | Event::NotMeasured { .. } => Some(Level::Error),
        Event::Failed { .. } => Some(Level::Critical),
    }
}

/// The log's header; a program without a build ID has no log that could be read.
fn header() -> Option<Header> {
    Some(Header { build_id: BuildId::new(build_id::of_this_program()?)?, lost: boot_log::lost() })
}

/// Writes the log of all events to a new file.
///
/// # Errors
/// The errno of the call that failed.
pub fn write_log(path: &str) -> Result<(), Errno> {
    let Some(header) = header() else { return Ok(()) };
    let file = file::create(path)?;
    file::write_all(&file, header.item().as_bytes())?;
    boot_log::write_to(&file)
}
