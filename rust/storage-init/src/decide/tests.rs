// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripted boots: a list of events, and the actions they must lead to.

#![allow(clippy::panic)]

use super::*;

fn failed(reason: Reason, device: &str) -> Event {
    Event::Failed(failure(reason, device))
}

fn failure(reason: Reason, device: &str) -> Failure {
    Failure::new(reason, device, "as scripted")
}

/// Plays `events` from the beginning; returns every action, the first one included.
fn play(events: &[Event]) -> Vec<Action> {
    let (mut state, first) = begin();
    let mut actions = vec![first];
    for event in events {
        let (after, action) = next(state, event.clone());
        state = after;
        actions.push(action);
    }
    actions
}

/// Plays `events` after a system that was prepared and configured and has its modules; returns the actions they lead to.
fn play_configured(events: &[Event]) -> Vec<Action> {
    let mut script = vec![Event::Prepared, Event::Configured, Event::ModulesLoaded];
    script.extend_from_slice(events);
    play(&script).split_off(4)
}

const ONE: Event = Event::Searched { candidates: 1 };
const TWO: Event = Event::Searched { candidates: 2 };
const UNEXTENDED: Event = Event::Measured { extended: false };
const EXTENDED: Event = Event::Measured { extended: true };

#[test]
fn a_good_boot_goes_through_every_stage_in_order() {
    let events = [
        Event::Prepared,
        Event::Configured,
        Event::ModulesLoaded,
        Event::DiskFound,
        ONE,
        Event::Signed,
        UNEXTENDED,
        Event::Mounted,
        Event::Unlocked,
    ];
    assert_eq!(
        play(&events),
        [
            Action::Prepare,
            Action::Configure,
            Action::LoadModules,
            Action::AwaitDisk,
            Action::SearchDisk,
            Action::Verify { index: 0 },
            Action::Measure,
            Action::Activate,
            Action::Unlock,
            Action::HandOver,
        ]
    );
}

#[test]
fn a_newest_that_is_refused_falls_back_to_the_older() {
    let refused = failed(Reason::SignatureRejected, "vda1:/initoverlayfs/x_2.raw");
    let actions =
        play_configured(&[Event::DiskFound, TWO, refused, Event::Signed, UNEXTENDED, Event::Mounted, Event::Unlocked]);
    assert_eq!(
        actions,
        [
            Action::SearchDisk,
            Action::Verify { index: 0 },
            Action::Verify { index: 1 },
            Action::Measure,
            Action::Activate,
            Action::Unlock,
            Action::HandOver,
        ]
    );
}

#[test]
fn a_candidate_refused_after_its_mount_falls_back_too_without_a_tpm() {
    let refused = failed(Reason::ImageVersion, "vda1:/initoverlayfs/x_2.raw");
    let actions = play_configured(&[Event::DiskFound, TWO, Event::Signed, UNEXTENDED, refused]);
    assert_eq!(actions.last(), Some(&Action::Verify { index: 1 }));
}

#[test]
fn all_refused_waits_for_another_disk_and_then_reports_the_newest() {
    let actions = play_configured(&[
        Event::DiskFound,
        TWO,
        failed(Reason::SignatureRejected, "newest"),
        failed(Reason::Unsigned, "older"),
        Event::DeadlinePassed,
    ]);
    assert_eq!(actions.get(3), Some(&Action::AwaitDisk));
    assert_eq!(actions.last(), Some(&Action::Stop(failure(Reason::SignatureRejected, "newest"))));
}

#[test]
fn a_second_disk_boots_where_the_first_has_nothing() {
    let actions = play_configured(&[
        Event::DiskFound,
        failed(Reason::PartitionTable, "vda"),
        Event::DiskFound,
        ONE,
        Event::Signed,
        UNEXTENDED,
        Event::Mounted,
        Event::Unlocked,
    ]);
    assert_eq!(actions.get(1), Some(&Action::AwaitDisk));
    assert_eq!(actions.last(), Some(&Action::HandOver));
}

#[test]
fn without_a_disk_the_deadline_ends_the_boot() {
    let actions = play_configured(&[Event::DeadlinePassed]);
    let Some(Action::Stop(failure)) = actions.last() else { panic!("{actions:?}") };
    assert_eq!(failure.reason, Reason::NoDevice);
}

#[test]
fn a_disk_without_a_source_is_reported_once_the_deadline_has_passed() {
    let actions = play_configured(&[Event::DiskFound, failed(Reason::NoSource, "vda"), Event::DeadlinePassed]);
    assert_eq!(actions.last(), Some(&Action::Stop(failure(Reason::NoSource, "vda"))));
}

#[test]
fn a_refused_candidate_outranks_a_disk_that_had_none() {
    let actions = play_configured(&[
        Event::DiskFound,
        failed(Reason::NoSource, "vda"),
        Event::DiskFound,
        ONE,
        failed(Reason::Unsigned, "vdb2"),
        Event::DeadlinePassed,
    ]);
    assert_eq!(actions.last(), Some(&Action::Stop(failure(Reason::Unsigned, "vdb2"))));
}

