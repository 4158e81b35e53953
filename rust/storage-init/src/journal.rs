// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened so far: lines for the console, and the record that goes to the booted system.

use core::fmt;

use boot_record::boot_json::{MAX_REFUSED, MAX_STAGES, Refusal, StageRecord};
use boot_record::event::Event;
use boot_record::stage::Stage;
use kernel_edge::kmsg::{Kmsg, Level};

use crate::failure::{Failure, text};

/// The log of this boot.
#[derive(Debug)]
pub struct Journal {
    kmsg: Option<Kmsg>,
    open: Option<(Stage, u64)>,
    /// The stages that ended.
    pub stages: heapless::Vec<StageRecord, MAX_STAGES>,
    /// The disks and candidates that were refused.
    pub refused: heapless::Vec<Refusal, MAX_REFUSED>,
}

impl Journal {
    /// A log without a console yet.
    pub const fn new() -> Self {
        Self { kmsg: None, open: None, stages: heapless::Vec::new(), refused: heapless::Vec::new() }
    }

    /// From here on lines go to the kernel log. What cannot be opened is not needed to boot.
    pub fn open_kmsg(&mut self) {
        self.kmsg = Kmsg::open().ok();
    }

    /// Leaves the kernel log as a system expects it.
    pub fn close(&self) {
        if let Some(kmsg) = &self.kmsg {
            kmsg.restore_rate_limit();
        }
    }

    /// A stage begins.
    pub fn begin(&mut self, stage: Stage) {
        self.open = Some((stage, now()));
    }

    /// The stage that began last has ended, with this result.
    pub fn end(&mut self, detail: impl fmt::Display) {
        if let Some((stage, start_us)) = self.open.take() {
            let took_us = now().saturating_sub(start_us);
            // The stages of the candidate that boots are the last: a full log loses its oldest.
            if self.stages.is_full() {
                self.stages.remove(0);
            }
            let _ = self.stages.push(StageRecord { stage, start_us, took_us, detail: text(detail) });
        }
    }

    /// Says what happened. A refusal is kept for boot.json too.
    pub fn log(&mut self, event: &Event<'_>) {
        let level = match event {
            Event::Failed { .. } => Level::Critical,
            Event::Refused { .. } => Level::Error,
            _ => Level::Notice,
        };
        self.line(level, format_args!("{event}"));
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

/// Microseconds of CLOCK_MONOTONIC, which starts with the kernel's timekeeping.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
}
