// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TPM, as PID 1 has it: through the `tpm-unlock` process, which alone talks to it.
//!
//! Started as soon as the configuration is read, so that it waits for the TPM while disks are looked for. Every wait for it has the
//! configured deadline, and the first answer that does not come ends it. It is gone before init is executed, unless the kernel does not let
//! go of it: [`Stuck`].

use core::time::Duration;

use boot_record::config::{Config, Volume};
use boot_record::event::Event;
use kernel_edge::process::{self, Channel, End, Worker};
use tpm_unlock::child;
use tpm_unlock::messages::{Banks, MAX_MESSAGE, Ran, Reply, Request, State};

use crate::failure::text;

/// Whether this binary can talk to one.
pub const BUILT_IN: bool = Code::find().is_some();
/// What a message takes beyond what the TPM may take.
const SLACK: Duration = Duration::from_millis(250);
/// What a volume takes beyond what the TPM may take: two derivations of as many rounds as a header may ask for
/// (`boot_formats::luks2::MAX_ITERATIONS`), on a slow core.
const DERIVATION: Duration = Duration::from_secs(20);
/// How long it may take to end once it has nothing to do.
const END: Duration = Duration::from_millis(500);

/// What is said of a register whose extension systemd's log lacks.
pub const UNLOGGED: &str = ", not in systemd's log";

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
    /// `None` after the first answer that did not come.
    worker: Option<Worker>,
    patience: Duration,
    /// Whether the process was killed and is not gone.
    stuck: bool,
    _code: Code,
}

/// Shows that the code for it is there. Where it is not there is none of these, so no [`Tpm`], and nothing that talks to one is linked.
#[derive(Clone, Copy, Debug)]
enum Code {
    #[cfg(any(feature = "tpm", test))]
    Linked,
}

impl Code {
    const fn find() -> Option<Self> {
        #[cfg(any(feature = "tpm", test))]
        return Some(Self::Linked);
        #[cfg(not(any(feature = "tpm", test)))]
        None
    }
}

/// The process does not go: the kernel is still waiting for the TPM, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

impl core::fmt::Display for Stuck {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: killed, and not gone: the kernel waits for the TPM, which nobody else can use", child::NAME)
    }
}

impl Tpm {
    /// Starts it.
    ///
    /// # Errors
    /// The kernel did not start it, or it is gone at once.
    pub fn start(config: &Config) -> Result<Self, Failed> {
        let code = Code::find().ok_or_else(|| Failed::new(State::Missing, "built without tpm"))?;
        Self::by(code, Worker::start(child::NAME), config.tpm_deadline)
    }

    fn by(code: Code, worker: Result<Worker, process::Error>, patience: Duration) -> Result<Self, Failed> {
        let untouched = |error| Failed::new(State::Untouched, format_args!("{}: {error}", child::NAME));
        let worker = worker.map_err(untouched)?;
        let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        worker.channel.send(&Request::Begin { patience_ms }.encode()).map_err(untouched)?;
        Ok(Self { worker: Some(worker), patience, stuck: false, _code: code })
    }

    /// Once every module is loaded: none is waited for where the kernel has no driver for any. Where it has some, nobody can say that no
    /// TPM will come: a driver may probe late, and what firmware tells of TPMs is not all of them.
    ///
    /// # Errors
    /// Missing, where it cannot come; as before, where it failed before.
    pub fn unless_impossible(before: Result<Self, Failed>) -> Result<Self, Failed> {
        if kernel_edge::tpm::has_drivers() {
            before
        } else {
            Err(Failed::new(State::Missing, "the kernel has no TPM driver"))
        }
    }

    /// Measures `event` into a register of every active bank.
    ///
    /// # Errors
    /// [`Failed`]; an answer that does not come, or cannot be read, leaves the register's state unknown.
    pub fn measure(&mut self, pcr: u8, event: &str, alive: impl Fn()) -> Result<Extended, Failed> {
        // A command for a volume may be under way, and has its own time.
        let patience = self.patience.saturating_mul(2);
        self.extend(&Request::Measure { pcr, event }, patience, alive)
    }

    /// Extends the register once more, so that nothing unseals any longer.
    ///
    /// # Errors
    /// As [`Tpm::measure`].
    pub fn latch(&mut self, pcr: u8, alive: impl Fn()) -> Result<Extended, Failed> {
        self.extend(&Request::Latch { pcr }, self.patience, alive)
    }

    fn extend(&mut self, request: &Request<'_>, patience: Duration, alive: impl Fn()) -> Result<Extended, Failed> {
        self.ask(request)?;
        self.answer(patience.saturating_add(SLACK), alive, |reply| match *reply {
            Reply::Extended { banks, logged } => Some(Extended { banks, logged }),
            _ => None,
        })
    }

    /// Has it prepare a volume, of which nothing is heard until it is to be opened.
    ///
    /// # Errors
    /// The process is gone.
    pub fn prepare(&self, volume: &Volume, node: &str, config: &Config) -> Result<(), Failed> {
        self.ask(&Request::Prepare {
            name: &volume.name,
            node,
            measured: config.measure_pcr,
            discards: config.unlock_discard,
            any_registers: config.dangerously_unlock_any_registers,
        })
    }

