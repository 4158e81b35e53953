// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TPM that takes one command at a time: builds it, sends it, again where the TPM asks for that, and takes the response apart.

use core::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kernel_edge::random;
use zeroize::Zeroize;

use crate::transport::{Transport, TransportError};
use crate::wire::{
    CommandCode, Full, HEADER, MAX_MESSAGE, Malformed, NO_SESSIONS, PASSWORD_SESSION, Reader, ResponseCode, SESSIONS,
    Writer,
};

/// The first pause before a command is sent again. A TPM on SPI takes some ms for anything.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause: the self-test of a slow TPM takes a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// Fills the bytes with random ones that nobody else knows.
pub type Entropy = fn(&mut [u8]) -> Result<(), NoEntropy>;

/// The kernel gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

/// The kernel's.
///
/// # Errors
/// [`NoEntropy`].
pub fn kernel_entropy(bytes: &mut [u8]) -> Result<(), NoEntropy> {
    random::fill_random(bytes).map_err(|_| NoEntropy)
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no response.
    Transport {
        /// To which command.
        command: CommandCode,
        /// Why.
        error: TransportError,
    },
    /// The response cannot be understood.
    Malformed {
        /// To which command.
        command: CommandCode,
        /// Why.
        error: Malformed,
    },
    /// The TPM refused.
    Refused {
        /// Which command.
        command: CommandCode,
        /// In its own word.
        code: ResponseCode,
    },
    /// The TPM asked for patience until the deadline had passed.
    Deadline {
        /// With which command.
        command: CommandCode,
        /// Its last word.
        code: ResponseCode,
    },
    /// The response does not have the session's HMAC: somebody on the way changed it.
    Tampered {
        /// To which command.
        command: CommandCode,
    },
    /// What was given does not fit a command.
    TooLong {
        /// Which command.
        command: CommandCode,
    },
    /// There are no random bytes for a session.
    NoEntropy,
}

impl Error {
    /// The TPM's own word, if it refused.
    #[must_use]
    pub const fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the TPM certainly did not do what it was asked: its own refusal, and no command at all. An answer that is lost or spoilt
    /// says nothing.
    #[must_use]
    pub const fn was_not_carried_out(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Deadline { .. }
            | Self::TooLong { .. }
            | Self::NoEntropy
            | Self::Transport { error: TransportError::Send { .. } | TransportError::Short { .. }, .. } => true,
            Self::Transport { .. } | Self::Malformed { .. } | Self::Tampered { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport { command, error } => write!(f, "{command}: {error}"),
            Self::Malformed { command, error } => write!(f, "{command}: response: {error}"),
            Self::Refused { command, code } => write!(f, "{command}: {code}"),
            Self::Deadline { command, code } => write!(f, "{command}: still {code} when its time was over"),
            Self::Tampered { command } => write!(f, "{command}: the response was changed on its way"),
            Self::TooLong { command } => write!(f, "{command}: more bytes than a command holds"),
            Self::NoEntropy => f.write_str("no random bytes"),
        }
    }
}

impl core::error::Error for Error {}

impl From<NoEntropy> for Error {
    fn from(NoEntropy: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

/// What authorizes a command.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// Nothing does.
    None,
    /// The empty password, for what anybody may use: a register, the storage root key.
    EmptyPassword,
    /// The authorization area as a session made it.
    Area(&'a [u8]),
}

/// A command, but for its header.
#[derive(Clone, Copy)]
pub struct Command<'a> {
    /// Which.
    pub code: CommandCode,
    /// What it is about.
    pub handles: &'a [u32],
    /// What authorizes it.
    pub authorization: Authorization<'a>,
    /// Its parameters.
    pub parameters: &'a [u8],
    /// Whether the response begins with a handle.
    pub gives_handle: bool,
}

/// A response of a command that was carried out.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    /// The handle, 0 where the command gives none.
    pub handle: u32,
    /// The parameters.
    pub parameters: &'a [u8],
    /// The authorization area.
    pub authorization: &'a [u8],
}

/// A TPM, and the time until which it may take.
pub struct Tpm<T> {
    transport: T,
    entropy: Entropy,
    deadline: Instant,
    command: Writer,
    response: Box<[u8; MAX_MESSAGE]>,
}

impl<T: Transport> Tpm<T> {
    /// Takes over the way to a TPM. No command is sent again after `patience`, counted from now.
    pub fn new(transport: T, entropy: Entropy, patience: Duration) -> Self {
        let deadline = Instant::now();
        let deadline = deadline.checked_add(patience).unwrap_or(deadline);
        Self { transport, entropy, deadline, command: Writer::new(), response: Box::new([0; MAX_MESSAGE]) }
    }

