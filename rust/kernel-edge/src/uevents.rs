// SPDX-License-Identifier: MIT OR Apache-2.0
//! `socket(AF_NETLINK, NETLINK_KOBJECT_UEVENT)`: the kernel's word of each device that appears.
//!
//! See lib/kobject_uevent.c and netlink(7).

use core::fmt;
use core::time::Duration;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};

use crate::Errno;
use crate::clock::timespec;

/// Bytes of the socket's buffer: room for the burst that a scan of many partitions makes.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The multicast group that the kernel itself sends to; udev's own is 2.
const KERNEL_GROUP: u32 = 1;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The socket could not be made: a kernel without CONFIG_NET.
    Socket(Errno),
    /// It could not be bound.
    Bind(Errno),
    /// Waiting failed.
    Poll(Errno),
    /// Receiving failed.
    Receive(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(errno) => write!(f, "uevent socket: {errno}"),
            Self::Bind(errno) => write!(f, "uevent socket bind: {errno}"),
            Self::Poll(errno) => write!(f, "uevent socket poll: {errno}"),
            Self::Receive(errno) => write!(f, "uevent socket receive: {errno}"),
        }
    }
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// One message from the kernel.
    Message(&'a [u8]),
    /// Messages were lost (ENOBUFS): look at /sys again.
    Lost,
    /// Nothing came in the given time.
    TimedOut,
}

/// The socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens the socket. Bind it before looking at /sys, so that no device is missed in between.
    ///
    /// # Errors
    /// [`Error::Socket`], [`Error::Bind`].
    pub fn open() -> Result<Self, Error> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(KOBJECT_UEVENT),
        )
        .map_err(Error::Socket)?;
        // Best effort: a smaller buffer loses messages, and a loss is noticed (`Received::Lost`).
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BUFFER);
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, KERNEL_GROUP)).map_err(Error::Bind)?;
        Ok(Self(fd))
    }

    /// Waits up to `patience` for the next message of the kernel; what others send to the group is thrown away.
    ///
    /// # Errors
    /// [`Error::Poll`], [`Error::Receive`].
    pub fn receive<'a>(&self, buffer: &'a mut [u8], patience: Duration) -> Result<Received<'a>, Error> {
        let mut poll = [PollFd::new(&self.0, PollFlags::IN)];
        match rustix::event::poll(&mut poll, Some(&timespec(patience))) {
            Ok(0) => return Ok(Received::TimedOut),
            // The caller keeps the deadline and comes back.
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::Poll(errno)),
        }
        match rustix::net::recvfrom(&self.0, &mut *buffer, RecvFlags::empty()) {
            Ok((len, _, from)) => {
                let kernel = from
                    .and_then(|from| SocketAddrNetlink::try_from(from).ok())
                    .is_some_and(|from| from.pid() == 0 && from.groups() == KERNEL_GROUP);
                let message = buffer.get(..len).unwrap_or_default();
                Ok(Received::Message(if kernel { message } else { &[] }))
            }
            Err(Errno::NOBUFS) => Ok(Received::Lost),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Message(&[])),
            Err(errno) => Err(Error::Receive(errno)),
        }
    }
}
