// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was said on a TPM's bus in one boot.

use super::script::{HEADER, Rule};

/// Commands (TPM_CC) that tests speak of.
pub mod code {
    /// TPM2_PCR_Extend.
    pub const PCR_EXTEND: u32 = 0x182;
    /// TPM2_PCR_Read: the kernel's, too, for who reads a register in sysfs.
    pub const PCR_READ: u32 = 0x17e;
    /// TPM2_Load.
    pub const LOAD: u32 = 0x157;
    /// TPM2_Unseal.
    pub const UNSEAL: u32 = 0x15e;
    /// TPM2_FlushContext.
    pub const FLUSH_CONTEXT: u32 = 0x165;
    /// TPM2_StartAuthSession.
    pub const START_AUTH_SESSION: u32 = 0x176;
    /// TPM2_PolicyPCR.
    pub const POLICY_PCR: u32 = 0x17f;
}

/// One command, and what the guest got for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// All its bytes.
    pub command: Vec<u8>,
    /// The answer, as spoilt as the guest saw it.
    pub answer: Vec<u8>,
}

impl Exchange {
    /// TPM_CC of the command.
    pub fn code(&self) -> u32 {
        number(&self.command, 6)
    }

    /// TPM_RC of the answer.
    pub fn answer_code(&self) -> u32 {
        number(&self.answer, 6)
    }
}

/// A big-endian number; 0 where there is none.
pub(super) fn number(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Everything that was said, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    exchanges: Vec<Exchange>,
    /// How many there were when the kernel started init.
    before_init: Option<usize>,
    /// The command that has no answer yet.
    open: Option<u32>,
}

impl Traffic {
    pub(super) fn add(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
        self.open = None;
    }

    /// From here on it is init, and what it starts, that speaks.
    pub(crate) fn init_starts(&mut self) {
        self.before_init.get_or_insert(self.exchanges.len());
        // What is not answered by then was asked before.
        self.open = None;
    }

    /// The next command; the rule for it, if there is one.
    pub(super) fn ask<'a>(&mut self, rules: &'a [Rule], command: &[u8]) -> Option<&'a Rule> {
        let code = number(command, 6);
        self.open = Some(code);
        rules.iter().find(|rule| {
            let number = || self.before_init.map(|_| self.of_init().filter(|done| done.code() == code).count() + 1);
            rule.command == code && (rule.number.is_none() || rule.number == number())
        })
    }

    /// What firmware, boot loader and kernel said before init.
    pub fn before_init(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().take(self.before_init.unwrap_or(usize::MAX))
    }

    /// What was said from init on.
    pub fn of_init(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().skip(self.before_init.unwrap_or(usize::MAX))
    }

    /// Whether init has asked for this command, answered or not.
    pub(crate) fn init_asked(&self, code: u32) -> bool {
        self.before_init.is_some() && (self.open == Some(code) || self.of_init().any(|done| done.code() == code))
    }

    /// Whether these bytes were on the bus in any boot stage, in either direction.
    pub fn shows(&self, secret: &[u8]) -> bool {
        let within = |bytes: &[u8]| !secret.is_empty() && bytes.windows(secret.len()).any(|window| window == secret);
        self.exchanges.iter().any(|exchange| within(&exchange.command) || within(&exchange.answer))
    }
}

/// Whether a whole command or answer has been read, and how many bytes it has.
pub(super) fn length(header: [u8; HEADER]) -> usize {
    usize::try_from(number(&header, 2)).unwrap_or(0).max(HEADER)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::script::Fault;
    use super::*;

    fn exchange(code: u32) -> Exchange {
        let command = [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat();
        Exchange { answer: command.clone(), command }
    }

    #[test]
    fn a_numbered_rule_counts_from_init_on() {
        let rules = [Rule { command: code::UNSEAL, number: Some(2), fault: Fault::Flip(0) }];
        let unseal = exchange(code::UNSEAL);
        let mut traffic = Traffic::default();
        for _ in 0..2 {
            traffic.add(unseal.clone());
            assert_eq!(traffic.ask(&rules, &unseal.command), None);
        }
        assert!(!traffic.init_asked(code::UNSEAL));
        traffic.init_starts();
        assert!(!traffic.init_asked(code::UNSEAL));
        assert_eq!(traffic.ask(&rules, &unseal.command), None);
        traffic.add(unseal.clone());
        assert_eq!(traffic.ask(&rules, &unseal.command), rules.first());
        assert_eq!(traffic.ask(&rules, &exchange(code::PCR_READ).command), None);
        assert!(traffic.init_asked(code::PCR_READ) && !traffic.init_asked(code::LOAD));
        traffic.add(unseal.clone());
        assert_eq!(traffic.ask(&rules, &unseal.command), None);
        assert!(traffic.init_asked(code::UNSEAL) && !traffic.init_asked(code::PCR_READ));
        assert_eq!((traffic.before_init().count(), traffic.of_init().count()), (2, 2));
    }

    #[test]
    fn a_secret_on_the_bus_is_seen() {
        let mut traffic = Traffic::default();
        traffic.add(Exchange { command: vec![1, 2, 3], answer: vec![4, 5, 6, 7] });
        assert!(traffic.shows(&[5, 6]) && traffic.shows(&[1, 2, 3]));
        assert!(!traffic.shows(&[3, 4]) && !traffic.shows(&[]));
    }
}
