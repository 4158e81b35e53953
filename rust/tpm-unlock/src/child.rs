// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `tpm-unlock` process: owns the TPM from the moment that it is there, and does what PID 1 asks for, one request after the
//! other; while nothing is asked for, what volumes need that are to be opened later.
//!
//! That is done in steps of one command at most. A request that comes meanwhile waits for the end of one: the image is measured as soon as
//! ever it is verified.
//!
//! It waits for the TPM while PID 1 looks for disks. It logs nothing, and writes nothing but systemd's measurement log and, for a
//! volume that it opened, a record for udev; a panic ends it without a word, which PID 1 notices as it notices any end.

use core::time::Duration;
use std::time::Instant;

use kernel_edge::process::{self, Channel};
use kernel_edge::uevents::Socket;
use kernel_edge::{Errno, clock, file, tpm as kernel_tpm};
use tpm_policy::event::LATCH;

use crate::banks::{ActiveBanks, active_banks};
use crate::mapping::map;
use crate::measure_log;
use crate::messages::{Banks, MAX_MESSAGE, Message, Ran, Reply, Request, State};
use crate::pcr::measure;
use crate::stack::scrubbed;
use crate::tpm::{Tpm, kernel_entropy};
use crate::transport::{Transport, TransportError};
use crate::unlock::Rules;
use crate::volumes::{Named, Volumes};
use crate::wire::{CommandCode, HEADER, ResponseCode};

/// The name by which the boot binary is this process.
pub const NAME: &str = "tpm-unlock";
/// Signatures of policies: what PID 1 found beside the image, where systemd looks too; then what systemd-stub took out of the kernel.
pub const SIGNATURES: [&str; 2] = ["/run/systemd/tpm2-pcr-signature.json", "/.extra/tpm2-pcr-signature.json"];
/// Most commands of one request that PID 1 is told of: twice those of a signed policy.
const MAX_RAN: usize = 24;
/// Most bytes of one uevent, which is only a reason to look again.
const UEVENT: usize = 4096;

/// `/dev/tpm0`.
struct Kernel {
    device: kernel_tpm::Device,
    patience: Duration,
    /// What was sent since it was asked last, the first of it.
    ran: heapless::Vec<Ran, MAX_RAN>,
}

impl Kernel {
    fn remember(&mut self, command: &[u8], answer: Option<&[u8]>, start_us: u64) {
        if let Some(command) = code(command).and_then(CommandCode::of) {
            let answer = answer.and_then(code).map(ResponseCode::of);
            let took_us = u32::try_from(clock::now_us().saturating_sub(start_us)).unwrap_or(u32::MAX);
            // What there is no room for took its time all the same, and the lane of the picture shows a gap.
            let _ = self.ran.push(Ran { command, answer, start_us, took_us });
        }
    }
}

/// The code in the header of a command or response (part 1, 18).
fn code(message: &[u8]) -> Option<u32> {
    message.get(..HEADER)?.last_chunk().map(|code| u32::from_be_bytes(*code))
}

impl Transport for Kernel {
    fn exchange(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
        let start_us = clock::now_us();
        let result = self.device.exchange(command, response, self.patience);
        self.remember(command, result.as_ref().ok().and_then(|len| response.get(..*len)), start_us);
        result.map_err(|error| TransportError::of_device(error, self.patience))
    }
}

/// Runs the process until PID 1 has it finish, or is gone; gives its exit status.
#[must_use]
pub fn run(channel: &Channel) -> i32 {
    let locked = process::lock_memory();
    let mut buffer = [0; MAX_MESSAGE];
    let patience = match channel.receive(&mut buffer).map(Request::decode) {
        Ok(Ok(Request::Begin { patience_ms })) => Duration::from_millis(u64::from(patience_ms)),
        _ => return 1,
    };
    let mut owner = locked
        .map_err(|errno| Failed::new(State::Untouched, format_args!("memory cannot be locked: {errno}")))
        .and_then(|()| Owner::acquire(patience));
    loop {
        if let Ok(owner) = &mut owner {
            while !owner.volumes.are_ready() && channel.is_ready() == Ok(false) {
                owner.step();
            }
        }
        let reply = match channel.receive(&mut buffer).map(Request::decode) {
            Ok(Ok(Request::Measure { pcr, event })) => {
                answer(&mut owner, |owner| owner.measure(pcr, event), |extended| extended.encode())
            }
            Ok(Ok(Request::Latch { pcr })) => {
                answer(&mut owner, |owner| owner.measure(pcr, LATCH), |extended| extended.encode())
            }
            Ok(Ok(Request::Prepare { name, node, measured, discards, any_registers })) => {
                let rules = Rules { measured, any_registers };
                if let Ok(owner) = &mut owner {
                    owner.prepare(Named { name: name.into(), node: node.into(), rules, discards });
                }
                continue;
            }
            Ok(Ok(Request::Unlock { name })) => {
                let unlock = |owner: &mut Owner| scrubbed(|| owner.unlock(name));
                answer(&mut owner, unlock, |uuid| Reply::Unlocked { uuid: &uuid }.encode())
            }
            Ok(Ok(Request::Finish)) => {
                if let Ok(owner) = &mut owner {
                    owner.abandon();
                }
                // Where PID 1 does not hear it any more, it is gone.
                return if tell(channel, &mut owner).is_ok() { 0 } else { 1 };
            }
            _ => return 1,
        };
        if tell(channel, &mut owner).and_then(|()| channel.send(&reply)).is_err() {
            return 1;
        }
    }
}

