// SPDX-License-Identifier: MIT OR Apache-2.0
//! `open`, `lseek`, `posix_fadvise`, `ioctl(BLKSSZGET, BLKBSZSET, BLKPG)`: block devices and their partitions.
//!
//! See block/ioctl.c and include/uapi/linux/blkpg.h.

use core::fmt;
use core::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, Mode, OFlags, SeekFrom};

use crate::Errno;

/// What failed on a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The call.
    pub call: Call,
    /// What the kernel said.
    pub errno: Errno,
}

/// The calls of this family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// open(2) of the device node.
    Open,
    /// lseek(2) to the end, which is the device's size.
    Size,
    /// BLKSSZGET, the logical sector size.
    SectorSize,
    /// fstat(2), for the device number.
    Stat,
    /// pread(2).
    Read,
    /// BLKPG_ADD_PARTITION.
    AddPartition,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Open => "open",
            Call::Size => "size",
            Call::SectorSize => "sector size",
            Call::Stat => "stat",
            Call::Read => "read",
            Call::AddPartition => "add partition",
        };
        write!(f, "{call}: {}", self.errno)
    }
}

/// A device number, printed as `MAJOR:MINOR`, the form that device-mapper tables take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number within the driver.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A block device or regular file, or a part of one, open for reading only.
#[derive(Debug)]
pub struct ReadOnly {
    fd: OwnedFd,
    /// The byte that [`ReadOnly::read_at`] counts from.
    first: u64,
    bytes: u64,
}

impl ReadOnly {
    /// Opens the block device at `path`.
    ///
    /// # Errors
    /// [`Call::Open`] (ENOENT, ENXIO, ENOMEDIUM and so on) or [`Call::Size`].
    pub fn open(path: &str) -> Result<Self, Error> {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error { call: Call::Open, errno })?;
        Self::from_fd(fd)
    }

    /// Takes over a descriptor that was opened for reading.
    ///
    /// # Errors
    /// [`Call::Size`].
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        let bytes = rustix::fs::seek(&fd, SeekFrom::End(0)).map_err(|errno| Error { call: Call::Size, errno })?;
        // A header here, a superblock there: what lies behind them is not asked for next.
        let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Random);
        Ok(Self { fd, first: 0, bytes })
    }

    /// The `bytes` from byte `first` on, read as if they were a file of their own.
    ///
    /// # Errors
    /// [`Call::Open`]: no descriptor is free, or not all of the bytes are there (EOVERFLOW).
    pub fn part(&self, first: u64, bytes: u64) -> Result<Self, Error> {
        let fail = |errno| Error { call: Call::Open, errno };
        let is_inside = first.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        let first = self.first.checked_add(first).filter(|_| is_inside).ok_or(fail(Errno::OVERFLOW))?;
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0).map_err(fail)?;
        // A loop device over another part may have had its pages read ahead: the two share the advice.
        let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Random);
        Ok(Self { fd, first, bytes })
    }

    /// The first byte of a part, on the device that it is of.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The logical sector size in bytes: the unit of the partition table.
    ///
    /// # Errors
    /// [`Call::SectorSize`]; ENOTTY for a regular file.
    pub fn sector_size(&self) -> Result<u32, Error> {
        rustix::fs::ioctl_blksszget(&self.fd).map_err(|errno| Error { call: Call::SectorSize, errno })
    }

    /// The device's number.
    ///
    /// # Errors
    /// [`Call::Stat`].
    pub fn number(&self) -> Result<DeviceNumber, Error> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|errno| Error { call: Call::Stat, errno })?;
        Ok(DeviceNumber { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) })
    }

    /// Fills `buffer` from byte `offset`; returns how much of it there was before the end.
    ///
    /// # Errors
    /// [`Call::Read`]; EIO where the medium (or dm-verity) refuses the block.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        let mut done = 0_usize;
        let there = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..there).unwrap_or_default();
        let offset = self.first.saturating_add(offset);
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = u64::try_from(done).ok().and_then(|done| offset.checked_add(done));
            let Some(at) = at else { break };
            match rustix::io::pread(&self.fd, rest, at) {
                Ok(0) => break,
                Ok(read) => done = done.saturating_add(read),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error { call: Call::Read, errno }),
            }
        }
        Ok(done)
    }

    /// What there is of `len` bytes from byte `offset` on.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    pub fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len];
        let read = self.read_at(&mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Makes `bytes` the unit in which the kernel keeps what it has read of the device: what a file system is going to ask for when
    /// it is mounted, which else throws away what was read before. Lasts as long as somebody has the device open. Best effort.
    pub fn set_block_size(&self, bytes: u16) {
        let bytes = i32::from(bytes);
        // SAFETY: BLKBSZSET reads one int (its number says size_t), which lives through the call.
        let _ = unsafe { blkbszset(self.fd.as_raw_fd(), &raw const bytes) };
    }

    /// Has the kernel read these bytes in as few requests as it can, for whoever asks for them next: us, or a file system that
    /// is mounted from this device. Best effort, and no wait for the end of it: who needs the bytes will see what is wrong.
    pub fn read_ahead(&self, offset: u64, len: u64) {
        // No length means "up to the end".
        if let Some(len) = NonZeroU64::new(len) {
            let _ = rustix::fs::fadvise(&self.fd, self.first.saturating_add(offset), Some(len), Advice::WillNeed);
        }
    }

    /// Tells the kernel of a partition that it has not found itself (it does not use the backup table).
    /// `offset` and `bytes` are in bytes; `number` counts from 1.
    ///
    /// # Errors
    /// [`Call::AddPartition`]: EBUSY where it overlaps one that exists, EINVAL where it leaves the device.
    pub fn add_partition(&self, number: u32, offset: u64, bytes: u64) -> Result<(), Error> {
        let fail = |errno| Error { call: Call::AddPartition, errno };
        let mut partition = BlkpgPartition {
            start: i64::try_from(offset).map_err(|_| fail(Errno::OVERFLOW))?,
            length: i64::try_from(bytes).map_err(|_| fail(Errno::OVERFLOW))?,
            pno: i32::try_from(number).map_err(|_| fail(Errno::OVERFLOW))?,
            devname: [0; 64],
            volname: [0; 64],
        };
        let argument = BlkpgIoctlArg {
            op: BLKPG_ADD_PARTITION,
            flags: 0,
            datalen: BLKPG_PARTITION_BYTES,
            data: &raw mut partition,
        };
        // SAFETY: BLKPG reads one BlkpgIoctlArg and the BlkpgPartition it points to; both are laid out as in
        // include/uapi/linux/blkpg.h (asserted below) and live through the call.
        unsafe { blkpg(self.fd.as_raw_fd(), &raw const argument) }
            .map_err(|errno| fail(Errno::from_raw_os_error(errno as i32)))?;
        Ok(())
    }
}

