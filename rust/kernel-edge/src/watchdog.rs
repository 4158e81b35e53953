// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open("/dev/watchdog0")`, `ioctl(WDIOC_SETTIMEOUT)`, `write`: the hardware watchdog.
//!
//! It is started and never stopped: closing it without the magic character leaves it counting, so that init must take it
//! over (RuntimeWatchdogSec= of systemd) within the time set here. A driver that stops at every close is refused: it
//! would guard nothing after exec.
//!
//! See Documentation/watchdog/watchdog-api.rst.

use core::fmt;
use core::time::Duration;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::{Errno, file};

const NODE: &str = "/dev/watchdog0";

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such device, or another process has it.
    Open(Errno),
    /// The hardware cannot count this long.
    Timeout(Errno),
    /// The driver set less than what was asked for, in seconds.
    Shorter {
        /// Seconds that it set.
        set: i32,
    },
    /// The driver stops at every close, and is not set to nowayout.
    StopsAtClose,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(errno) => write!(f, "{NODE}: {errno}"),
            Self::Timeout(errno) => write!(f, "{NODE}: set timeout: {errno}"),
            Self::Shorter { set } => write!(f, "{NODE}: the driver counts only {set} s"),
            Self::StopsAtClose => write!(f, "{NODE}: stops when it is closed: set its module's nowayout=1"),
        }
    }
}

/// The running watchdog.
#[derive(Debug)]
pub struct Watchdog(OwnedFd);

impl Watchdog {
    /// Starts the watchdog: the machine is reset when `time`, in whole seconds, passes without
    /// [`Watchdog::keep_alive`].
    ///
    /// # Errors
    /// See [`Error`]. Where the time is refused, the watchdog runs with the driver's own.
    pub fn start(time: Duration) -> Result<Self, Error> {
        let fd = rustix::fs::open(NODE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(Error::Open)?;
        let mut seconds = i32::try_from(time.as_secs()).map_err(|_| Error::Timeout(Errno::RANGE))?;
        // SAFETY: WDIOC_SETTIMEOUT reads and writes one int, which lives through the call.
        unsafe { set_timeout(fd.as_raw_fd(), &raw mut seconds) }
            .map_err(|errno| Error::Timeout(Errno::from_raw_os_error(errno as i32)))?;
        if u64::try_from(seconds).is_ok_and(|set| set < time.as_secs()) {
            return Err(Error::Shorter { set: seconds });
        }
        let mut info = WatchdogInfo { options: 0, firmware_version: 0, identity: [0; 32] };
        // SAFETY: WDIOC_GETSUPPORT writes one watchdog_info (layout asserted below), which lives through the call.
        let magic_close =
            unsafe { get_support(fd.as_raw_fd(), &raw mut info) }.is_ok() && info.options & WDIOF_MAGICCLOSE != 0;
        if !magic_close && !is_nowayout() {
            return Err(Error::StopsAtClose);
        }
        Ok(Self(fd))
    }

    /// Begins the time anew. It cannot fail in a way that helps: then the machine is reset.
    pub fn keep_alive(&self) {
        // Any byte but 'V', which would allow the watchdog to be stopped.
        let _ = rustix::io::write(&self.0, b"\0");
    }
}

/// Whether the driver was told never to stop.
fn is_nowayout() -> bool {
    file::read("/sys/class/watchdog/watchdog0/nowayout", 16).is_ok_and(|value| value.trim_ascii() == b"1")
}

/// The driver stops only after the magic character.
const WDIOF_MAGICCLOSE: u32 = 0x0100;

/// `struct watchdog_info { __u32 options; __u32 firmware_version; __u8 identity[32]; };`
#[repr(C)]
pub struct WatchdogInfo {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

const _: () = assert!(size_of::<WatchdogInfo>() == 40);

nix::ioctl_read!(
    /// `WDIOC_GETSUPPORT _IOR('W', 0, struct watchdog_info)`
    get_support,
    b'W',
    0,
    WatchdogInfo
);
nix::ioctl_readwrite!(
    /// `WDIOC_SETTIMEOUT _IOWR('W', 6, int)`
    set_timeout,
    b'W',
    6,
    i32
);
