// SPDX-License-Identifier: MIT OR Apache-2.0
//! `fsopen`, `fsconfig`, `fsmount`, `mount`, `move_mount`, `umount`, `chroot`: file systems and the switch to the new root.
//!
//! A file system on a device is first a [`Mount`] that hangs nowhere: it can be looked into, and it is gone when dropped. Only
//! [`Mount::attach`] makes it part of the tree. The kernel's own are there at once ([`mount_at`]).
//!
//! See fsopen(2), fsconfig(2), fsmount(2), mount(2), move_mount(2), openat2(2) and
//! Documentation/filesystems/ramfs-rootfs-initramfs.rst.

use core::ffi::CStr;
use core::fmt::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags};

use crate::Errno;

/// Longest text kept of what a file system driver said of its refusal, in bytes.
const SAID: usize = 96;

/// What failed, and what the driver said of it (fsopen(2), "error messages").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The call.
    pub call: Call,
    /// What the kernel answered.
    pub errno: Errno,
    /// The driver's own words; often none.
    pub said: heapless::String<SAID>,
}

/// The calls of this family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// fsopen(2): ENODEV for a file system that the kernel lacks.
    Open,
    /// fsconfig(2) of a parameter.
    Configure,
    /// fsconfig(2) FSCONFIG_CMD_CREATE: the driver reads the superblock.
    Create,
    /// fsmount(2).
    Mount,
    /// mount(2): ENODEV for a file system that the kernel lacks.
    MountAt,
    /// move_mount(2).
    Move,
    /// umount2(2).
    Unmount,
    /// chdir(2) or chroot(2) of the switch to the new root.
    Root,
}

impl Error {
    const fn of(call: Call) -> impl Fn(Errno) -> Self {
        move |errno| Self { call, errno, said: heapless::String::new() }
    }

    /// Whether the kernel lacks this file system.
    #[must_use]
    pub fn is_unknown_file_system(&self) -> bool {
        matches!(self.call, Call::Open | Call::MountAt) && self.errno == Errno::NODEV
    }

    /// Whether a block that the driver needs could not be read: this says nothing of what was to be in it.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.call == Call::Create && self.errno == Errno::IO
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Open => "fsopen",
            Call::Configure => "fsconfig",
            Call::Create | Call::MountAt => "mount",
            Call::Mount => "fsmount",
            Call::Move => "move_mount",
            Call::Unmount => "umount",
            Call::Root => "switch root",
        };
        write!(f, "{call}: {}", self.errno)?;
        if !self.said.is_empty() {
            write!(f, " ({})", self.said)?;
        }
        Ok(())
    }
}

/// What a mount allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read-only, superblock and mount.
    ReadOnly,
    /// Read-only, and nothing on it is a device, set-user-ID or executable: for file systems that nobody signed.
    ReadOnlyData,
    /// Read-write, without set-user-ID: for /run and the upper layer.
    ReadWrite,
    /// Read-write, without devices, set-user-ID or programs: for /proc and /sys, and for a change to what nobody signed.
    Kernel,
    /// Read-write with devices, without set-user-ID: for /dev.
    Devices,
    /// Read-write, nothing withheld: an overlay that is the root.
    Root,
}

impl Access {
    const fn attributes(self) -> MountAttrFlags {
        use MountAttrFlags as F;
        match self {
            Self::ReadOnly => F::MOUNT_ATTR_RDONLY,
            Self::ReadOnlyData => {
                F::MOUNT_ATTR_RDONLY.union(F::MOUNT_ATTR_NODEV).union(F::MOUNT_ATTR_NOSUID).union(F::MOUNT_ATTR_NOEXEC)
            }
            Self::ReadWrite => F::MOUNT_ATTR_NODEV.union(F::MOUNT_ATTR_NOSUID),
            Self::Kernel => F::MOUNT_ATTR_NODEV.union(F::MOUNT_ATTR_NOSUID).union(F::MOUNT_ATTR_NOEXEC),
            Self::Devices => F::MOUNT_ATTR_NOSUID,
            Self::Root => F::empty(),
        }
    }

    /// The same for mount(2), where they have the same bits (include/uapi/linux/mount.h).
    const fn flags(self) -> MountFlags {
        MountFlags::from_bits_truncate(self.attributes().bits())
    }