impl AsFd for ReadOnly {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

nix::ioctl_write_ptr_bad!(
    /// `BLKBSZSET _IOW(0x12,113,size_t)`
    blkbszset,
    nix::request_code_write!(0x12, 113, size_of::<usize>()),
    i32
);

const BLKPG_ADD_PARTITION: i32 = 1;
const BLKPG_PARTITION_BYTES: i32 = 152;

/// `struct blkpg_partition { long long start; long long length; int pno; char devname[64]; char volname[64]; };`
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    pno: i32,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// `struct blkpg_ioctl_arg { int op; int flags; int datalen; void *data; };`
#[repr(C)]
struct BlkpgIoctlArg {
    op: i32,
    flags: i32,
    datalen: i32,
    data: *mut BlkpgPartition,
}

const _: () = assert!(size_of::<BlkpgPartition>() == 152 && size_of::<BlkpgIoctlArg>() == 24);

nix::ioctl_write_ptr_bad!(
    /// `BLKPG _IO(0x12,105)`
    blkpg,
    nix::request_code_none!(0x12, 105),
    BlkpgIoctlArg
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn a_part_is_read_as_a_file_of_its_own_and_ends_where_it_ends() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let whole = ReadOnly::from_fd(file.into()).unwrap();
        let read = |device: &ReadOnly, offset| {
            let mut buffer = [b'.'; 4];
            let len = device.read_at(&mut buffer, offset).unwrap();
            (len, buffer)
        };
        assert_eq!(read(&whole, 8), (2, *b"89.."));
        let part = whole.part(2, 5).unwrap();
        assert_eq!((part.first(), part.bytes()), (2, 5));
        assert_eq!(read(&part, 0), (4, *b"2345"));
        assert_eq!(read(&part, 3), (2, *b"56.."), "not what is behind it");
        assert_eq!(read(&part, 5), (0, *b"...."));
        let inner = part.part(1, 4).unwrap();
        assert_eq!((inner.first(), read(&inner, 2)), (3, (2, *b"56..")));
        for (first, bytes) in [(1, 5), (6, 0), (u64::MAX, 1), (1, u64::MAX)] {
            let error = part.part(first, bytes).unwrap_err();
            assert_eq!(error, Error { call: Call::Open, errno: Errno::OVERFLOW }, "{bytes} at {first}");
        }
    }
}
