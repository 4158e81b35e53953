// SPDX-License-Identifier: MIT OR Apache-2.0
//! One boot of one virtual machine: QEMU's `virt` board with a Cortex-A72, emulated.
//!
//! * The console goes to a log file and, line by line, to the caller.
//! * The guest reports over a virtio-serial port ([`report`]); what it does after that is the host's answer.
//! * How it ended comes from QEMU's monitor ([`qmp`]), not from console text.
//! * Every boot has a deadline, after which the machine is killed.
//!
//! Does not judge what the guest reports: see [`crate::boot_report`].

pub mod bench;
mod command;
mod console;
pub mod enrolled_root;
pub mod firmware;
mod kept_memory;
pub mod kernel_choice;
pub mod machine;
mod parts;
mod qmp;
mod report;
mod sockets;
mod start;
pub mod storage;
pub mod system;
pub mod tpm;
pub mod volume;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tools::Tools;
use console::Console;
use qmp::Event;
use sockets::Sockets;
use storage::Storage;
use tpm::traffic::Traffic;

pub use command::{Options, run};
pub use kept_memory::KeptMemory;
pub use parts::{BootBinary, Config, IMAGE_ID, Parts};
pub use report::{Answer, Report};
pub use start::Start;

/// Name of the guest's port (also in tests/boot/probe and tests/boot/userspace).
const PORT: &str = "org.meta-initoverlayfs.report";
/// The console that the log is of: the board's serial port.
pub const SERIAL: &str = "ttyAMA0";
/// What the kernel says when it executes the initramfs' init.
const INIT_STARTS: &str = "Run /init as init process";
/// Size of the machine's memory.
const MEMORY: &str = "1G";
/// The board.
const MACHINE: [&str; 6] = ["-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-m", MEMORY];
/// Sockets in the boot's folder.
const REPORT: &str = "report";
const QMP: &str = "qmp";
/// The late disk's drive, and the port that it is plugged into.
const LATE_DRIVE: &str = "late";
const SLOT: &str = "late-port";
/// How often the TPM's traffic is looked at for a command that is waited for.
const LOOK: Duration = Duration::from_millis(5);
/// How long QEMU may take to start, and to end once told to.
const GRACE: Duration = Duration::from_secs(20);

/// When a disk is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// So long after the start.
    By(Duration),
    /// Once the boot stage has asked the TPM for this command (TPM_CC).
    Asked(u32),
}

/// What is measured of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Nothing: two processors, and time is the host's.
    Off,
    /// What the disks were asked for, up to the report.
    Reads,
    /// What the disks were asked for in the whole boot, and time counts instructions, 2 ns each. The machine has one
    /// processor.
    Instructions {
        /// Whether there is a report port: it is a device that the kernel has to find.
        report: bool,
    },
}

/// What the disks of a machine were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reads {
    /// Bytes read.
    pub bytes: u64,
    /// Requests to read.
    pub requests: u64,
}

/// One boot.
pub struct Boot<'a> {
    /// What it starts with.
    pub start: Start<'a>,
    /// Its TPM.
    pub tpm: Option<tpm::Attached<'a>>,
    /// Further devices, as QEMU's `-device` takes them.
    pub devices: &'a [&'a str],
    /// What its disks are.
    pub storage: Storage,
    /// Disks that are there from the start, in order: vda, vdb, ..., or the logical units of UFS.
    pub disks: &'a [&'a Path],
    /// A disk that is plugged in later.
    pub late_disk: Option<(&'a Path, Late)>,
    /// Memory that a boot before left, and a boot after will find.
    pub memory: Option<&'a KeptMemory>,
    /// What the guest is told once its report is complete.
    pub answer: Answer,
    /// What is measured.
    pub meter: Meter,
    /// The machine is killed after this, unless it was told to stay.
    pub deadline: Duration,
    /// It is killed when its console has a line that begins so.
    pub until: Option<&'a str>,
    /// Gets each line of the console, without control sequences.
    pub on_line: &'a (dyn Fn(&str) + Sync),
}

