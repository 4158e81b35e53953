// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ioctl(FIBMAP)`: where a file's blocks lie in its file system.
//!
//! vfat has no FIEMAP. See fs/ioctl.c, `ioctl_fibmap`, and include/uapi/linux/fs.h.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Errno;

/// The first byte of the file on the device that its file system is mounted from; `None` where it has no block there.
///
/// # Errors
/// The errno of ioctl(2): EINVAL or ENOTTY where the file system cannot tell, EPERM without CAP_SYS_RAWIO.
pub fn first_byte(file: BorrowedFd<'_>) -> Result<Option<u64>, Errno> {
    // The kernel counts in blocks of the file system: what stat(2) calls a block is, to vfat, a cluster.
    let block_bytes = get_block_size(file)?;
    // The number of a block of the file goes in, that of the block on the device comes out.
    let mut block = 0_i32;
    // SAFETY: FIBMAP reads and writes one int, which lives through the call.
    unsafe { fibmap(file.as_raw_fd(), &raw mut block) }.map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    Ok(u64::try_from(block).ok().filter(|block| *block != 0).and_then(|block| block.checked_mul(block_bytes)))
}

fn get_block_size(file: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut bytes = 0_i32;
    // SAFETY: FIGETBSZ writes one int, which lives through the call.
    unsafe { figetbsz(file.as_raw_fd(), &raw mut bytes) }.map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    u64::try_from(bytes).map_err(|_| Errno::RANGE)
}

nix::ioctl_read_bad!(
    /// `FIBMAP _IO(0x00,1)`
    fibmap,
    nix::request_code_none!(0x00, 1),
    i32
);
nix::ioctl_read_bad!(
    /// `FIGETBSZ _IO(0x00,2)`
    figetbsz,
    nix::request_code_none!(0x00, 2),
    i32
);