    const fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadOnlyData)
    }
}

/// A parameter of a file system (fsconfig(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// A key alone.
    Flag(&'a str),
    /// A key and its value.
    Text(&'a str, &'a str),
}

/// A mounted file system, held by its descriptor. Until it is attached, dropping it unmounts it.
#[derive(Debug)]
pub struct Mount(OwnedFd);

impl Mount {
    /// Mounts `source` as file system `kind` with the given `options`, attached nowhere.
    ///
    /// # Errors
    /// See [`Error`]; [`Call::Create`] is the driver's refusal of what is on the device.
    pub fn new(kind: &str, source: &str, options: &[Parameter<'_>], access: Access) -> Result<Self, Error> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(Error::of(Call::Open))?;
        let refused = |call| {
            let context = context.as_fd();
            move |errno| Error { call, errno, said: said(context) }
        };
        rustix::mount::fsconfig_set_string(context.as_fd(), "source", source).map_err(refused(Call::Configure))?;
        for option in options {
            match *option {
                Parameter::Flag(key) => rustix::mount::fsconfig_set_flag(context.as_fd(), key),
                Parameter::Text(key, value) => rustix::mount::fsconfig_set_string(context.as_fd(), key, value),
            }
            .map_err(refused(Call::Configure))?;
        }
        if access.is_read_only() {
            rustix::mount::fsconfig_set_flag(context.as_fd(), "ro").map_err(refused(Call::Configure))?;
        }
        rustix::mount::fsconfig_create(context.as_fd()).map_err(refused(Call::Create))?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, access.attributes())
            .map(Self)
            .map_err(refused(Call::Mount))
    }

    /// Hangs the mount into the tree at `path`, where it stays.
    ///
    /// # Errors
    /// [`Call::Move`]: ENOENT without the directory.
    pub fn attach(&self, path: &str) -> Result<(), Error> {
        rustix::mount::move_mount(self.0.as_fd(), "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(Error::of(Call::Move))
    }

    /// Lets others mount the same device read-write; this mount itself stays read-only. (The kernel has one superblock
    /// for each device, and refuses a mount that asks for another mode with EBUSY.)
    ///
    /// # Errors
    /// [`Call::Create`]: EROFS or EACCES for a write-protected device.
    pub fn make_superblock_writable(&self) -> Result<(), Error> {
        let flags = FsPickFlags::FSPICK_EMPTY_PATH.union(FsPickFlags::FSPICK_CLOEXEC);
        let context = rustix::mount::fspick(self.0.as_fd(), "", flags).map_err(Error::of(Call::Open))?;
        rustix::mount::fsconfig_set_flag(context.as_fd(), "rw").map_err(Error::of(Call::Configure))?;
        rustix::mount::fsconfig_reconfigure(context.as_fd()).map_err(Error::of(Call::Create))
    }

    /// Opens `path` for reading as a program inside this file system would: links and `..` stay within it.
    ///
    /// # Errors
    /// The errno of openat2(2).
    pub fn open(&self, path: &str) -> Result<OwnedFd, Errno> {
        // Not to wait for a FIFO's writer, nor to take a terminal.
        self.open_with(path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK)
    }

    /// Renames a file inside this file system, and writes that out. A file of the new name is replaced.
    ///
    /// # Errors
    /// The errno of renameat(2) or syncfs(2).
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        let root = self.open("/")?;
        rustix::fs::renameat(&root, from, &root, to)?;
        rustix::fs::syncfs(root)
    }

    /// Bytes that the file system says it has.
    ///
    /// # Errors
    /// The errno of fstatfs(2); EOVERFLOW for more than 2^64 - 1 bytes.
    pub fn size(&self) -> Result<u64, Errno> {
        let facts = rustix::fs::fstatvfs(&self.0)?;
        facts.f_blocks.checked_mul(facts.f_frsize).ok_or(Errno::OVERFLOW)
    }

