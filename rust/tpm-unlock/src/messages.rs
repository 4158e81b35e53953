// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PID 1 and the `tpm-unlock` process say to each other: one message there, one back (or none, where it says so), and before that one
//! for each command that the TPM was sent meanwhile.
//!
//! A message is a kind (one byte), numbers (big-endian) and texts (two bytes of length, UTF-8). Both ends are one program; what
//! cannot be read is a bug in it and ends the connection.

use core::fmt;

use tpm_policy::Bank;

use crate::wire::{CommandCode, Malformed, Reader, ResponseCode};

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 512;
/// Most bytes of a text.
pub const MAX_TEXT: usize = 192;

/// A message on its way.
pub type Message = heapless::Vec<u8, MAX_MESSAGE>;

/// What PID 1 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The first: how long the TPM may take to appear, counted from here, and then for what each request needs.
    Begin {
        /// Milliseconds.
        patience_ms: u32,
    },
    /// Measure a text into a register, in every active bank, and write that down in systemd's log.
    Measure {
        /// The register.
        pcr: u8,
        /// What is hashed.
        event: &'a str,
    },
    /// Extend a register once more, so that nothing unseals any longer; written down too.
    Latch {
        /// The register.
        pcr: u8,
    },
    /// Get ready to open a volume, as far as no register is needed for that. It has no answer: that to [`Request::Unlock`] says what came of
    /// it. Given again under a name, it is about another partition, and what was done for the one before is undone.
    Prepare {
        /// The name of the device that it will be.
        name: &'a str,
        /// The partition's node.
        node: &'a str,
        /// The register that the image is measured into.
        measured: u8,
        /// Whether discards go through to the partition.
        discards: bool,
        /// Dangerous: whether policies will do that nothing before the kernel is part of.
        any_registers: bool,
    },
    /// Open a volume and make its device, which stays when the process ends.
    Unlock {
        /// The device's name, as it was given before.
        name: &'a str,
    },
    /// The last: undo what was prepared and not used, and end. It has no answer but the end of the process.
    Finish,
}

/// A command that the TPM was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Which.
    pub command: CommandCode,
    /// What the TPM said; `None`: nothing that could be understood.
    pub answer: Option<ResponseCode>,
    /// When it was sent, in microseconds of the boot's clock.
    pub start_us: u64,
    /// Microseconds until there was an answer, or none any longer.
    pub took_us: u32,
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Before the answer: what was asked for took this.
    Ran(Ran),
    /// The register was extended.
    Extended {
        /// In these banks.
        banks: Banks,
        /// Whether systemd's log has it.
        logged: bool,
    },
    /// The volume is open and has its device.
    Unlocked {
        /// The volume's UUID.
        uuid: &'a str,
    },
    /// It was not done.
    Failed {
        /// What is known of the register.
        state: State,
        /// The error in its own words.
        detail: &'a str,
    },
}

/// What is known after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no TPM.
    Missing,
    /// The register is as it was.
    Untouched,
    /// Nobody knows whether it was extended.
    Unknown,
}

/// A set of banks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Banks(u8);

impl Banks {
    /// These.
    #[must_use]
    pub fn of(banks: &[Bank]) -> Self {
        let bit = |bank: &Bank| Bank::ALL.iter().position(|known| known == bank).map_or(0, |place| 1 << place);
        Self(banks.iter().fold(0, |set, bank| set | bit(bank)))
    }

    /// Those of the set.
    pub fn iter(self) -> impl Iterator<Item = Bank> {
        Bank::ALL.into_iter().enumerate().filter(move |(place, _)| self.0 >> place & 1 == 1).map(|(_, bank)| bank)
    }
}

