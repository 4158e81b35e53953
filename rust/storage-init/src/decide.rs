// SPDX-License-Identifier: MIT OR Apache-2.0
//! The decisions of a boot, as a pure function: what happened -> what to do next.
//!
//! * Does nothing itself and reads no clock: the loop in main.rs performs the actions and reports what came of them.
//! * Every failure of a candidate leads to the next one, until a TPM register has been extended: from then on the boot
//!   belongs to that candidate. A failure then ends it: the candidate is recorded as bad and the machine reset, or, where nothing
//!   outlives a reset that could bound their number, it stops.
//! * Ends in exactly one of three ways: `HandOver`, or `Stop` or `Restart` with the failure that says why.
//! * The reported cause is that of the newest candidate; without candidates, that of the first disk looked at.

use boot_record::reason::Reason;

use crate::failure::Failure;

/// Where the boot stands: what was asked last, and what came of what was asked before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    asked: Action,
    /// The candidate that is being tried, and how many there are.
    index: usize,
    total: usize,
    cause: Option<Cause>,
    extended: bool,
}

/// The failure to report if the boot fails.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    failure: Failure,
    of_candidate: bool,
}

/// What came of the last action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel's file systems are mounted.
    Prepared,
    /// The configuration was read, and the kernel command line agrees with it.
    Configured,
    /// Every module of the list is loaded.
    ModulesLoaded,
    /// A disk that the configuration allows is there.
    DiskFound,
    /// No further disk came within the deadline.
    DeadlinePassed,
    /// A disk was looked at and has this many candidates, now in order.
    Searched {
        /// How many.
        candidates: usize,
    },
    /// The candidate's signature was accepted.
    Signed,
    /// Measuring is done.
    Measured {
        /// Whether a TPM register was extended.
        extended: bool,
    },
    /// The TPM failed in a way that leaves nothing to try: a register may have been extended all the same, or what asked it does not
    /// come to an end. No fault of the candidate's.
    TpmLost(Failure),
    /// A candidate was to be recorded as bad.
    Condemned {
        /// Whether there was something to record it in.
        recorded: bool,
    },
    /// The candidate is mounted, and is what it claims to be.
    Mounted,
    /// Every volume is open, or left to the system.
    Unlocked,
    /// The action failed.
    Failed(Failure),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Mount the kernel's file systems, open the log.
    Prepare,
    /// Read the configuration.
    Configure,
    /// Load the kernel modules that the configuration names.
    LoadModules,
    /// Wait for the next disk.
    AwaitDisk,
    /// Look for candidates on it.
    SearchDisk,
    /// Verify this candidate of the list.
    Verify {
        /// Its place, 0 is the newest.
        index: usize,
    },
    /// Measure the verified candidate.
    Measure,
    /// Make its device live and mount it.
    Activate,
    /// Wait for the volumes to be open.
    Unlock,
    /// Execute its init.
    HandOver,
    /// Record this candidate as bad where it lies: it failed after it was measured.
    Condemn {
        /// Its place.
        index: usize,
        /// How.
        failure: Failure,
    },
    /// Give up: power off, saying why.
    Stop(Failure),
    /// Give up: reset the machine, saying why. The next boot prefers another candidate.
    Restart(Failure),
}

/// The state and the action that a boot begins with.
pub fn begin() -> (State, Action) {
    let asked = Action::Prepare;
    (State { asked: asked.clone(), index: 0, total: 0, cause: None, extended: false }, asked)
}

/// What follows from `event`.
pub fn next(mut state: State, event: Event) -> (State, Action) {
    let action = match (&state.asked, event) {
        (Action::Prepare, Event::Prepared) => Action::Configure,
        (Action::Configure, Event::Configured) => Action::LoadModules,
        (Action::LoadModules, Event::ModulesLoaded) => Action::AwaitDisk,

        (Action::AwaitDisk, Event::DiskFound) => Action::SearchDisk,
        (Action::AwaitDisk, Event::DeadlinePassed) => Action::Stop(state.cause()),
        (Action::SearchDisk, Event::Searched { candidates: 0 }) => Action::AwaitDisk,
        (Action::SearchDisk, Event::Searched { candidates }) => {
            state.index = 0;
            state.total = candidates;
            Action::Verify { index: 0 }
        }
        (Action::SearchDisk, Event::Failed(failure)) => {
            state.remember(failure, false);
            Action::AwaitDisk
        }

        (Action::Verify { .. }, Event::Signed) => Action::Measure,
        (Action::Measure, Event::Measured { extended }) => {
            state.extended |= extended;
            Action::Activate
        }
        (Action::Activate, Event::Mounted) => Action::Unlock,
        (Action::Unlock, Event::Unlocked) => Action::HandOver,
        (Action::Verify { .. } | Action::Measure | Action::Activate, Event::Failed(failure)) if !state.extended => {
            state.remember(failure, true);
            state.index = state.index.saturating_add(1);
            if state.index < state.total { Action::Verify { index: state.index } } else { Action::AwaitDisk }
        }

        (Action::Activate | Action::Unlock | Action::HandOver, Event::Failed(failure)) if state.extended => {
            Action::Condemn { index: state.index, failure }
        }
        (Action::Condemn { failure, .. }, Event::Condemned { recorded: true }) => Action::Restart(failure.clone()),
        (Action::Condemn { failure, .. }, Event::Condemned { recorded: false }) => Action::Stop(failure.clone()),

        (Action::Measure | Action::HandOver, Event::TpmLost(failure)) | (_, Event::Failed(failure)) => {
            Action::Stop(failure)
        }
        (asked, event) => Action::Stop(out_of_turn(asked, &event)),
    };
    state.asked = action.clone();
    (state, action)
}

impl State {
    fn remember(&mut self, failure: Failure, of_candidate: bool) {
        let outranks = self.cause.as_ref().is_none_or(|cause| of_candidate && !cause.of_candidate);
        if outranks {
            self.cause = Some(Cause { failure, of_candidate });
        }
    }

    fn cause(&self) -> Failure {
        match &self.cause {
            Some(cause) => cause.failure.clone(),
            None => {
                Failure::new(Reason::NoDevice, "discover", "no disk that the configuration allows appeared in time")
            }
        }
    }
}

/// An event that is no answer to what was asked: the loop is wrong. The boot ends as any failed boot does.
fn out_of_turn(asked: &Action, event: &Event) -> Failure {
    Failure::new(Reason::Internal, "decide", format_args!("{event:?} after {asked:?}"))
}

#[cfg(test)]
mod tests;
