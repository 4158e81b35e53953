// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes wrong on a TPM's bus: which command it happens to, and what happens.
//!
//! QEMU itself reads an answer by the length in its header and waits for ever for the rest of a shorter one. So an answer that is
//! cut or made up always has the length that it says: spoilt is what the guest reads in it.

use std::time::Duration;

/// Bytes of the header of a command or an answer: tag (2), length (4), command or response code (4).
pub(super) const HEADER: usize = 10;
/// TPM_ST_NO_SESSIONS (TPM 2.0 Library Specification, part 2, 6.9).
const NO_SESSIONS: [u8; 2] = [0x80, 0x01];

/// A fault, and the commands that it happens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// TPM_CC of the command.
    pub command: u32,
    /// Only the command of this number, among those of its code since the guest's init was started, counted from 1; `None`: all of them,
    /// whoever sends them.
    pub number: Option<usize>,
    /// What happens.
    pub fault: Fault,
}

/// What happens to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its answer comes so much later.
    Delay(Duration),
    /// The TPM never sees it: the answer is this response code and nothing more.
    Code(u32),
    /// The TPM never sees it: the answer has a good header, and this behind it.
    Garbage(Vec<u8>),
    /// The answer ends after so many bytes, header included; the length in it is put right.
    Cut(usize),
    /// The lowest bit of this byte of the answer is changed, counted from its end: 0 is the last one.
    Flip(usize),
    /// Somebody else's command comes before it, whose answer nobody sees.
    After(Vec<u8>),
    /// The TPM alone is reset before it, by its wire. True: it is also started up again, as firmware does, so that it takes commands.
    Reset(bool),
}

impl Fault {
    /// An answer that does not come from the TPM.
    pub(super) fn made_up(&self) -> Option<Vec<u8>> {
        match self {
            Self::Code(code) => Some(answer(*code, &[])),
            Self::Garbage(body) => Some(answer(0, body)),
            Self::Delay(_) | Self::Cut(_) | Self::Flip(_) | Self::After(_) | Self::Reset(_) => None,
        }
    }

    /// What becomes of the TPM's answer.
    pub(super) fn spoil(&self, mut answer: Vec<u8>) -> Vec<u8> {
        match *self {
            Self::Cut(length) => {
                answer.truncate(length.max(HEADER));
                put_length(&mut answer);
            }
            Self::Flip(from_end) => {
                if let Some(byte) = answer.iter_mut().rev().nth(from_end) {
                    *byte ^= 1;
                }
            }
            Self::Delay(_) | Self::Code(_) | Self::Garbage(_) | Self::After(_) | Self::Reset(_) => {}
        }
        answer
    }
}

/// An answer without sessions.
fn answer(code: u32, body: &[u8]) -> Vec<u8> {
    let mut answer = [&NO_SESSIONS[..], &[0; 4], &code.to_be_bytes(), body].concat();
    put_length(&mut answer);
    answer
}

fn put_length(answer: &mut [u8]) {
    let length = u32::try_from(answer.len()).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(field) = answer.get_mut(2..6) {
        field.copy_from_slice(&length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [u8; 14] = [0x80, 1, 0, 0, 0, 14, 0, 0, 0, 0, 1, 2, 3, 4];

    #[test]
    fn a_cut_answer_says_how_long_it_is() {
        assert_eq!(Fault::Cut(12).spoil(GOOD.to_vec()), [0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Fault::Cut(0).spoil(GOOD.to_vec()), [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]);
    }

    #[test]
    fn one_bit_is_flipped_counted_from_the_end() {
        assert_eq!(Fault::Flip(1).spoil(GOOD.to_vec()), [0x80, 1, 0, 0, 0, 14, 0, 0, 0, 0, 1, 2, 2, 4]);
        assert_eq!(Fault::Flip(14).spoil(GOOD.to_vec()), GOOD);
    }

    #[test]
    fn a_made_up_answer_has_a_good_header() {
        assert_eq!(Fault::Code(0x922).made_up(), Some(vec![0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x22]));
        assert_eq!(Fault::Garbage(vec![7]).made_up(), Some(vec![0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0, 7]));
        assert_eq!(Fault::Flip(0).made_up(), None);
    }
}
