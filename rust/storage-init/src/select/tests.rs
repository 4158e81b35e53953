// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of candidates, each written as its source's rank, version and counter.

use super::*;
use crate::failure::text;

fn candidate(rank: usize, version: &str, tries: Option<(u32, u32)>) -> Candidate {
    let label = match tries {
        None => text(format_args!("{rank}:{version}")),
        Some((left, done)) => text(format_args!("{rank}:{version}+{left}-{done}")),
    };
    Candidate {
        origin: Origin::Partition { node: text("/dev/null") },
        folder: Some(text(format_args!("vda{rank}"))),
        version: text(version),
        tries: tries.map(|(left, done)| Tries { left, done }),
        label,
        rank,
    }
}

fn ordered(given: Vec<Candidate>) -> Vec<String> {
    let mut candidates = Candidates::default();
    for candidate in given {
        candidates.insert(candidate);
    }
    (0..candidates.len()).filter_map(|index| Some(candidates.get(index)?.label.to_string())).collect()
}

#[test]
fn newest_first_by_the_uapi_order_not_by_the_alphabet() {
    let given = vec![candidate(0, "9", None), candidate(0, "10", None), candidate(0, "10~rc1", None)];
    assert_eq!(ordered(given), ["0:10", "0:10~rc1", "0:9"]);
}

#[test]
fn the_same_version_in_two_sources_is_tried_in_both_in_the_configured_order() {
    let given = vec![candidate(1, "3", None), candidate(0, "3", None), candidate(1, "2", None)];
    assert_eq!(ordered(given), ["0:3", "1:3", "1:2"]);
}

#[test]
fn a_candidate_without_tries_left_comes_after_older_ones_that_have_some() {
    let given = vec![candidate(0, "3", Some((0, 3))), candidate(0, "2", None), candidate(0, "1", Some((2, 1)))];
    assert_eq!(ordered(given), ["0:2", "0:1+2-1", "0:3+0-3"]);
}

#[test]
fn two_names_of_one_version_are_one_candidate_with_the_lowest_left() {
    let given = vec![candidate(0, "3", None), candidate(0, "3", Some((1, 2))), candidate(0, "3", Some((2, 1)))];
    assert_eq!(ordered(given), ["0:3+1-2"]);
}

#[test]
fn of_more_candidates_than_are_kept_the_newest_stay() {
    let given = (1..=40).map(|number| candidate(0, &number.to_string(), None)).collect();
    let expected: Vec<String> = (25..=40).rev().map(|number| format!("0:{number}")).collect();
    assert_eq!(ordered(given), expected);
}

#[test]
fn two_partitions_with_one_version_are_two_slots() {
    let slot = || Candidate { folder: None, ..candidate(0, "3", None) };
    assert_eq!(ordered(vec![slot(), slot()]), ["0:3", "0:3"]);
}
