// SPDX-License-Identifier: MIT OR Apache-2.0
//! `socketpair`, `fork`, `execve`, `kill`, `waitpid`: a second process of this program, and the way to it.
//!
//! The child finds its end of the socket as its standard input, and knows by its name what it is. Its memory is its own, and is
//! locked ([`lock_memory`]), so that a secret that is kept there is never on a disk, in a dump, or in this process.
//!
//! A process that was killed is gone when the call that it is in lets go of it. Closing a TPM waits for the command that is under way
//! (drivers/char/tpm/tpm-dev-common.c, `tpm_common_release`), for which a driver may allow two minutes: so nobody waits for an end
//! without a deadline.
//!
//! See unix(7) (`SOCK_SEQPACKET`), execve(2), pidfd_open(2), waitpid(2), mlockall(2).

use core::fmt;
use core::time::Duration;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::FileType;
use rustix::io::FdFlags;
use rustix::mm::MlockAllFlags;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags};

use crate::Errno;
use crate::poll::{await_readable, await_readable_alive};

/// This program, whatever its path is.
const SELF: &str = "/proc/self/exe";
/// The name that the kernel keeps of a process, argument by argument.
const ARGUMENTS: &str = "/proc/self/cmdline";
/// How long a process that was killed may take to be gone.
const LAST: Duration = Duration::from_secs(2);

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

    /// Waits for one message without end; gives its bytes.
    ///
    /// # Errors
    /// [`Error::Poll`], [`Error::Receive`], [`Error::Gone`].
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        self.take(await_readable(&self.0, None), buffer)
    }

    /// Waits for one message, up to `patience`; gives its bytes. `alive` is called four times a second meanwhile, for a watchdog.
    ///
    /// # Errors
    /// [`Error::Poll`], [`Error::Receive`], [`Error::TimedOut`], [`Error::Gone`].
    pub fn receive_within<'a>(
        &self,
        buffer: &'a mut [u8],
        patience: Duration,
        alive: impl Fn(),
    ) -> Result<&'a [u8], Error> {
        self.take(await_readable_alive(&self.0, patience, alive), buffer)
    }

    fn take<'a>(&self, ready: Result<bool, Errno>, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        if !ready.map_err(Error::Poll)? {
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

/// How a child came to its end, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Clean,
    /// It had to be killed.
    Killed,
    /// It was killed, and is not gone: the kernel does not let go of it. It runs nothing of its own any more, and holds what it has
    /// open.
    Stuck,
}

/// A child of this process. Dropping it kills it, and waits for its end as long as [`Worker::kill`] does.
#[derive(Debug)]
pub struct Worker {
    child: Option<Child>,
    /// The way to it.
    pub channel: Channel,
}

impl Worker {
    /// Starts this program again as `name`.
    ///
    /// # Errors
    /// [`Error::Socket`], [`Error::Spawn`].
    pub fn start(name: &str) -> Result<Self, Error> {
        let mut command = Command::new(SELF);
        command.arg0(name).env_clear();
        Self::run(command)
    }

    /// Starts a program, which has its end of the connection as its standard input.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn run(mut command: Command) -> Result<Self, Error> {
        let (channel, far) = Channel::pair()?;
        let child = command.stdin(Stdio::from(far)).spawn();
        let child = child.map_err(|error| Error::Spawn(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok(Self { child: Some(child), channel })
    }

    /// Waits for its end, at most this long; then it is killed as by [`Worker::kill`].
    pub fn end(mut self, patience: Duration, alive: impl Fn()) -> End {
        let Some(mut child) = self.child.take() else { return End::Clean };
        if is_gone(&mut child, patience, &alive) { End::Clean } else { kill(&mut child, Child::kill, alive) }
    }

    /// Kills it, and waits for two seconds until it is gone. `alive` is called meanwhile as by [`Channel::receive_within`].
    pub fn kill(mut self, alive: impl Fn()) -> End {
        self.child.take().map_or(End::Clean, |mut child| kill(&mut child, Child::kill, alive))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(&mut child, Child::kill, || ());
        }
    }
}

fn kill(child: &mut Child, kill: impl FnOnce(&mut Child) -> std::io::Result<()>, alive: impl Fn()) -> End {
    // One that has ended is not there to be killed, and is reaped all the same.
    let _ = kill(child);
    if is_gone(child, LAST, alive) { End::Killed } else { End::Stuck }
}

/// Waits for its end, at most this long, and reaps it. Where it cannot be waited for, nobody knows: then it is not gone.
fn is_gone(child: &mut Child, patience: Duration, alive: impl Fn()) -> bool {
    // It can be read once the process has ended.
    let ended = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .and_then(|process| await_readable_alive(process, patience, alive));
    ended == Ok(true) && matches!(child.try_wait(), Ok(Some(_)))
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

#[cfg(test)]
mod tests;
