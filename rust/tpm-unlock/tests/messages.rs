// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both processes say to each other comes over as it was said.
#![allow(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use tpm_policy::Bank;
use tpm_unlock::messages::{Banks, MAX_TEXT, Ran, Reply, Request, State};
use tpm_unlock::wire::{CommandCode, Malformed, ResponseCode};

#[test]
fn messages_come_back() {
    for request in [
        Request::Begin { patience_ms: u32::MAX },
        Request::Measure { pcr: 13, event: "initoverlayfs-ddi:" },
        Request::Measure { pcr: 0, event: "" },
        Request::Latch { pcr: 13 },
        Request::Prepare { name: "root", node: "/dev/vda3", measured: 13, discards: true, any_registers: false },
        Request::Prepare { name: "", node: "", measured: 0, discards: false, any_registers: true },
        Request::Unlock { name: "root" },
        Request::Finish,
    ] {
        let message = request.encode();
        assert_eq!(Request::decode(&message), Ok(request));
        for len in 0..message.len() {
            assert!(matches!(Request::decode(&message[..len]), Err(Malformed::Truncated { .. })), "{request:?} {len}");
        }
    }
    let all = Banks::of(&Bank::ALL);
    let ran = Ran {
        command: CommandCode::Unseal,
        answer: Some(ResponseCode::POLICY_FAIL),
        start_us: u64::MAX - 1,
        took_us: u32::MAX,
    };
    for reply in [
        Reply::Ran(ran),
        Reply::Ran(Ran { answer: None, start_us: 1 << 33, took_us: 0, ..ran }),
        Reply::Extended { banks: all, logged: true },
        Reply::Extended { banks: Banks::of(&[Bank::Sha256]), logged: false },
        Reply::Unlocked { uuid: "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e" },
        Reply::Failed { state: State::Missing, detail: "no /dev/tpm0" },
        Reply::Failed { state: State::Untouched, detail: "ä" },
        Reply::Failed { state: State::Unknown, detail: "" },
    ] {
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }
    assert_eq!(all.iter().collect::<Vec<_>>(), Bank::ALL);
    assert_eq!(Banks::of(&[Bank::Sha256, Bank::Sha1]).to_string(), "sha1, sha256");
}

#[test]
fn long_text_is_cut_at_a_characters_end() {
    let long = "ä".repeat(MAX_TEXT);
    let message = Reply::Failed { state: State::Unknown, detail: &long }.encode();
    let expected = Reply::Failed { state: State::Unknown, detail: &long[..MAX_TEXT] };
    assert_eq!(Reply::decode(&message), Ok(expected));
    let message = Request::Measure { pcr: 1, event: &format!("x{long}") }.encode();
    let Ok(Request::Measure { event, .. }) = Request::decode(&message) else { panic!("{message:?}") };
    assert_eq!(event.len(), MAX_TEXT - 1);
}

#[test]
fn what_is_no_message() {
    assert_eq!(Request::decode(&[]), Err(Malformed::Truncated { offset: 0, needed: 1, available: 0 }));
    assert_eq!(Request::decode(&[0x81]), Err(Malformed::Value { offset: 0, found: 0x81, expected: 2 }));
    assert_eq!(Request::decode(&[4, 0]), Err(Malformed::Trailing { offset: 1, len: 1 }));
    assert_eq!(Request::decode(&[2, 13, 0, 1, 0xff]), Err(Malformed::Value { offset: 4, found: 0, expected: 0 }));
    assert_eq!(Reply::decode(&[2]), Err(Malformed::Value { offset: 0, found: 2, expected: 0x81 }));
    for (request, offset) in [([6, 13, 0x60, 0, 0, 0, 0, 0], 2), ([6, 13, 0, 2, 0, 0, 0, 0], 3)] {
        let found = u32::from(request[offset]);
        assert_eq!(Request::decode(&request), Err(Malformed::Value { offset, found, expected: 1 }));
    }
    assert_eq!(Reply::decode(&[0x81, 1, 3]), Err(Malformed::Value { offset: 2, found: 3, expected: 1 }));
    let unknown = Malformed::Value { offset: 1, found: 0x100, expected: CommandCode::PcrExtend.value() };
    assert_eq!(Reply::decode(&[0x84, 0, 0, 1, 0]), Err(unknown));
    assert_eq!(Reply::decode(&[0x82, 9, 0, 0]), Ok(Reply::Failed { state: State::Unknown, detail: "" }));
}
