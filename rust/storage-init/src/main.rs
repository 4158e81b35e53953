// SPDX-License-Identifier: MIT OR Apache-2.0
//! `storage-init`: PID 1 of the mini-initramfs.
//!
//! * Finds the configured DDI, has the kernel check its signature, mounts it and executes its init. Where the configuration
//!   says so, it checks the signature itself.
//! * Runs and mounts nothing that is unsigned, except that it reads the vfat of an ESP to find the file.
//! * Ends in one of two ways: the exec of init, or a line `BOOT FAILED: REASON: DEVICE: DETAIL` and power off (a reset, where the
//!   failed candidate was measured and is now recorded as bad). There is no shell, no wait for an event without a deadline, and a panic resets the machine.
//! * The modules below are the stages in boot order. Each takes the type that only the stage before it makes:
//!   `BlockDevice -> Candidate -> SignedRoot -> Measured -> MountedRoot -> exec`.
//! * What to do next is decided in one place, [`decide`]; this file does it.

// See kernel_edge::entry!.
#![cfg_attr(not(test), no_main)]

mod activate;
mod condemn;
mod config;
mod decide;
mod discover;
mod early;
mod esp;
mod failure;
mod hand_over;
mod journal;
mod measure;
mod modules;
mod select;
mod sources;
mod table;
mod tpm;
mod unlock;
mod verify;

use boot_formats::gpt::Table;
use boot_formats::hex::Hex;
use boot_record::boot_json::{BootRecord, Measurement, SignerRecord};
use boot_record::config::Measure;
use boot_record::event::Event as Happened;
use boot_record::modules::List;
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use kernel_edge::watchdog::Watchdog;
use kernel_edge::{boot_log, kmsg, power, process};

use crate::activate::MountedRoot;
use crate::condemn::Sentence;
use crate::config::Settings;
use crate::decide::{Action, Event};
use crate::discover::{DeviceName, Discovery};
use crate::failure::{Failure, text};
use crate::journal::Journal;
use crate::measure::{Measured, Refused};
use crate::select::Candidates;
use crate::tpm::{Extended, Tpm};
use crate::unlock::{Unlocked, Volumes};
use crate::verify::SignedRoot;

#[cfg(not(test))]
kernel_edge::entry!(run);

#[cfg(not(test))]
#[global_allocator]
static MEMORY: kernel_edge::arena::Arena = kernel_edge::arena::Arena::new();

/// The program.
#[cfg_attr(test, allow(dead_code))]
fn run() -> ! {
    if !rustix::process::getpid().is_init() {
        if let Some(status) = tpm::run_as_child() {
            process::exit(status);
        }
        let _ = rustix::io::write(rustix::stdio::stderr(), b"storage-init: runs only as PID 1 of an initramfs\n");
        process::exit(2);
    }
    std::panic::set_hook(Box::new(reset_on_panic));

    let mut boot = Boot::new();
    let (mut state, mut action) = decide::begin();
    loop {
        let event = match action {
            Action::Stop(failure) => boot.stop(&failure, power::power_off),
            Action::Restart(failure) => boot.stop(&failure, power::restart),
            action => boot.perform(&action).unwrap_or_else(Event::Failed),
        };
        (state, action) = decide::next(state, event);
    }
}

/// What the boot has in its hands.
struct Boot {
    journal: Journal,
    settings: Option<Settings>,
    watchdog: Option<Watchdog>,
    /// Where the configuration wants one.
    tpm: Option<Result<Tpm, tpm::Failed>>,
    modules: Box<List>,
    discovery: Option<Discovery>,
    disk: Option<DeviceName>,
    /// Room for the partition table of a disk or image.
    table: Box<Table>,
    candidates: Candidates,
    /// The candidate that is being tried, by its place.
    tried: usize,
    volumes: Volumes,
    held: Held,
    unlocked: Unlocked,
}

/// The candidate that is being tried, as far as it has come. Replacing it drops it, and with it its devices.
enum Held {
    Nothing,
    Signed(SignedRoot),
    Measured(Measured),
    Mounted(MountedRoot),
}