/// Says which commands the TPM was sent.
fn tell(channel: &Channel, owner: &mut Result<Owner, Failed>) -> Result<(), process::Error> {
    let ran = owner.as_mut().map(|owner| core::mem::take(&mut owner.tpm.transport().ran)).unwrap_or_default();
    ran.into_iter().try_for_each(|ran| channel.send(&Reply::Ran(ran).encode()))
}

/// The answer to a request, in the words for what came of it.
fn answer<T>(
    owner: &mut Result<Owner, Failed>,
    request: impl FnOnce(&mut Owner) -> Result<T, Failed>,
    words: impl FnOnce(T) -> Message,
) -> Message {
    match owner.as_mut().map_err(|failed| failed.clone()).and_then(request) {
        Ok(outcome) => words(outcome),
        Err(failed) => Reply::Failed { state: failed.state, detail: &failed.detail }.encode(),
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failed {
    state: State,
    detail: Box<str>,
}

impl Failed {
    fn new(state: State, detail: core::fmt::Arguments<'_>) -> Self {
        Self { state, detail: detail.to_string().into_boxed_str() }
    }
}

/// Who owns the TPM.
struct Owner {
    tpm: Tpm<Kernel>,
    volumes: Volumes,
    patience: Duration,
    banks: ActiveBanks,
}

impl Owner {
    /// Waits for the TPM.
    fn acquire(patience: Duration) -> Result<Self, Failed> {
        // Before the first look, so that nothing appears in between.
        let socket = Socket::open().map_err(|error| Failed::new(State::Untouched, format_args!("{error}")))?;
        let mut message = [0; UEVENT];
        let wait = |left| match socket.receive(&mut message, left) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failed::new(State::Untouched, format_args!("{error}"))),
        };
        let device = await_device(patience, kernel_tpm::Device::open, wait)?;
        let kernel = Kernel { device, patience, ran: heapless::Vec::new() };
        let banks = active_banks().map_err(|error| Failed::new(State::Untouched, format_args!("{error}")))?;
        let tpm = Tpm::new(kernel, kernel_entropy, patience);
        Ok(Self { tpm, volumes: Volumes::default(), patience, banks })
    }

    fn measure(&mut self, pcr: u8, event: &str) -> Result<Reply<'static>, Failed> {
        self.tpm.extend_deadline(self.patience);
        let logged = measure(&mut self.tpm, pcr, &self.banks, event, measure_log::Open::new()).map_err(|error| {
            let state = if error.was_not_carried_out() { State::Untouched } else { State::Unknown };
            Failed::new(state, format_args!("{error}"))
        })?;
        Ok(Reply::Extended { banks: Banks::of(&self.banks), logged })
    }

    fn prepare(&mut self, named: Named) {
        self.tpm.extend_deadline(self.patience);
        self.volumes.name(&mut self.tpm, named);
    }

    fn step(&mut self) {
        self.tpm.extend_deadline(self.patience);
        self.volumes.step(&mut self.tpm);
    }

    /// Gives the volume's UUID.
    fn unlock(&mut self, name: &str) -> Result<heapless::String<36>, Failed> {
        fn failed(error: impl core::fmt::Display) -> Failed {
            Failed::new(State::Untouched, format_args!("{error}"))
        }
        self.tpm.extend_deadline(self.patience);
        let signatures = signatures();
        let opened = self.volumes.open(&mut self.tpm, name, signatures.as_deref());
        let (named, partition, opened) = opened.map_err(failed)?;
        map(&named.name, &partition, &opened, named.discards).map_err(failed)?;
        Ok(opened.uuid)
    }

    fn abandon(&mut self) {
        self.tpm.extend_deadline(self.patience);
        self.volumes.abandon(&mut self.tpm);
    }
}

/// The first file of signatures that can be read, and is not longer than one may be. Without one, the policy that wants it says so.
fn signatures() -> Option<Vec<u8>> {
    SIGNATURES.into_iter().find_map(|path| file::read(path, tpm_policy::signatures::MAX_FILE).ok())
}

/// Opens the TPM as soon as it is there: looks again whenever `wait` has seen something happen, or the given time has passed.
fn await_device<D>(
    patience: Duration,
    open: impl Fn() -> Result<D, Errno>,
    mut wait: impl FnMut(Duration) -> Result<(), Failed>,
) -> Result<D, Failed> {
    let begun = Instant::now();
    loop {
        match open() {
            Ok(device) => return Ok(device),
            Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => {}
            Err(errno) => return Err(Failed::new(State::Untouched, format_args!("{}: {errno}", kernel_tpm::NODE))),
        }
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let ms = patience.as_millis();
            return Err(Failed::new(State::Missing, format_args!("no {} within {ms} ms", kernel_tpm::NODE)));
        }
        wait(left)?;
    }
}

#[cfg(test)]
mod tests;