    /// Asks for a volume to be opened that was prepared; [`Tpm::unlocked`] says what came of it, in the order of the requests.
    ///
    /// # Errors
    /// The process is gone.
    pub fn unlock(&self, name: &str) -> Result<(), Failed> {
        self.ask(&Request::Unlock { name })
    }

    /// Waits for a volume to be open; gives the UUID of its header.
    ///
    /// # Errors
    /// [`Failed`], also where it takes too long.
    pub fn unlocked(&mut self, alive: impl Fn()) -> Result<heapless::String<36>, Failed> {
        self.answer(self.patience.saturating_add(DERIVATION), alive, |reply| match *reply {
            Reply::Unlocked { uuid } => heapless::String::try_from(uuid).ok(),
            _ => None,
        })
    }

    fn ask(&self, request: &Request<'_>) -> Result<(), Failed> {
        let untouched =
            |detail: &dyn core::fmt::Display| Failed::new(State::Untouched, format_args!("{}: {detail}", child::NAME));
        let worker = self.worker.as_ref().ok_or_else(|| untouched(&"ended, since it owed an answer"))?;
        worker.channel.send(&request.encode()).map_err(|error| untouched(&error))
    }

    /// The answer to the first request that has none yet. `alive` is called again and again meanwhile: the wait may take longer than a
    /// watchdog's time, and has its own end.
    ///
    /// Where none comes in time, or none that can be read and fits, the process is ended: what it says later would be taken for the
    /// answer to the next request, and what it does later for not done.
    fn answer<T>(
        &mut self,
        patience: Duration,
        alive: impl Fn(),
        take: impl FnOnce(&Reply<'_>) -> Option<T>,
    ) -> Result<T, Failed> {
        let mut buffer = [0; MAX_MESSAGE];
        let unknown =
            |detail: &dyn core::fmt::Display| Failed::new(State::Unknown, format_args!("{}: {detail}", child::NAME));
        let Some(worker) = &self.worker else { return Err(unknown(&"ended, since it owed an answer")) };
        let failed = match receive(&worker.channel, &mut buffer, patience, &alive) {
            Err(error) => unknown(&error),
            Ok(answer) => match Reply::decode(answer) {
                Err(error) => unknown(&error),
                Ok(Reply::Failed { state, detail }) => return Err(Failed::new(state, detail)),
                Ok(reply) => match take(&reply) {
                    Some(taken) => return Ok(taken),
                    None => unknown(&"an answer to another request"),
                },
            },
        };
        if let Some(worker) = self.worker.take() {
            self.stuck = worker.kill(alive) == End::Stuck;
        }
        Err(failed)
    }

    /// Has it undo what it prepared, and end. It is gone afterwards, by itself or not: its memory and its hold on the TPM too.
    ///
    /// # Errors
    /// [`Stuck`] where that is not so.
    pub fn finish(self, alive: impl Fn()) -> Result<(), Stuck> {
        let stuck = match self.worker {
            Some(worker) => {
                // Where it does not take the message it is gone already, or hangs and is killed. It tells what the TPM was sent, and
                // nothing else: what is received is its end.
                let _ = worker.channel.send(&Request::Finish.encode());
                let _ = receive(&worker.channel, &mut [0; MAX_MESSAGE], self.patience.saturating_add(SLACK), &alive);
                worker.end(END, alive) == End::Stuck
            }
            None => self.stuck,
        };
        if stuck { Err(Stuck) } else { Ok(()) }
    }
}

/// Waits for the answer to a request, and logs the commands that come right before it.
fn receive<'a>(
    channel: &Channel,
    buffer: &'a mut [u8; MAX_MESSAGE],
    patience: Duration,
    alive: &impl Fn(),
) -> Result<&'a [u8], process::Error> {
    loop {
        let message = channel.receive_within(buffer, patience, alive)?;
        let len = message.len();
        match Reply::decode(message) {
            Ok(Reply::Ran(ran)) => log(&ran),
            // Given out of the buffer anew: as long as the loop may go on, nothing can point into it.
            _ => return Ok(buffer.get(..len).unwrap_or_default()),
        }
    }
}

fn log(Ran { command, answer, start_us, took_us }: &Ran) {
    let answer: heapless::String<32> = match answer {
        Some(answer) => text(answer),
        None => text("no answer"),
    };
    let (start_us, took_us) = (*start_us, u64::from(*took_us));
    Event::TpmCommand { command: command.name(), answer: &answer, start_us, took_us }.emit();
}

/// What this process is, where it is not PID 1: the `tpm-unlock` process if it is called so and has a socket to PID 1.
pub fn run_as_child() -> Option<i32> {
    // Nothing else of this program leads to what talks to a TPM: without the feature, none of it is linked.
    if !BUILT_IN || !process::is_called(child::NAME) {
        return None;
    }
    let channel = Channel::inherited()?;
    // PID 1 notices that it is gone, and alone says so.
    std::panic::set_hook(Box::new(|_| ()));
    Some(child::run(&channel))
}

#[cfg(test)]
mod tests;