impl Boot {
    fn new() -> Self {
        Self {
            journal: Journal::new(),
            settings: None,
            watchdog: None,
            tpm: None,
            modules: Box::default(),
            discovery: None,
            disk: None,
            table: Box::default(),
            candidates: Candidates::default(),
            tried: 0,
            volumes: Volumes::default(),
            held: Held::Nothing,
            unlocked: Unlocked::default(),
        }
    }

    /// Performs one action; its failure is an event like any other.
    ///
    /// None of them is inlined: the binary is a kilobyte smaller for it.
    fn perform(&mut self, action: &Action) -> Result<Event, Failure> {
        let outcome = match action {
            Action::Prepare => self.prepare(),
            Action::Configure => self.configure(),
            Action::LoadModules => self.load_modules(),
            Action::AwaitDisk => self.await_disk(),
            Action::SearchDisk => self.search_disk(),
            Action::Verify { index } => self.verify(*index),
            Action::Measure => self.measure(),
            Action::Activate => self.activate(),
            Action::Unlock => self.unlock(),
            Action::HandOver => self.hand_over(),
            Action::Condemn { index, failure } => Ok(self.condemn(*index, failure)),
            Action::Stop(failure) | Action::Restart(failure) => Err(failure.clone()),
        };
        if let Err(failure) = &outcome {
            self.journal.end(failure.reason);
        }
        outcome
    }