/// How the machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest powered off.
    PowerOff,
    /// The guest reset the machine: on purpose, or by a panic with `panic=-1`.
    Reset,
    /// The hardware watchdog reset the machine.
    Watchdog,
    /// QEMU was ended by someone else; its reason.
    Other(String),
    /// The deadline passed.
    Deadline,
    /// The console had the line that was waited for.
    Line,
}

/// What came of a boot.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// What the guest reported; `None` if it never did.
    pub report: Option<Report>,
    /// What the disks were asked for, if it was measured and the boot came that far.
    pub reads: Option<Reads>,
    /// What was said on the TPM's bus; `None`: there is no TPM.
    pub tpm: Option<Traffic>,
    /// The console's lines, without control sequences.
    pub console: Vec<String>,
    /// The console as it was, byte by byte.
    pub log: PathBuf,
    /// From QEMU's start to its end.
    pub elapsed: Duration,
}

impl Outcome {
    /// Whether the machine was killed at its deadline, and firmware had only said which it is.
    fn hung_in_firmware(&self) -> bool {
        let is_version = |line: &String| line.trim().is_empty() || line.starts_with(firmware::VERSION);
        self.exit == Exit::Deadline && self.console.iter().all(is_version)
    }
}

impl Boot<'_> {
    /// Boots, and returns when the machine has ended. `folder`, in the cache, gets log, report and sockets.
    ///
    /// Firmware that hangs before it looks for anything to start, which edk2 was seen to do under emulation, is started once
    /// more, and that is said: nothing of ours has run by then.
    ///
    /// # Errors
    /// QEMU cannot be started. What the guest does is no error but an [`Outcome`].
    pub fn run(&self, tools: &Tools, folder: &Path) -> Result<Outcome> {
        let outcome = self.run_once(tools, folder)?;
        if !matches!(self.start, Start::Firmware(_)) || !outcome.hung_in_firmware() {
            return Ok(outcome);
        }
        let asked = outcome.tpm.as_ref().map(|traffic| traffic.before_init().count());
        let asked = asked.map_or_else(|| "it has no TPM".to_owned(), |count| format!("{count} commands to its TPM"));
        let seconds = outcome.elapsed.as_secs();
        println!("firmware said no more than its version in {seconds} s, {asked}: started once more");
        self.run_once(tools, folder)
    }

    fn run_once(&self, tools: &Tools, folder: &Path) -> Result<Outcome> {
        let sockets = Sockets::open(folder)?;
        let report_listener = sockets.listen(REPORT)?;
        let qmp_listener = sockets.listen(QMP)?;
        let log = folder.join("console.log");
        let messages = folder.join("qemu.log");
        let tpm = self.tpm.as_ref().map(|tpm| tpm.power_on(tools, folder, &sockets)).transpose()?;
        let (chip, tpm) = tpm.unzip();
        let mut command = self.command(tools, folder)?;
        command.stdin(if self.answer == Answer::Stay { Stdio::inherit() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(File::create(&messages)?);

        let started = Instant::now();
        let mut child = command.spawn().context("cannot run QEMU")?;
        let Some(output) = child.stdout.take() else { bail!("QEMU has no standard output") };
        let until = AtomicBool::new(false);
        let on_line = |line: &str| {
            if let Some(tpm) = &tpm
                && line.contains(INIT_STARTS)
            {
                tpm.traffic().init_starts();
            }
            if self.until.is_some_and(|until| line.contains(until)) {
                until.store(true, Ordering::Relaxed);
            }
            (self.on_line)(line);
        };
        let show_all = AtomicBool::new(false);
        let console = Console::create(&log, output, &on_line, &show_all)?;
        let (sender, events) = mpsc::channel();
        // Only who has something to say holds a sender: the channel's end is the machine's.
        let reported = (self.meter == Meter::Reads).then(|| sender.clone());

        let (ended, report, lines) = std::thread::scope(|scope| {
            let lines = scope.spawn(|| console.follow());
            let report = scope.spawn(|| {
                let (stream, _) = report_listener.accept().ok()?;
                let report = Report::receive(stream, self.answer, || {
                    let (counted, wait) = mpsc::channel();
                    if reported.is_some_and(|events| events.send(Event::Reported(counted)).is_ok()) {
                        // An error is the answer: the other end is dropped when it is done, or no longer there.
                        let _ = wait.recv();
                    }
                })?;
                show_all.store(self.answer == Answer::Stay, Ordering::Relaxed);
                Some(report)
            });
            scope.spawn(|| qmp::follow(&qmp_listener, sender));
            if let Some(tpm) = &tpm {
                scope.spawn(|| tpm.serve(scope, &console));
            }
            let asked = |command| tpm.as_ref().is_some_and(|tpm| tpm.traffic().init_asked(command));
            let watch = Watch { started, stay: &show_all, until: &until, asked: &asked };
            let ended = self.attend(&mut child, &events, &watch);
            drop(events);
            sockets.wake(REPORT);
            sockets.wake(QMP);
            if tpm.is_some() {
                sockets.wake(tpm::SOCKET);
            }
            (ended, report.join().ok().flatten(), lines.join().unwrap_or_default())
        });
        let (exit, reads) = ended.with_context(|| {
            let said = std::fs::read_to_string(&messages).unwrap_or_default();
            format!("QEMU failed: {}", said.trim())
        })?;
        if let Some(report) = &report {
            report.save(&folder.join("sections"))?;
        }
        if let Some(chip) = chip {
            chip.power_off()?;
        }
        let tpm = tpm.map(tpm::Bus::into_traffic);
        Ok(Outcome { exit, report, reads, tpm, console: lines, log, elapsed: started.elapsed() })
    }

    fn command(&self, tools: &Tools, folder: &Path) -> Result<Command> {
        let mut paths = self.start.paths();
        paths.extend(self.disks);
        paths.extend(self.late_disk.map(|(disk, _)| disk));
        paths.extend(self.memory.iter().flat_map(|memory| memory.paths()));
        let mut command = tools.command_in(folder, "qemu-system-aarch64", &paths)?;
        command.args(MACHINE).args(["-no-reboot", "-nodefaults", "-display", "none", "-serial", "stdio"]);
        if let Some(memory) = self.memory {
            command.args(memory.arguments()?);
        }
        match self.meter {
            // It stays to be asked when the guest has switched it off. One instruction at a time makes the processor slower
            // than the host's disk: the guest does not wait for a read, which QEMU's clock would take for a leap to the
            // kernel's next timer.
            Meter::Instructions { .. } => command.args([
                "-smp",
                "1",
                "-icount",
                "shift=1,sleep=off",
                "-accel",
                "tcg,one-insn-per-tb=on",
                "-no-shutdown",
            ]),
            Meter::Off | Meter::Reads => command.args(["-smp", "2"]),
        };
        command.args(self.start.arguments()?);
        if self.tpm.is_some() {
            command.args(tpm::arguments());
        }
        let drives: Vec<String> = (0..self.disks.len()).map(|number| format!("disk{number}")).collect();
        for (id, disk) in drives.iter().zip(self.disks) {
            command.args(["-drive", &drive(id, disk)?]);
        }
        command.args(self.storage.devices(&drives).iter().flat_map(|device| ["-device", device]));
        if let Some((disk, _)) = self.late_disk {
            let slot = format!("pcie-root-port,id={SLOT},chassis=1,slot=1");
            command.args(["-device", &slot, "-drive", &drive(LATE_DRIVE, disk)?]);
        }
        command.args(self.devices.iter().flat_map(|device| ["-device", device]));
        // Sockets relative to the working folder: a socket's path has to fit into 107 bytes.
        if !matches!(self.meter, Meter::Instructions { report: false }) {
            command.args(["-device", "virtio-serial-pci", "-chardev", &format!("socket,id=report,path={REPORT}")]);
            command.args(["-device", &format!("virtserialport,chardev=report,name={PORT}")]);
        }
        command.args(["-qmp", &format!("unix:{QMP}")]);
        Ok(command)
    }

    /// Waits for the end, plugs in the late disk when it is time, and kills at the deadline.
    fn attend(&self, child: &mut Child, events: &Receiver<Event>, watch: &Watch<'_>) -> Result<(Exit, Option<Reads>)> {
        let mut monitor = None;
        let mut reads = None;
        let mut reporting = None;
        let mut late_disk = self.late_disk.map(|(_, late)| late);
        let mut exit: Option<Exit> = None;
        loop {
            let elapsed = watch.started.elapsed();
            let due = late_disk.is_some_and(|late| match late {
                Late::By(delay) => delay <= elapsed,
                Late::Asked(command) => (watch.asked)(command),
            });
            if due && let Some(stream) = &mut monitor {
                qmp::plug_in(stream, LATE_DRIVE, SLOT)?;
                late_disk = None;
            }
            let late = elapsed >= self.deadline && !watch.stay.load(Ordering::Relaxed);
            let line = watch.until.load(Ordering::Relaxed);
            if late || line {
                child.kill()?;
                child.wait()?;
                return Ok((if line { Exit::Line } else { Exit::Deadline }, reads));
            }
            let next = match late_disk {
                Some(Late::By(delay)) => delay.min(self.deadline).saturating_sub(elapsed),
                Some(Late::Asked(_)) => LOOK,
                None => self.deadline.saturating_sub(elapsed),
            };
            // QEMU that dies before it connects sends no event: so look now and then.
            let wait = next.clamp(Duration::from_millis(1), Duration::from_millis(500));
            match events.recv_timeout(wait) {
                Ok(Event::Connected(stream)) => monitor = Some(stream),
                Ok(Event::Shutdown(reason)) => {
                    if exit.is_none()
                        && matches!(self.meter, Meter::Instructions { .. })
                        && let Some(stream) = &mut monitor
                    {
                        qmp::ask_reads(stream)?;
                    }
                    exit.get_or_insert(reason);
                }
                Ok(Event::Reported(counted)) => {
                    reporting = Some(counted);
                    if let Some(stream) = &mut monitor {
                        qmp::ask_reads(stream)?;
                    }
                }
                Ok(Event::Reads(counted)) => {
                    reads = Some(counted);
                    // Who reported goes on; who switched off is done.
                    if reporting.take().is_none()
                        && let Some(stream) = &mut monitor
                    {
                        // It may be gone before it is told to.
                        let _ = qmp::quit(stream);
                    }
                }
                Ok(Event::Refused(what)) => {
                    child.kill()?;
                    child.wait()?;
                    bail!("the monitor refused: {what}");
                }
                Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_none() => {}
                Err(_) => break,
            }
        }
        let status = wait_or_kill(child)?;
        match exit {
            Some(exit) => Ok((exit, reads)),
            None => bail!("{status}"),
        }
    }
}

/// What decides that a machine has run long enough.
struct Watch<'a> {
    started: Instant,
    /// It was told to stay.
    stay: &'a AtomicBool,
    /// The line that is waited for has come.
    until: &'a AtomicBool,
    /// Whether the boot stage has asked the TPM for a command.
    asked: &'a dyn Fn(u32) -> bool,
}