#[test]
fn a_bad_configuration_ends_the_boot_before_any_disk_is_touched() {
    let actions = play(&[Event::Prepared, failed(Reason::ConfigInvalid, "/etc/initoverlayfs.conf")]);
    assert_eq!(actions.last(), Some(&Action::Stop(failure(Reason::ConfigInvalid, "/etc/initoverlayfs.conf"))));
}

#[test]
fn a_module_that_is_refused_ends_the_boot_before_any_disk_is_touched() {
    let refused = failed(Reason::ModuleRefused, "virtio_blk");
    assert_eq!(
        play(&[Event::Prepared, Event::Configured, refused]),
        [
            Action::Prepare,
            Action::Configure,
            Action::LoadModules,
            Action::Stop(failure(Reason::ModuleRefused, "virtio_blk"))
        ]
    );
}

#[test]
fn a_failed_hand_over_tries_nothing_else() {
    let events =
        [Event::DiskFound, TWO, Event::Signed, UNEXTENDED, Event::Mounted, Event::Unlocked, failed(Reason::Io, "vda2")];
    assert_eq!(play_configured(&events).last(), Some(&Action::Stop(failure(Reason::Io, "vda2"))));
}

/// Its register is spent: no second candidate. Which one is bad has to outlive the reset, or it would come again and again.
#[test]
fn failure_after_the_extend_is_recorded_and_resets_the_machine() {
    let spoilt = failed(Reason::Corrupt, "newest");
    let until = [Event::DiskFound, TWO, Event::Signed, EXTENDED, spoilt];
    let condemn = Action::Condemn { index: 0, failure: failure(Reason::Corrupt, "newest") };
    assert_eq!(play_configured(&until).last(), Some(&condemn));
    let ended = |event: Event| play_configured(&[until.as_slice(), &[event]].concat()).pop();
    assert_eq!(ended(Event::Condemned { recorded: true }), Some(Action::Restart(failure(Reason::Corrupt, "newest"))));
    assert_eq!(ended(Event::Condemned { recorded: false }), Some(Action::Stop(failure(Reason::Corrupt, "newest"))));
    assert_eq!(ended(failed(Reason::Io, "vda1")), Some(Action::Stop(failure(Reason::Io, "vda1"))));
}

#[test]
fn failed_hand_over_of_a_measured_candidate_is_recorded_too() {
    let refused = failed(Reason::SignatureRejected, "newest");
    let late = failed(Reason::InitMissing, "older");
    let events = [Event::DiskFound, TWO, refused, Event::Signed, EXTENDED, Event::Mounted, Event::Unlocked, late];
    let condemn = Action::Condemn { index: 1, failure: failure(Reason::InitMissing, "older") };
    assert_eq!(play_configured(&events).last(), Some(&condemn));
}

#[test]
fn tpm_that_refuses_leads_to_the_next_candidate_and_one_that_is_lost_ends_the_boot() {
    let missing = failed(Reason::TpmMissing, "newest");
    let actions = play_configured(&[Event::DiskFound, TWO, Event::Signed, missing]);
    assert_eq!(actions.last(), Some(&Action::Verify { index: 1 }));
    let lost = Event::TpmLost(failure(Reason::TpmFailed, "newest"));
    let actions = play_configured(&[Event::DiskFound, TWO, Event::Signed, lost]);
    assert_eq!(actions.last(), Some(&Action::Stop(failure(Reason::TpmFailed, "newest"))), "no candidate's fault");

    let stuck = Event::TpmLost(failure(Reason::TpmFailed, "tpm0"));
    let events = [Event::DiskFound, TWO, Event::Signed, EXTENDED, Event::Mounted, Event::Unlocked, stuck];
    assert_eq!(play_configured(&events).last(), Some(&Action::Stop(failure(Reason::TpmFailed, "tpm0"))), "nor here");
}

#[test]
fn waiting_that_fails_does_not_wait_for_ever() {
    let actions = play_configured(&[failed(Reason::KernelLacks, "uevents")]);
    assert_eq!(actions.last(), Some(&Action::Stop(failure(Reason::KernelLacks, "uevents"))));
}

#[test]
fn an_event_out_of_turn_stops_the_boot_instead_of_skipping_a_check() {
    let verifying = [Event::DiskFound, ONE];
    for wrong in
        [UNEXTENDED, Event::Mounted, Event::Unlocked, Event::DiskFound, Event::Configured, Event::ModulesLoaded]
    {
        let actions = play_configured(&[verifying.as_slice(), std::slice::from_ref(&wrong)].concat());
        let Some(Action::Stop(failure)) = actions.last() else { panic!("{wrong:?}: {actions:?}") };
        assert_eq!(failure.reason, Reason::Internal, "{wrong:?}");
    }
}

#[test]
fn volume_that_stays_shut_ends_the_boot_and_condemns_what_was_measured() {
    let shut = failed(Reason::UnlockFailed, "root");
    let boot = |measured: Event| {
        play_configured(&[Event::DiskFound, TWO, Event::Signed, measured, Event::Mounted, shut.clone()]).pop()
    };
    assert_eq!(boot(UNEXTENDED), Some(Action::Stop(failure(Reason::UnlockFailed, "root"))));
    let condemn = Action::Condemn { index: 0, failure: failure(Reason::UnlockFailed, "root") };
    assert_eq!(boot(EXTENDED), Some(condemn));
}