    #[inline(never)]
    fn prepare(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Early);
        early::prepare()?;
        self.journal.open();
        self.journal.end("devtmpfs, proc, sysfs, tmpfs");
        Ok(Event::Prepared)
    }

    #[inline(never)]
    fn configure(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Config);
        let settings = config::read()?;
        let watchdog = config::start_watchdog(&settings.config);
        // Its driver may be one of the modules: it has a second chance after them.
        self.watchdog = if settings.config.modules.is_empty() { watchdog? } else { watchdog.unwrap_or_default() };
        if settings.config.measure != Measure::None {
            self.tpm = Some(Tpm::start(&settings.config));
        }
        self.journal.end(format_args!("image {}", settings.config.image_id));
        self.settings = Some(settings);
        Ok(Event::Configured)
    }

    #[inline(never)]
    fn load_modules(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Modules);
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        if settings.config.modules.is_empty() {
            self.journal.end("none configured");
        } else {
            self.modules = modules::read()?;
            let command_line = config::command_line()?;
            let tally = modules::load(&self.modules, &command_line, keep_alive(self.watchdog.as_ref()))?;
            self.journal.open_persistent();
            if self.watchdog.is_none() {
                self.watchdog = config::start_watchdog(&settings.config)?;
            }
            self.journal.end(tally);
        }
        self.tpm = self.tpm.take().map(Tpm::unless_impossible);
        Ok(Event::ModulesLoaded)
    }

    #[inline(never)]
    fn await_disk(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Discover);
        self.held = Held::Nothing;
        self.candidates.clear();
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        if self.discovery.is_none() {
            self.discovery = Some(Discovery::begin(&settings.config)?);
        }
        let discovery = self.discovery.as_mut().ok_or_else(out_of_order)?;
        self.disk = discovery.next(&settings.config, &mut self.journal)?;
        match &self.disk {
            Some(disk) => {
                self.journal.end(disk);
                Ok(Event::DiskFound)
            }
            None => {
                self.journal.end("deadline passed");
                Ok(Event::DeadlinePassed)
            }
        }
    }

    #[inline(never)]
    fn search_disk(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Select);
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        let name = self.disk.take().ok_or_else(out_of_order)?;
        let searched = discover::open(&name)
            .and_then(|disk| {
                let (candidates, volumes) = (&mut self.candidates, &mut self.volumes);
                sources::search(&disk, &mut self.table, &settings.config, candidates, volumes, &mut self.journal)
            })
            .inspect_err(|failure| self.journal.refused(failure));
        if let Some(Ok(tpm)) = &self.tpm {
            self.volumes.prepare(&settings.config, tpm);
        }
        searched?;
        let candidates = self.candidates.len();
        self.journal.end(format_args!("{candidates} on {name}"));
        Ok(Event::Searched { candidates })
    }

    #[inline(never)]
    fn verify(&mut self, index: usize) -> Result<Event, Failure> {
        self.begin(Stage::Verify);
        // The devices of the candidate before must go first: the next one may have the same root hash.
        self.held = Held::Nothing;
        self.tried = index;
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        let candidate = self.candidates.get(index).ok_or_else(out_of_order)?;
        let signed = verify::verify(candidate, &mut self.table, settings)
            .inspect_err(|failure| self.journal.refused(failure))?;
        let facts = signed.facts();
        self.journal.end(&facts.label);
        self.held = Held::Signed(signed);
        Ok(Event::Signed)
    }

    #[inline(never)]
    fn measure(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Measure);
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        let Held::Signed(signed) = core::mem::replace(&mut self.held, Held::Nothing) else {
            return Err(out_of_order());
        };
        let alive = keep_alive(self.watchdog.as_ref());
        match measure::measure(signed, &settings.config, self.tpm.as_mut(), &mut self.journal, alive) {
            Ok(measured) => {
                let extended = measured.extended();
                self.journal.end(measured.outcome());
                // No key without a measured image; whoever opens volumes looks for the signatures where they are put.
                if let Some(Ok(tpm)) = &self.tpm
                    && measured.outcome().measurement == Measurement::Measured
                {
                    let offered = self.candidates.get(self.tried).map(unlock::offer_signatures);
                    if let Some(Err(failure)) = offered {
                        self.journal.refused(&failure);
                    }
                    self.volumes.request(&settings.config, tpm);
                }
                self.held = Held::Measured(measured);
                Ok(Event::Measured { extended })
            }
            Err(Refused::Untouched(failure)) => Err(failure),
            Err(Refused::Spent(failure)) => {
                self.journal.end(failure.reason);
                Ok(Event::TpmLost(failure))
            }
        }
    }

    #[inline(never)]
    fn activate(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::Activate);
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        let Held::Measured(measured) = core::mem::replace(&mut self.held, Held::Nothing) else {
            return Err(out_of_order());
        };
        let mounted =
            activate::activate(measured, &settings.config).inspect_err(|failure| self.journal.refused(failure))?;
        self.journal.end(if settings.config.overlay { "erofs, overlay" } else { "erofs" });
        self.held = Held::Mounted(mounted);
        Ok(Event::Mounted)
    }

    #[inline(never)]
    fn unlock(&mut self) -> Result<Event, Failure> {
        if self.settings.as_ref().ok_or_else(out_of_order)?.config.volumes.is_empty() {
            return Ok(Event::Unlocked);
        }
        self.begin(Stage::Unlock);
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        let alive = keep_alive(self.watchdog.as_ref());
        self.unlocked = self.volumes.wait(&settings.config, self.tpm.as_mut(), &mut self.journal, alive)?;
        let Unlocked { volumes, latched } = &self.unlocked;
        let (opened, configured) = (volumes.len(), settings.config.volumes.len());
        let latched = match latched {
            None => ["", ""],
            Some(Extended { logged: true, .. }) => [", latched", ""],
            Some(Extended { logged: false, .. }) => [", latched", tpm::UNLOGGED],
        };
        self.journal.end(format_args!("{opened} of {configured}{}", latched.concat()));
        Ok(Event::Unlocked)
    }

    /// Comes back only with the reason why init was not executed.
    #[inline(never)]
    fn hand_over(&mut self) -> Result<Event, Failure> {
        self.begin(Stage::HandOver);
        let settings = self.settings.as_ref().ok_or_else(out_of_order)?;
        let Held::Mounted(mounted) = core::mem::replace(&mut self.held, Held::Nothing) else {
            return Err(out_of_order());
        };
        if let Some(Ok(tpm)) = self.tpm.take()
            && let Err(stuck) = tpm.finish(keep_alive(self.watchdog.as_ref()))
        {
            let failure = Failure::new(Reason::TpmFailed, "tpm0", stuck);
            if settings.config.measure == Measure::Require {
                self.journal.end(failure.reason);
                return Ok(Event::TpmLost(failure));
            }
            self.journal.refused(&failure);
        }
        if !mounted.transition
            && let Err(failure) = mounted.device.backing().keep_file()
        {
            // What is read is verified in any case; but the file may be taken from under the root.
            self.journal.refused(&failure);
        }
        self.journal.end(&settings.config.init);
        let record = record(settings, &mounted, &self.unlocked, &mut self.journal);
        Err(hand_over::hand_over(mounted, settings, &self.modules, &record, &mut self.journal))
    }

    /// Records a candidate as bad, if there is something to record it in. Lets go of all candidates: their file systems are
    /// read-only as long as one of them is held.
    #[inline(never)]
    fn condemn(&mut self, index: usize, failure: &Failure) -> Event {
        let sentence = self.candidates.get(index).and_then(Sentence::on);
        self.held = Held::Nothing;
        self.candidates.clear();
        let recorded = sentence.is_some_and(|sentence| sentence.carry_out());
        if recorded {
            self.journal.log(&Happened::Condemned { device: &failure.device });
        }
        Event::Condemned { recorded }
    }

    /// Begins a stage: another span of the watchdog's time for it. Panics there if the configuration of a test image says so.
    fn begin(&mut self, stage: Stage) {
        self.journal.begin(stage);
        if let Some(watchdog) = &self.watchdog {
            watchdog.keep_alive();
        }
        let panic_at = self.settings.as_ref().and_then(|settings| settings.config.dangerously_panic_at);
        if panic_at == Some(stage) {
            #[expect(clippy::panic, reason = "the test of the panic path asks for it")]
            {
                panic!("dangerously-panic-at = {stage}");
            }
        }
    }

    /// Says why, and ends the boot.
    fn stop(&mut self, failure: &Failure, end: fn()) -> ! {
        self.journal.log(&Happened::Failed {
            device: &failure.device,
            reason: failure.reason,
            detail: &failure.detail,
        });
        end();
        // The kernel refused. Nothing is running, and nothing will; a configured watchdog resets.
        loop {
            rustix::event::pause();
        }
    }
}

