// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bus between QEMU and swtpm: passes on what both say, but for what the script spoils.
//!
//! QEMU connects to one socket, the control channel, and hands swtpm one end of a socket pair over it (CMD_SET_DATAFD), on which the
//! commands then go. Control messages are passed on byte by byte; the end that comes with one of them is kept here, and swtpm gets
//! one of ours in its place. (QEMU: backends/tpm/tpm_emulator.c; swtpm: include/swtpm/tpm_ioctl.h.)

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use super::super::console::Console;
use super::script::{Fault, HEADER, Rule};
use super::traffic::{Exchange, Traffic, length};

/// `CMD_INIT` without flags: swtpm forgets what a TPM without power forgets.
const INIT: [u8; 8] = [0, 0, 0, 2, 0, 0, 0, 0];
/// Bytes of the answer to it: a `ptm_res`.
const INIT_ANSWER: usize = 4;
/// TPM2_Startup(CLEAR) (TPM 2.0 Library Specification, part 3, 9.3).
const STARTUP: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
/// How long swtpm may take for a reset.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bus of one boot.
pub struct Bus<'a> {
    rules: &'a [Rule],
    listener: UnixListener,
    swtpm: UnixStream,
    traffic: Mutex<Traffic>,
    /// Bytes of swtpm's next answers on the control channel that are for us.
    ours: AtomicUsize,
}

impl<'a> Bus<'a> {
    /// A bus on which these things go wrong, between who connects to `listener` and the control channel of `swtpm`.
    pub fn new(rules: &'a [Rule], listener: UnixListener, swtpm: UnixStream) -> Self {
        Self { rules, listener, swtpm, traffic: Mutex::default(), ours: AtomicUsize::new(0) }
    }

    /// What has been said so far.
    pub fn traffic(&self) -> MutexGuard<'_, Traffic> {
        // Who panicked with it in hand left it whole: every change is one call.
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said.
    pub fn into_traffic(self) -> Traffic {
        self.traffic.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one machine, until QEMU hangs up. Its console is read up to each command, so that it is known whether init had begun.
    pub fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, console: &'scope Console<'_>) {
        let swtpm = &self.swtpm;
        if let Ok((qemu, _)) = self.listener.accept()
            && let (Ok(to_qemu), Ok(from_swtpm)) = (qemu.try_clone(), swtpm.try_clone())
        {
            // An error is the end of the conversation, as its end is.
            scope.spawn(move || self.answers(from_swtpm, to_qemu));
            let _ = self.control(scope, &qemu, console);
            let _ = qemu.shutdown(Shutdown::Both);
        }
        let _ = swtpm.shutdown(Shutdown::Both);
    }

    /// Passes on what swtpm answers on the control channel, but for what is ours.
    fn answers(&self, mut swtpm: UnixStream, mut qemu: UnixStream) -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let count = swtpm.read(&mut bytes)?;
            let ours = self.ours.load(Ordering::Acquire).min(count);
            self.ours.fetch_sub(ours, Ordering::AcqRel);
            match bytes.get(ours..count) {
                Some([]) if count == 0 => return Ok(()),
                rest => qemu.write_all(rest.unwrap_or_default())?,
            }
        }
    }

    /// Resets the TPM, and waits until it is done.
    fn reset(&self) -> std::io::Result<()> {
        self.ours.store(INIT_ANSWER, Ordering::Release);
        (&self.swtpm).write_all(&INIT)?;
        let begun = Instant::now();
        while self.ours.load(Ordering::Acquire) > 0 {
            if begun.elapsed() > PATIENCE {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Passes on what QEMU says on the control channel.
    fn control<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        qemu: &UnixStream,
        console: &'scope Console<'_>,
    ) -> std::io::Result<()> {
        let mut swtpm = &self.swtpm;
        let mut bytes = [0; 4096];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut with = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let count = rustix::net::recvmsg(qemu, &mut [IoSliceMut::new(&mut bytes)], &mut with, flags)?.bytes;
            let Some(message) = bytes.get(..count).filter(|message| !message.is_empty()) else { return Ok(()) };
            let handed: Option<OwnedFd> = with.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            let Some(commands) = handed else {
                swtpm.write_all(message)?;
                continue;
            };
            let (ours, theirs) = UnixStream::pair()?;
            let theirs = [theirs.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut with = SendAncillaryBuffer::new(&mut space);
            with.push(SendAncillaryMessage::ScmRights(&theirs));
            rustix::net::sendmsg(swtpm, &[IoSlice::new(message)], &mut with, SendFlags::NOSIGNAL)?;
            scope.spawn(move || self.commands(UnixStream::from(commands), ours, console));
        }
    }

    /// Passes on commands and answers, until one side hangs up.
    fn commands(&self, mut qemu: UnixStream, mut swtpm: UnixStream, console: &Console<'_>) -> std::io::Result<()> {
        loop {
            let command = read_whole(&mut qemu)?;
            console.catch_up();
            let fault = self.traffic().ask(self.rules, &command).map(|rule| &rule.fault);
            match fault {
                Some(Fault::After(foreign)) => drop(ask(&mut swtpm, foreign)?),
                Some(Fault::Reset(started)) => {
                    self.reset()?;
                    if *started {
                        ask(&mut swtpm, &STARTUP)?;
                    }
                }
                _ => {}
            }
            let answer = match fault.and_then(Fault::made_up) {
                Some(answer) => answer,
                None => ask(&mut swtpm, &command)?,
            };
            if let Some(Fault::Delay(time)) = fault {
                std::thread::sleep(*time);
            }
            let answer = match fault {
                Some(fault) => fault.spoil(answer),
                None => answer,
            };
            self.traffic().add(Exchange { command, answer: answer.clone() });
            qemu.write_all(&answer)?;
        }
    }
}

fn ask(swtpm: &mut UnixStream, command: &[u8]) -> std::io::Result<Vec<u8>> {
    swtpm.write_all(command)?;
    read_whole(swtpm)
}

/// One command or answer, by the length in its header.
fn read_whole(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header)?;
    let mut whole = header.to_vec();
    whole.resize(length(header), 0);
    if let Some(rest) = whole.get_mut(HEADER..) {
        stream.read_exact(rest)?;
    }
    Ok(whole)
}
