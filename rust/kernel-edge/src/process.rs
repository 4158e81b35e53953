// SPDX-License-Identifier: MIT OR Apache-2.0
//! `socketpair`, `posix_spawn`, `kill`, `waitpid`, `execve`: a second process of this program, and the way to it; and the program that
//! this process becomes.
//!
//! The child finds its end of the socket as its standard input, and knows by its name what it is. Its memory is its own, and is
//! locked ([`lock_memory`]), so that a secret that is kept there is never on a disk, in a dump, or in this process.
//!
//! A process that was killed is gone when the call that it is in lets go of it. Closing a TPM waits for the command that is under way
//! (drivers/char/tpm/tpm-dev-common.c, `tpm_common_release`), for which a driver may allow two minutes: so nobody waits for an end
//! without a deadline.
//!
//! By the C library's own calls: `std::process::Command` would bring copies of the environment and a search for programs along.
//!
//! See unix(7) (`SOCK_SEQPACKET`), posix_spawn(3), execve(2), pidfd_open(2), waitpid(2), mlockall(2).

use core::fmt;
use core::time::Duration;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use rustix::fs::FileType;
use rustix::io::FdFlags;
use rustix::mm::MlockAllFlags;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions};

use crate::poll::{await_readable, await_readable_alive};
use crate::{Errno, file};

/// This program, whatever its path is.
const SELF: &CStr = c"/proc/self/exe";
/// The name that the kernel keeps of a process, argument by argument.
const ARGUMENTS: &str = "/proc/self/cmdline";
/// Most bytes of them: whoever calls it by hand may have many.
const MAX_ARGUMENTS: usize = 4096;
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
            Self::Spawn(errno) => write!(f, "exec {}: {errno}", SELF.to_string_lossy()),
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

    /// Whether a message is there, or the other end is gone: whether [`Channel::receive`] would not wait.
    ///
    /// # Errors
    /// [`Error::Poll`].
    pub fn is_ready(&self) -> Result<bool, Error> {
        await_readable(&self.0, Some(Duration::ZERO)).map_err(Error::Poll)
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
    child: Option<Pid>,
    /// The way to it.
    pub channel: Channel,
}

impl Worker {
    /// Starts this program again as `name`.
    ///
    /// # Errors
    /// [`Error::Socket`], [`Error::Spawn`].
    pub fn start(name: &str) -> Result<Self, Error> {
        let name = CString::new(name).map_err(|_| Error::Spawn(Errno::INVAL))?;
        Self::run(SELF, &[&name])
    }

    /// Starts the program at a path, without an environment, which has its end of the connection as its standard input.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn run(program: &CStr, arguments: &[&CStr]) -> Result<Self, Error> {
        let (channel, far) = Channel::pair()?;
        let child = spawn(program, arguments, &far).map_err(|errno| Error::Spawn(of_nix(errno)))?;
        Ok(Self { child: Pid::from_raw(child.as_raw()), channel })
    }

    /// Waits for its end, at most this long; then it is killed as by [`Worker::kill`].
    pub fn end(mut self, patience: Duration, alive: impl Fn()) -> End {
        let Some(child) = self.child.take() else { return End::Clean };
        if is_gone(child, patience, &alive) { End::Clean } else { kill(child, send_kill, alive) }
    }

    /// Kills it, and waits for two seconds until it is gone. `alive` is called meanwhile as by [`Channel::receive_within`].
    pub fn kill(mut self, alive: impl Fn()) -> End {
        self.child.take().map_or(End::Clean, |child| kill(child, send_kill, alive))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            kill(child, send_kill, || ());
        }
    }
}

fn spawn(program: &CStr, arguments: &[&CStr], stdin: &OwnedFd) -> nix::Result<nix::unistd::Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_dup2(stdin.as_raw_fd(), rustix::stdio::stdin().as_raw_fd())?;
    posix_spawn(program, &actions, &PosixSpawnAttr::init()?, arguments, &NO_ENVIRONMENT)
}

const NO_ENVIRONMENT: [&CStr; 0] = [];

fn of_nix(errno: nix::Error) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

fn send_kill(child: Pid) -> Result<(), Errno> {
    rustix::process::kill_process(child, Signal::KILL)
}

fn kill(child: Pid, kill: impl FnOnce(Pid) -> Result<(), Errno>, alive: impl Fn()) -> End {
    // One that has ended is not there to be killed, and is reaped all the same.
    let _ = kill(child);
    if is_gone(child, LAST, alive) { End::Killed } else { End::Stuck }
}

/// Waits for its end, at most this long, and reaps it. Where it cannot be waited for, nobody knows: then it is not gone.
fn is_gone(child: Pid, patience: Duration, alive: impl Fn()) -> bool {
    // It can be read once the process has ended.
    let ended = rustix::process::pidfd_open(child, PidfdFlags::empty())
        .and_then(|process| await_readable_alive(process, patience, alive));
    ended == Ok(true) && matches!(rustix::process::waitpid(Some(child), WaitOptions::NOHANG), Ok(Some(_)))
}

/// Replaces this process by a program, without further arguments. Comes back only with the reason why it was not.
pub fn execute(program: &CStr, environment: &[&CStr]) -> Errno {
    match nix::unistd::execve(program, &[program], environment) {
        Err(errno) => of_nix(errno),
    }
}

/// Whether this process was started as `name`.
#[must_use]
pub fn is_called(name: &str) -> bool {
    file::read(ARGUMENTS, MAX_ARGUMENTS)
        .is_ok_and(|arguments| arguments.split(|byte| *byte == 0).next() == Some(name.as_bytes()))
}

/// Ends this process at once. What `std::process::exit` does before is for threads and buffers, of which there are none.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit takes a number, and does not come back.
    unsafe { nix::libc::_exit(status) }
}

/// Keeps all memory of this process, present and future, out of swap space and core dumps: each page from when it is first used, so
/// that pages that never are take neither memory nor time.
///
/// # Errors
/// The errno of mlockall(2) or prctl(2).
pub fn lock_memory() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

#[cfg(test)]
mod tests;