    /// Whether `path` is a directory inside this file system, reached without symbolic links: something to mount on.
    ///
    /// # Errors
    /// As [`Mount::open_directory`].
    pub fn has_mount_point(&self, path: &str) -> Result<bool, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        found(rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve).map(|_| true))
    }

    /// Opens the directory at `path` inside this file system for reading; `None` if there is none.
    ///
    /// # Errors
    /// The errno of openat2(2) where it is neither there nor known to be missing.
    pub fn open_directory(&self, path: &str) -> Result<Option<OwnedFd>, Errno> {
        found(self.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY).map(Some))
    }

    /// Whether `path` names a regular file inside this file system.
    ///
    /// # Errors
    /// As [`Mount::open_directory`].
    pub fn has_file(&self, path: &str) -> Result<bool, Errno> {
        self.has_file_with(path, |_| true)
    }

    /// Whether `path` names a regular file inside this file system that may be executed.
    ///
    /// # Errors
    /// As [`Mount::open_directory`].
    pub fn has_program(&self, path: &str) -> Result<bool, Errno> {
        self.has_file_with(path, |mode| mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH))
    }

    fn has_file_with(&self, path: &str, allowed: impl FnOnce(Mode) -> bool) -> Result<bool, Errno> {
        found(self.open_with(path, OFlags::PATH).and_then(|fd| {
            let mode = rustix::fs::fstat(&fd)?.st_mode;
            let regular = rustix::fs::FileType::from_raw_mode(mode).is_file();
            Ok(regular && allowed(Mode::from_raw_mode(mode)))
        }))
    }

    fn open_with(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(
            &self.0,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
        )
    }
}

impl AsFd for Mount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// "It is not there" is an answer, not an error: the default one.
fn found<T: Default>(answer: Result<T, Errno>) -> Result<T, Errno> {
    match answer {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(T::default()),
        other => other,
    }
}

/// The first error message that the driver left in the file system context, "e TEXT"; warnings may come before it.
fn said(context: BorrowedFd<'_>) -> heapless::String<SAID> {
    let mut text = heapless::String::new();
    let mut buffer = [0_u8; SAID];
    // The kernel keeps at most eight. ENODATA after the last one, EMSGSIZE for one that is longer than the buffer.
    for _ in 0..8 {
        match rustix::io::read(context, &mut buffer) {
            Ok(len) => {
                let Some(message) = buffer.get(..len).and_then(|bytes| bytes.strip_prefix(b"e ")) else { continue };
                for byte in message.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ') {
                    let _ = text.write_char(char::from(*byte));
                }
                break;
            }
            Err(Errno::MSGSIZE | Errno::INTR) => {}
            Err(_) => break,
        }
    }
    text
}

/// Mounts a file system that the kernel makes by itself at `path`: one call, where a [`Mount`] that is attached takes seven.
/// `options` as for mount(8), separated by commas; where there are none, the kernel does not copy a page of them.
///
/// # Errors
/// [`Call::MountAt`]: ENOENT without the directory.
pub fn mount_at(kind: &str, path: &str, options: Option<&CStr>, access: Access) -> Result<(), Error> {
    rustix::mount::mount(kind, path, kind, access.flags(), options).map_err(Error::of(Call::MountAt))
}

/// Moves the mount at `from` to `to`.
///
/// # Errors
/// [`Call::Move`].
pub fn move_mount(from: &str, to: &str) -> Result<(), Error> {
    rustix::mount::move_mount(CWD, from, CWD, to, MoveMountFlags::empty()).map_err(Error::of(Call::Move))
}

/// Takes the mount at `path` out of the tree; it is gone when nothing uses it any more.
///
/// # Errors
/// [`Call::Unmount`].
pub fn detach(path: &str) -> Result<(), Error> {
    rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(Error::of(Call::Unmount))
}

/// Makes the mount at `path` the root of this process and of all that it starts. The initramfs stays below it, out of
/// reach: it cannot be unmounted.
///
/// # Errors
/// [`Call::Root`], [`Call::Move`].
pub fn switch_root(path: &str) -> Result<(), Error> {
    rustix::process::chdir(path).map_err(Error::of(Call::Root))?;
    rustix::mount::move_mount(CWD, ".", CWD, "/", MoveMountFlags::empty()).map_err(Error::of(Call::Move))?;
    rustix::process::chroot(".").map_err(Error::of(Call::Root))?;
    rustix::process::chdir("/").map_err(Error::of(Call::Root))
}