fn wait_or_kill(child: &mut Child) -> Result<std::process::ExitStatus> {
    let told = Instant::now();
    while told.elapsed() < GRACE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// QEMU's option syntax doubles a comma inside a value.
fn escaped(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(path) => Ok(path.replace(',', ",,")),
        None => bail!("{} is not UTF-8: QEMU's options cannot name it", path.display()),
    }
}

fn drive(id: &str, disk: &Path) -> Result<String> {
    // The image is thrown away with the run: it need not survive a crash of the host.
    Ok(format!("if=none,id={id},format=raw,cache=unsafe,file={}", escaped(disk)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_firmware_that_started_nothing_has_hung() {
        let outcome = |exit: Exit, console: &[&str]| Outcome {
            exit,
            report: None,
            reads: None,
            tpm: None,
            console: console.iter().map(|&line| line.to_owned()).collect(),
            log: PathBuf::new(),
            elapsed: Duration::ZERO,
        };
        let version = "UEFI firmware (version 2025.02-8 built at 18:06:17 on Nov  8 2025)";
        assert!(outcome(Exit::Deadline, &[version, ""]).hung_in_firmware());
        assert!(!outcome(Exit::Deadline, &[version, firmware::NOTHING_LEFT]).hung_in_firmware());
        assert!(!outcome(Exit::Deadline, &[version, "storage-init: refused"]).hung_in_firmware());
        assert!(!outcome(Exit::Reset, &[version]).hung_in_firmware());
    }
}