/// boot.json: what was verified, by which key, and when.
fn record(settings: &Settings, mounted: &MountedRoot, unlocked: &Unlocked, journal: &mut Journal) -> BootRecord {
    let device = &mounted.device;
    let facts = device.facts();
    BootRecord {
        format: boot_record::boot_json::FORMAT,
        image_id: text(&settings.config.image_id),
        version: text(&facts.claimed_version),
        source: facts.source,
        device: text(&facts.label),
        slot: None,
        root_hash: text(facts.root_hash),
        signer: SignerRecord {
            sha256: text(Hex(&facts.signer.sha256)),
            common_name: text(&facts.signer.common_name),
            development: facts.signer.development,
        },
        signature: settings.config.signature,
        measurement: device.outcome().measurement,
        measured: device.outcome().measured.as_deref().cloned(),
        volumes: unlocked.volumes.clone(),
        latched: unlocked.latched.is_some(),
        overlay: settings.config.overlay,
        verity_device: text(device.name()),
        // Nothing is added to them from here on.
        refused: core::mem::take(&mut journal.refused),
        stages: core::mem::take(&mut journal.stages),
    }
}

/// What long waits call in between.
fn keep_alive(watchdog: Option<&Watchdog>) -> impl Fn() {
    move || watchdog.into_iter().for_each(Watchdog::keep_alive)
}

/// An action without what the one before it made. The types allow no other order; a wrong loop ends here.
fn out_of_order() -> Failure {
    Failure::new(Reason::Internal, "storage-init", "an action came out of order")
}

/// A panic is a bug. It says where, and resets the machine; CONFIG_PANIC_TIMEOUT does if this does not.
fn reset_on_panic(info: &std::panic::PanicHookInfo<'_>) {
    let detail: heapless::String<{ boot_record::boot_json::MAX_DETAIL }> = text(info);
    Happened::Failed { reason: Reason::Panic, device: "storage-init", detail: &detail }.emit();
    boot_log::flush();
    if let Ok(kmsg) = kmsg::Kmsg::open() {
        kmsg.line(kmsg::Level::Critical, format_args!("{info}"));
    }
    power::restart();
}