/// `sha1, sha256`
impl fmt::Display for Banks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, bank) in self.iter().enumerate() {
            write!(f, "{}{bank}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

const BEGIN: u8 = 1;
const MEASURE: u8 = 2;
const LATCH: u8 = 3;
const FINISH: u8 = 4;
const UNLOCK: u8 = 5;
const PREPARE: u8 = 6;
const EXTENDED: u8 = 0x81;
const FAILED: u8 = 0x82;
const UNLOCKED: u8 = 0x83;
const RAN: u8 = 0x84;
/// In place of an answer that there was not; no `TPM_RC` has the upper bits.
const NO_ANSWER: u32 = u32::MAX;

impl<'a> Request<'a> {
    /// Its bytes. A text that is too long is cut: it is for people, or bounded by its own type.
    #[must_use]
    pub fn encode(&self) -> Message {
        match *self {
            Self::Begin { patience_ms } => parts(&[&[BEGIN], &patience_ms.to_be_bytes()], &[]),
            Self::Measure { pcr, event } => parts(&[&[MEASURE, pcr]], &[event]),
            Self::Latch { pcr } => parts(&[&[LATCH, pcr]], &[]),
            Self::Prepare { name, node, measured, discards, any_registers } => {
                parts(&[&[PREPARE, measured, u8::from(discards), u8::from(any_registers)]], &[name, node])
            }
            Self::Unlock { name } => parts(&[&[UNLOCK]], &[name]),
            Self::Finish => parts(&[&[FINISH]], &[]),
        }
    }

    /// Out of its bytes.
    ///
    /// # Errors
    /// [`Malformed`]; offset 0 is that of an unknown kind.
    pub fn decode(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        let request = match reader.u8()? {
            BEGIN => Self::Begin { patience_ms: reader.u32()? },
            MEASURE => Self::Measure { pcr: reader.u8()?, event: text(&mut reader)? },
            LATCH => Self::Latch { pcr: reader.u8()? },
            PREPARE => {
                let (measured, discards, any) = (reader.u8()?, flag(&mut reader)?, flag(&mut reader)?);
                let (name, node) = (text(&mut reader)?, text(&mut reader)?);
                Self::Prepare { name, node, measured, discards, any_registers: any }
            }
            UNLOCK => Self::Unlock { name: text(&mut reader)? },
            FINISH => Self::Finish,
            found => return Err(Malformed::Value { offset: 0, found: u32::from(found), expected: u32::from(MEASURE) }),
        };
        reader.end()?;
        Ok(request)
    }
}

impl<'a> Reply<'a> {
    /// Its bytes; a text that is too long is cut.
    #[must_use]
    pub fn encode(&self) -> Message {
        match *self {
            Self::Ran(Ran { command, answer, start_us, took_us }) => {
                let answer = answer.map_or(NO_ANSWER, ResponseCode::value);
                let numbers = [command.value().to_be_bytes(), answer.to_be_bytes(), took_us.to_be_bytes()];
                parts(&[&[RAN], numbers.as_flattened(), &start_us.to_be_bytes()], &[])
            }
            Self::Extended { banks, logged } => parts(&[&[EXTENDED, banks.0, u8::from(logged)]], &[]),
            Self::Unlocked { uuid } => parts(&[&[UNLOCKED]], &[uuid]),
            Self::Failed { state, detail } => {
                let state = match state {
                    State::Missing => 0,
                    State::Untouched => 1,
                    State::Unknown => 2,
                };
                parts(&[&[FAILED, state]], &[detail])
            }
        }
    }

    /// Out of its bytes.
    ///
    /// # Errors
    /// [`Malformed`]; offset 0 is that of an unknown kind.
    pub fn decode(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        let reply = match reader.u8()? {
            RAN => Self::Ran(ran(&mut reader)?),
            EXTENDED => Self::Extended { banks: Banks(reader.u8()?), logged: flag(&mut reader)? },
            UNLOCKED => Self::Unlocked { uuid: text(&mut reader)? },
            FAILED => {
                let state = match reader.u8()? {
                    0 => State::Missing,
                    1 => State::Untouched,
                    // What is not known is the worst.
                    _ => State::Unknown,
                };
                Self::Failed { state, detail: text(&mut reader)? }
            }
            found => {
                return Err(Malformed::Value { offset: 0, found: u32::from(found), expected: u32::from(EXTENDED) });
            }
        };
        reader.end()?;
        Ok(reply)
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    let offset = reader.offset();
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Malformed::Value { offset, found: u32::from(found), expected: 1 }),
    }
}

fn ran(reader: &mut Reader<'_>) -> Result<Ran, Malformed> {
    let offset = reader.offset();
    let found = reader.u32()?;
    let expected = CommandCode::PcrExtend.value();
    let command = CommandCode::of(found).ok_or(Malformed::Value { offset, found, expected })?;
    let answer = Some(reader.u32()?).filter(|answer| *answer != NO_ANSWER).map(ResponseCode::of);
    let took_us = reader.u32()?;
    let (high, low) = (u64::from(reader.u32()?), u64::from(reader.u32()?));
    Ok(Ran { command, answer, start_us: high << 32 | low, took_us })
}

fn parts(fixed: &[&[u8]], texts: &[&str]) -> Message {
    let mut message = Message::new();
    for part in fixed {
        // A few bytes each: there is room.
        let _ = message.extend_from_slice(part);
    }
    for text in texts {
        let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
        let _ = message.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        let _ = message.extend_from_slice(text.as_bytes());
    }
    message
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let offset = reader.offset();
    let bytes = reader.sized_to(MAX_TEXT)?;
    core::str::from_utf8(bytes).map_err(|error| Malformed::Value {
        offset: offset.saturating_add(2).saturating_add(error.valid_up_to()),
        found: 0,
        expected: 0,
    })
}
