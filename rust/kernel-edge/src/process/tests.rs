// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a process, whether it wants to or not.

#![allow(clippy::unwrap_used, clippy::panic)]

use core::cell::Cell;
use std::time::Instant;

use super::*;

fn worker(script: &str) -> Worker {
    let script = std::ffi::CString::new(script).unwrap();
    Worker::run(c"/bin/sh", &[c"sh", c"-c", &script]).unwrap()
}

#[test]
fn process_that_ends_by_itself_is_reaped() {
    assert_eq!(worker("exit 3").end(Duration::from_secs(20), || ()), End::Clean);
}

#[test]
fn process_that_does_not_end_is_killed() {
    let begun = Instant::now();
    assert_eq!(worker("trap '' TERM; exec sleep 60").end(Duration::from_millis(100), || ()), End::Killed);
    assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(20));
    assert_eq!(worker("exec sleep 60").kill(|| ()), End::Killed);
}

/// As one that waits in the kernel for a TPM: nothing ends it.
#[test]
fn process_that_cannot_be_killed_is_left_after_two_seconds_and_the_watchdog_fed_meanwhile() {
    let mut worker = worker("exec sleep 60");
    let (begun, fed) = (Instant::now(), Cell::new(0));
    let child = worker.child.take().unwrap();
    let end = kill(child, |_| Ok(()), || fed.set(fed.get() + 1));
    assert_eq!(end, End::Stuck);
    assert!(begun.elapsed() >= LAST && begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(fed.get(), 7, "each quarter of a second but the last");
    assert_eq!(kill(child, send_kill, || ()), End::Killed);
}

#[test]
fn dropped_worker_takes_its_process_along() {
    let worker = worker("exec sleep 60");
    let folder = format!("/proc/{}", worker.child.unwrap().as_raw_nonzero());
    assert!(std::path::Path::new(&folder).exists());
    drop(worker);
    assert!(!std::path::Path::new(&folder).exists());
}

#[test]
fn message_that_does_not_come_is_waited_for_as_long_as_was_said() {
    let worker = worker("printf x >&0; exec sleep 60");
    let mut buffer = [0; 8];
    assert_eq!(worker.channel.receive_within(&mut buffer, Duration::from_secs(20), || ()), Ok(&b"x"[..]));
    let fed = Cell::new(0);
    let feed = || fed.set(fed.get() + 1);
    assert_eq!(worker.channel.receive_within(&mut buffer, Duration::from_millis(600), feed), Err(Error::TimedOut));
    assert_eq!(fed.get(), 2);
}

#[test]
fn program_that_is_not_there_is_named_and_nothing_is_left_of_it() {
    assert_eq!(Worker::run(c"/nowhere", &[c"nowhere"]).unwrap_err(), Error::Spawn(Errno::NOENT));
    assert_eq!(execute(c"/nowhere", &[]), Errno::NOENT);
}

/// The locked pages of the one mapping that has `address`: what other tests' threads map and unmap meanwhile does not count.
fn locked_kib_around(address: *const u8) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_here = false;
    for line in maps.lines() {
        if let Some((begin, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) {
            let bounds = [begin, end].map(|bound| usize::from_str_radix(bound, 16).unwrap());
            is_here = (bounds[0]..bounds[1]).contains(&address.addr());
        } else if is_here && let Some(kib) = line.strip_prefix("Locked:") {
            return kib.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        }
    }
    panic!("no mapping has {address:p}");
}

/// Where this process may lock that much, and root alone may look at one that is not dumped.
#[test]
fn memory_is_locked_once_it_is_used_and_is_not_dumped() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    lock_memory().unwrap();
    let unused = std::vec::Vec::<u8>::with_capacity(8 << 20);
    // The allocator's own first page, or the huge page around it.
    assert!(locked_kib_around(unused.as_ptr()) < 4096, "pages that nobody used");
    let used = vec![1_u8; 4 << 20];
    assert!(locked_kib_around(used.as_ptr()) >= 4096);
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    drop((unused, used));
}
