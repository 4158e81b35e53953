// SPDX-License-Identifier: MIT OR Apache-2.0
//! `socketpair`, `fork`, `execve`, `waitpid`: a second process of this program, and the way to it.
//!
//! The child finds its end of the socket as its standard input, and knows by its name what it is. Its memory is its own, and is
//! locked ([`lock_memory`]), so that a secret that is kept there is never on a disk, in a dump, or in this process.
//!
//! See unix(7) (`SOCK_SEQPACKET`), execve(2), waitpid(2), mlockall(2).

use core::fmt;
use core::time::Duration;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::FileType;
use rustix::io::FdFlags;
use rustix::mm::MlockAllFlags;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::DumpableBehavior;

use crate::Errno;
use crate::poll::await_readable;

/// This program, whatever its path is.
const SELF: &str = "/proc/self/exe";
/// The name that the kernel keeps of a process, argument by argument.
const ARGUMENTS: &str = "/proc/self/cmdline";

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No socket.
    Socket(Errno),
    /// No process.
    Spawn(Errno),
    /// The message was not taken.
    Send(Errno),
    /// Waiting failed.
    Poll(Errno),
    /// The message was not given.
    Receive(Errno),
    /// No message in time.
    TimedOut,
    /// The other end is closed: its process is gone.
    Gone,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(errno) => write!(f, "socketpair: {errno}"),
            Self::Spawn(errno) => write!(f, "exec {SELF}: {errno}"),
            Self::Send(errno) => write!(f, "send: {errno}"),
            Self::Poll(errno) => write!(f, "poll: {errno}"),
            Self::Receive(errno) => write!(f, "receive: {errno}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Gone => f.write_str("the process is gone"),
        }
    }
}

/// One end of a connection that keeps messages apart.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    fn pair() -> Result<(Self, OwnedFd), Error> {
        let (near, far) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(Error::Socket)?;
        Ok((Self(near), far))
    }

    /// The end that a parent left to this process as its standard input; `None` if that is no socket. What this process
    /// executes in turn does not get it.
    #[must_use]
    pub fn inherited() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let stat = rustix::fs::fstat(stdin).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return None;
        }
        rustix::io::fcntl_setfd(stdin, FdFlags::CLOEXEC).ok()?;
        rustix::io::fcntl_dupfd_cloexec(stdin, 3).ok().map(Self)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`Error::Send`], [`Error::Gone`].
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        match rustix::net::send(&self.0, message, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(Error::Gone),
            Err(errno) => Err(Error::Send(errno)),
        }
    }

    /// Waits for one message, up to `patience` or without end; gives its bytes.
    ///
    /// # Errors
    /// [`Error::Poll`], [`Error::Receive`], [`Error::TimedOut`], [`Error::Gone`].
    pub fn receive<'a>(&self, buffer: &'a mut [u8], patience: Option<Duration>) -> Result<&'a [u8], Error> {
        if !await_readable(&self.0, patience).map_err(Error::Poll)? {
            return Err(Error::TimedOut);
        }
        match rustix::net::recv(&self.0, &mut *buffer, RecvFlags::empty()) {
            // There are no empty messages.
            Ok((0, _)) | Err(Errno::CONNRESET) => Err(Error::Gone),
            Ok((len, _)) => Ok(buffer.get(..len).unwrap_or_default()),
            Err(errno) => Err(Error::Receive(errno)),
        }
    }
}

/// A child of this process. Dropping it ends it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// The way to it.
    pub channel: Channel,
}

impl Worker {
    /// Starts this program again as `name`.
    ///
    /// # Errors
    /// [`Error::Socket`], [`Error::Spawn`].
    pub fn start(name: &str) -> Result<Self, Error> {
        let (channel, far) = Channel::pair()?;
        let mut command = Command::new(SELF);
        let child = command.arg0(name).env_clear().stdin(Stdio::from(far)).spawn();
        let child = child.map_err(|error| Error::Spawn(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok(Self { child, channel })
    }

    /// Waits for its end, at most this long; then it is killed. Either way it is gone, and its memory with it.
    ///
    /// # Errors
    /// [`Error::TimedOut`] where it had to be killed.
    pub fn end(self, patience: Duration) -> Result<(), Error> {
        let mut nothing = [0; 1];
        // It closes its end by ending.
        match self.channel.receive(&mut nothing, Some(patience)) {
            Err(Error::Gone) => Ok(()),
            _ => Err(Error::TimedOut),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is not there to be killed, and is reaped all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process was started as `name`.
#[must_use]
pub fn is_called(name: &str) -> bool {
    std::fs::read(ARGUMENTS).is_ok_and(|arguments| arguments.split(|byte| *byte == 0).next() == Some(name.as_bytes()))
}

/// Keeps all memory of this process, present and future, out of swap space and core dumps.
///
/// # Errors
/// The errno of mlockall(2) or prctl(2).
pub fn lock_memory() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)
}