    /// The way to the TPM.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Gives the TPM this much more time from now.
    pub fn extend_deadline(&mut self, patience: Duration) {
        let now = Instant::now();
        self.deadline = now.checked_add(patience).unwrap_or(now);
    }

    /// Fills `bytes` with random ones.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        (self.entropy)(bytes)
    }

    /// Sends a command until the TPM does not ask for it once more, and takes the response apart.
    ///
    /// # Errors
    /// [`Error`].
    pub fn run(&mut self, command: &Command<'_>) -> Result<Response<'_>, Error> {
        let code = command.code;
        write(&mut self.command, command).map_err(|Full| Error::TooLong { command: code })?;
        let mut pause = FIRST_PAUSE;
        let len = loop {
            let len = self
                .transport
                .exchange(self.command.as_bytes(), self.response.as_mut_slice())
                .map_err(|error| Error::Transport { command: code, error })?;
            let answer = response_code(self.response.get(..len).unwrap_or_default())
                .map_err(|error| Error::Malformed { command: code, error })?;
            if answer == ResponseCode::SUCCESS {
                break len;
            }
            if !answer.is_worth_another_try() {
                return Err(Error::Refused { command: code, code: answer });
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Deadline { command: code, code: answer });
            }
            sleep(pause.min(left));
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        };
        let response = self.response.get(..len).unwrap_or_default();
        take_apart(response, command).map_err(|error| Error::Malformed { command: code, error })
    }
}

impl<T> Drop for Tpm<T> {
    fn drop(&mut self) {
        self.response.zeroize();
    }
}

impl<T> fmt::Debug for Tpm<T> {
    /// Without what was sent and received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tpm").finish_non_exhaustive()
    }
}

/// Part 1, 18.
fn write(to: &mut Writer, command: &Command<'_>) -> Result<(), Full> {
    /// Where the size stands in the header.
    const SIZE_OFFSET: usize = 2;
    to.clear();
    let tag = if matches!(command.authorization, Authorization::None) { NO_SESSIONS } else { SESSIONS };
    to.u16(tag)?.u32(0)?.u32(command.code.value())?;
    for handle in command.handles {
        to.u32(*handle)?;
    }
    match command.authorization {
        Authorization::None => {}
        // The session's handle, no nonce, no attributes, no password (part 1, 19.4).
        Authorization::EmptyPassword => {
            to.u32(9)?.u32(PASSWORD_SESSION)?.u16(0)?.u8(0)?.u16(0)?;
        }
        Authorization::Area(area) => {
            to.u32(u32::try_from(area.len()).map_err(|_| Full)?)?.raw(area)?;
        }
    }
    to.raw(command.parameters)?;
    let size = u32::try_from(to.as_bytes().len()).map_err(|_| Full)?;
    to.set_u32(SIZE_OFFSET, size)
}

/// The header's response code; the header has to say the size that was received.
fn response_code(response: &[u8]) -> Result<ResponseCode, Malformed> {
    let mut reader = Reader::new(response);
    let tag = reader.u16()?;
    let offset = reader.offset();
    let size = reader.u32()?;
    if usize::try_from(size) != Ok(response.len()) {
        let expected = u32::try_from(response.len()).unwrap_or(u32::MAX);
        return Err(Malformed::Value { offset, found: size, expected });
    }
    let code = ResponseCode::of(reader.u32()?);
    if code != ResponseCode::SUCCESS {
        // A refusal is a header and nothing else (part 1, 18.5). Its tag may be that of a TPM 1.2, which is not looked at.
        reader.end()?;
    } else if tag != SESSIONS {
        Reader::new(response).expect_u16(NO_SESSIONS)?;
    }
    Ok(code)
}

/// The parts of a response whose code is success.
fn take_apart<'a>(response: &'a [u8], command: &Command<'_>) -> Result<Response<'a>, Malformed> {
    let mut reader = Reader::new(response);
    let with_sessions = !matches!(command.authorization, Authorization::None);
    reader.expect_u16(if with_sessions { SESSIONS } else { NO_SESSIONS })?;
    reader.raw(HEADER.saturating_sub(2))?;
    let handle = if command.gives_handle { reader.u32()? } else { 0 };
    let parameters = if with_sessions {
        let len = reader.u32()?;
        reader.raw(usize::try_from(len).unwrap_or(usize::MAX))?
    } else {
        reader.rest()
    };
    if let Authorization::EmptyPassword = command.authorization {
        // No nonce, attributes, no HMAC: nothing in it says anything, but a response that ends before it is not whole.
        reader.sized_to(0)?;
        reader.u8()?;
        reader.sized_to(0)?;
        reader.end()?;
    }
    Ok(Response { handle, parameters, authorization: reader.rest() })
}
