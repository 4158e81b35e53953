// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ioctl(LOOP_CTL_GET_FREE, LOOP_CONFIGURE)`: a file, or a part of a block device, as a block device.
//!
//! See drivers/block/loop.c, include/uapi/linux/loop.h and loop(4).

use core::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{Advice, Mode, OFlags};

use crate::{Errno, block};

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// /dev/loop-control cannot be opened: no CONFIG_BLK_DEV_LOOP, or its module is not loaded.
    NoLoop(Errno),
    /// LOOP_CTL_GET_FREE.
    GetFree(Errno),
    /// Opening the device that the kernel named.
    Open(block::Error),
    /// LOOP_CONFIGURE.
    Configure(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLoop(errno) => write!(f, "no loop devices: {errno}"),
            Self::GetFree(errno) => write!(f, "no free loop device: {errno}"),
            Self::Open(error) => write!(f, "loop device: {error}"),
            Self::Configure(errno) => write!(f, "loop device configure: {errno}"),
        }
    }
}

/// A read-only loop device. It goes away by itself (LO_FLAGS_AUTOCLEAR) when the
/// last user of the block device lets go of it; this value is one of them. ([`LoopDevice::hold`] leaves one that does not.)
#[derive(Debug)]
pub struct LoopDevice {
    device: block::ReadOnly,
}

/// The part of its backing that a loop device shows, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub offset: u64,
    /// How many; 0 is all up to the end.
    pub len: u64,
}

impl LoopDevice {
    /// Puts a free loop device over a part of `backing`, a file or block device that must be open for reading. Its pages are
    /// cached once, by the loop device (LO_FLAGS_DIRECT_IO), where what is below can be read directly: for that `sector_size`,
    /// in bytes, is the one of the disk below, and the part begins at a multiple of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn over(backing: BorrowedFd<'_>, part: Part, sector_size: u32) -> Result<Self, Error> {
        let flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
        Self::configure(&LoopConfig::new(backing, part, sector_size, flags), backing)
    }

    /// Has the kernel hold `file`, whatever becomes of its name, until the loop device over it is taken away (LOOP_CLR_FD): by systemd
    /// when it shuts down, or by whoever may do that.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn hold(file: BorrowedFd<'_>) -> Result<(), Error> {
        let whole = Part { offset: 0, len: 0 };
        Self::configure(&LoopConfig::new(file, whole, SECTOR, LO_FLAGS_READ_ONLY), file).map(|_| ())
    }

    fn configure(config: &LoopConfig, backing: BorrowedFd<'_>) -> Result<Self, Error> {
        let control = rustix::fs::open("/dev/loop-control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::NoLoop)?;
        // Where the file cannot be read directly, its pages are read ahead again from here on, whatever we advised for ourselves.
        let _ = rustix::fs::fadvise(backing, 0, None, Advice::Normal);
        // Another process may take the free device between the two calls. There is none in the mini-initramfs but on
        // the busy machine of a test, so a few tries are all it needs.
        let mut tries = 0_u8;
        loop {
            // SAFETY: LOOP_CTL_GET_FREE takes no argument.
            let number = unsafe { loop_ctl_get_free(control.as_raw_fd()) }
                .map_err(|errno| Error::GetFree(Errno::from_raw_os_error(errno as i32)))?;
            let mut path: heapless::String<24> = heapless::String::new();
            if fmt::Write::write_fmt(&mut path, format_args!("/dev/loop{number}")).is_err() {
                return Err(Error::GetFree(Errno::RANGE));
            }
            let device = rustix::fs::open(&*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| Error::Open(block::Error { call: block::Call::Open, errno }))?;
            // SAFETY: LOOP_CONFIGURE reads one loop_config (layout asserted below), which lives through the call.
            match unsafe { loop_configure(device.as_raw_fd(), &raw const *config) } {
                // Its size is known only now.
                Ok(_) => return block::ReadOnly::from_fd(device).map(|device| Self { device }).map_err(Error::Open),
                Err(nix::Error::EBUSY) if tries < 8 => tries = tries.saturating_add(1),
                Err(errno) => return Err(Error::Configure(Errno::from_raw_os_error(errno as i32))),
            }
        }
    }

    /// The block device.
    #[must_use]
    pub fn device(&self) -> &block::ReadOnly {
        &self.device
    }
}

/// Bytes of a sector of a loop device that nobody reads.
const SECTOR: u32 = 512;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_info64` of include/uapi/linux/loop.h.
#[repr(C)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config { __u32 fd; __u32 block_size; struct loop_info64 info; __u64 __reserved[8]; };`
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

impl LoopConfig {
    fn new(backing: BorrowedFd<'_>, part: Part, sector_size: u32, flags: u32) -> Self {
        Self {
            // A BorrowedFd is never negative.
            fd: backing.as_raw_fd().unsigned_abs(),
            block_size: sector_size,
            info: LoopInfo64 {
                device: 0,
                inode: 0,
                rdevice: 0,
                offset: part.offset,
                sizelimit: part.len,
                number: 0,
                encrypt_type: 0,
                encrypt_key_size: 0,
                flags,
                file_name: [0; 64],
                crypt_name: [0; 64],
                encrypt_key: [0; 32],
                init: [0; 2],
            },
            reserved: [0; 8],
        }
    }
}

nix::ioctl_none_bad!(
    /// `LOOP_CTL_GET_FREE 0x4C82`
    loop_ctl_get_free,
    0x4C82
);
nix::ioctl_write_ptr_bad!(
    /// `LOOP_CONFIGURE 0x4C0A`
    loop_configure,
    0x4C0A,
    LoopConfig
);
