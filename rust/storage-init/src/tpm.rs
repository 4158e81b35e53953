// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TPM, as PID 1 has it: through the `tpm-unlock` process, which alone talks to it.
//!
//! Started as soon as the configuration is read, so that it waits for the TPM while disks are looked for. Every wait for it has the
//! configured deadline. It is gone before init is executed.

use core::time::Duration;

use boot_record::config::Config;
use kernel_edge::process::{self, Channel, Worker};
use tpm_unlock::child;
use tpm_unlock::messages::{Banks, MAX_MESSAGE, Reply, Request, State};

/// What a message takes beyond what the TPM may take.
const SLACK: Duration = Duration::from_millis(250);
/// What a volume takes beyond what the TPM may take: two derivations of as many rounds as a header may ask for
/// (`boot_formats::luks2::MAX_ITERATIONS`), on a slow core.
const DERIVATION: Duration = Duration::from_secs(20);
/// How long a wait for a volume lasts until the watchdog is told that it is meant: a quarter of the shortest watchdog's time.
const SLICE: Duration = Duration::from_millis(250);
/// How long it may take to end once it has nothing to do.
const END: Duration = Duration::from_millis(500);

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// In which banks.
    pub banks: Banks,
    /// Whether systemd's log has it.
    pub logged: bool,
}

/// Why nothing was, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What is known of the register.
    pub state: State,
    /// The error in its own words.
    pub detail: Box<str>,
}

impl Failed {
    fn new(state: State, error: impl core::fmt::Display) -> Self {
        Self { state, detail: error.to_string().into_boxed_str() }
    }
}

/// The process.
#[derive(Debug)]
pub struct Tpm {
    worker: Worker,
    patience: Duration,
}

impl Tpm {
    /// Starts it.
    ///
    /// # Errors
    /// The kernel did not start it, or it is gone at once.
    pub fn start(config: &Config) -> Result<Self, Failed> {
        let untouched = |error| Failed::new(State::Untouched, format_args!("{}: {error}", child::NAME));
        let worker = Worker::start(child::NAME).map_err(untouched)?;
        let patience = config.tpm_deadline;
        let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        worker.channel.send(&Request::Begin { patience_ms }.encode()).map_err(untouched)?;
        Ok(Self { worker, patience })
    }

    /// Measures `event` into a register of every active bank.
    ///
    /// # Errors
    /// [`Failed`]; an answer that does not come, or cannot be read, leaves the register's state unknown.
    pub fn measure(&self, pcr: u8, event: &str) -> Result<Extended, Failed> {
        self.extend(&Request::Measure { pcr, event })
    }

    fn extend(&self, request: &Request<'_>) -> Result<Extended, Failed> {
        let unknown =
            |error: &dyn core::fmt::Display| Failed::new(State::Unknown, format_args!("{}: {error}", child::NAME));
        let channel = &self.worker.channel;
        channel
            .send(&request.encode())
            .map_err(|error| Failed::new(State::Untouched, format_args!("{}: {error}", child::NAME)))?;
        let mut buffer = [0; MAX_MESSAGE];
        let patience = self.patience.saturating_add(SLACK);
        let answer = channel.receive(&mut buffer, Some(patience)).map_err(|error| unknown(&error))?;
        match Reply::decode(answer).map_err(|error| unknown(&error))? {
            Reply::Extended { banks, logged } => Ok(Extended { banks, logged }),
            Reply::Failed { state, detail } => Err(Failed::new(state, detail)),
            Reply::Unlocked { .. } => Err(unknown(&"an answer to another request")),
        }
    }

    /// Asks for a volume to be opened; [`Tpm::unlocked`] says what came of it, in the order of the requests.
    ///
    /// # Errors
    /// The process is gone.
    pub fn unlock(&self, request: &Request<'_>) -> Result<(), Failed> {
        let sent = self.worker.channel.send(&request.encode());
        sent.map_err(|error| Failed::new(State::Untouched, format_args!("{}: {error}", child::NAME)))
    }

    /// Waits for a volume to be open; gives the UUID of its header. `alive` is called again and again meanwhile: deriving a key may
    /// take longer than a watchdog's time, and the wait has its own end.
    ///
    /// # Errors
    /// [`Failed`], also where it takes too long.
    pub fn unlocked(&self, alive: impl Fn()) -> Result<heapless::String<36>, Failed> {
        let failed =
            |error: &dyn core::fmt::Display| Failed::new(State::Untouched, format_args!("{}: {error}", child::NAME));
        let mut left = self.patience.saturating_add(DERIVATION);
        loop {
            let mut buffer = [0; MAX_MESSAGE];
            let answer = match self.worker.channel.receive(&mut buffer, Some(SLICE.min(left))) {
                Err(process::Error::TimedOut) if !left.is_zero() => {
                    left = left.saturating_sub(SLICE);
                    alive();
                    continue;
                }
                answer => answer.map_err(|error| failed(&error))?,
            };
            return match Reply::decode(answer).map_err(|error| failed(&error))? {
                Reply::Unlocked { uuid } => heapless::String::try_from(uuid).map_err(|error| failed(&error)),
                Reply::Failed { state, detail } => Err(Failed::new(state, detail)),
                Reply::Extended { .. } => Err(failed(&"an answer to another request")),
            };
        }
    }

    /// Extends the register once more, so that nothing unseals any longer.
    ///
    /// # Errors
    /// As [`Tpm::measure`].
    pub fn latch(&self, pcr: u8) -> Result<Extended, Failed> {
        self.extend(&Request::Latch { pcr })
    }

    /// Has it end. It is gone afterwards, by itself or not: its memory and its hold on the TPM too.
    pub fn finish(self) {
        // Where it does not take the message it is gone already, or hangs and is killed.
        let _ = self.worker.channel.send(&Request::Finish.encode());
        let _ = self.worker.end(END);
    }
}

/// What this process is, where it is not PID 1: the `tpm-unlock` process if it is called so and has a socket to PID 1.
pub fn run_as_child() -> Option<i32> {
    if !process::is_called(child::NAME) {
        return None;
    }
    let channel = Channel::inherited()?;
    // PID 1 notices that it is gone, and alone says so.
    std::panic::set_hook(Box::new(|_| ()));
    Some(child::run(&channel))
}
