// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ioctl("/dev/mapper/control")`: mapped devices.
//!
//! Five ioctls, spoken here rather than through the devicemapper crate: that one slices the kernel's replies unchecked,
//! which in PID 1 is a panic, and wants libdevmapper's headers and libclang to build. The boot tests compare names,
//! UUIDs, tables and status with what libdevmapper reports.
//!
//! See include/uapi/linux/dm-ioctl.h and drivers/md/dm-ioctl.c.

use core::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags};

use crate::Errno;
use crate::block::DeviceNumber;

/// What failed.
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
    /// Opening /dev/mapper/control: no CONFIG_BLK_DEV_DM, or its module is not loaded.
    Open,
    /// DM_DEV_CREATE: EBUSY where the name or UUID is taken.
    Create,
    /// DM_TABLE_LOAD: the target's constructor refused.
    Load,
    /// DM_DEV_SUSPEND without its flag: the loaded table becomes live.
    Resume,
    /// DM_TABLE_STATUS.
    Status,
    /// DM_DEV_REMOVE.
    Remove,
    /// A name, UUID or parameter longer than the interface takes, or a reply that is not laid out as documented.
    Layout,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Open => "open /dev/mapper/control",
            Call::Create => "create",
            Call::Load => "load table",
            Call::Resume => "resume",
            Call::Status => "status",
            Call::Remove => "remove",
            Call::Layout => "layout",
        };
        write!(f, "device-mapper: {call}: {}", self.errno)
    }
}

/// Longest status line kept, in bytes. dm-verity's is one letter.
pub const STATUS: usize = 64;

/// The control device.
#[derive(Clone, Debug)]
pub struct Control(Rc<OwnedFd>);

impl Control {
    /// Opens /dev/mapper/control.
    ///
    /// # Errors
    /// [`Call::Open`].
    pub fn open() -> Result<Self, Error> {
        rustix::fs::open("/dev/mapper/control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map(|fd| Self(Rc::new(fd)))
            .map_err(|errno| Error { call: Call::Open, errno })
    }

    /// Creates a mapped device without a table. It is removed when the [`Device`] is dropped.
    ///
    /// # Errors
    /// [`Call::Create`], [`Call::Layout`].
    pub fn create(&self, name: &str, uuid: &str) -> Result<Device, Error> {
        let mut request = Request::of([0; NAME]);
        put_string(&mut request.header.name, name)?;
        put_string(&mut request.header.uuid, uuid)?;
        self.call(&mut request, Call::Create)?;
        let number =
            DeviceNumber { major: rustix::fs::major(request.header.dev), minor: rustix::fs::minor(request.header.dev) };
        Ok(Device { control: self.clone(), name: request.header.name, number, armed: true })
    }

    fn call(&self, request: &mut Request, call: Call) -> Result<(), Error> {
        let fd = self.0.as_raw_fd();
        let request: *mut Request = request;
        // SAFETY (all arms): each ioctl reads and writes `data_size` bytes at the pointer, and `Request::of` sets
        // that to the size of Request, which starts with the dm_ioctl whose layout is asserted below.
        let answer = match call {
            // SAFETY: see above.
            Call::Create => unsafe { dm_dev_create(fd, request.cast()) },
            // SAFETY: see above.
            Call::Load => unsafe { dm_table_load(fd, request.cast()) },
            // SAFETY: see above.
            Call::Resume => unsafe { dm_dev_suspend(fd, request.cast()) },
            // SAFETY: see above.
            Call::Status => unsafe { dm_table_status(fd, request.cast()) },
            // SAFETY: see above.
            Call::Remove => unsafe { dm_dev_remove(fd, request.cast()) },
            Call::Open | Call::Layout => Err(nix::Error::EINVAL),
        };
        answer.map(|_| ()).map_err(|errno| Error { call, errno: Errno::from_raw_os_error(errno as i32) })
    }
}

/// A mapped device, removed when dropped.
#[derive(Debug)]
pub struct Device {
    control: Control,
    name: [u8; NAME],
    number: DeviceNumber,
    armed: bool,
}

impl Device {
    /// Loads a read-only table of one target over `sectors` (of 512 bytes). The device keeps its old table, at first
    /// none, until [`Device::resume`].
    ///
    /// # Errors
    /// [`Call::Load`] with the errno of the target's constructor, [`Call::Layout`] for parameters that are too long.
    pub fn load(&self, sectors: u64, target: &str, parameters: &str) -> Result<(), Error> {
        self.load_table(DM_READONLY_FLAG, sectors, target, parameters)
    }

    /// As [`Device::load`], a table that can be written through.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub fn load_writable(&self, sectors: u64, target: &str, parameters: &str) -> Result<(), Error> {
        self.load_table(0, sectors, target, parameters)
    }

    fn load_table(&self, flags: u32, sectors: u64, target: &str, parameters: &str) -> Result<(), Error> {
        let mut request = Request::of(self.name);
        request.header.flags = flags;
        request.header.target_count = 1;
        let mut spec = [0_u8; SPEC];
        put(&mut spec, 8, &sectors.to_ne_bytes())?;
        put(&mut spec, 24, target.as_bytes())?;
        put(&mut request.payload, 0, &spec)?;
        put(&mut request.payload, SPEC, parameters.as_bytes())?;
        // The terminating NUL is there: `put` leaves at least one zero byte at the end of what it fills.
        self.control.call(&mut request, Call::Load)
    }

    /// Makes the loaded table live: from here on the device answers.
    ///
    /// # Errors
    /// [`Call::Resume`].
    pub fn resume(&self) -> Result<(), Error> {
        let mut request = Request::of(self.name);
        self.control.call(&mut request, Call::Resume)
    }

    /// The status line of the live table's first target.
    ///
    /// # Errors
    /// [`Call::Status`]; [`Call::Layout`] where the reply has no target.
    pub fn status(&self) -> Result<heapless::String<STATUS>, Error> {
        let layout = Error { call: Call::Layout, errno: Errno::PROTO };
        let mut request = Request::of(self.name);
        self.control.call(&mut request, Call::Status)?;
        let start = usize::try_from(request.header.data_start).map_err(|_| layout)?;
        let start = start.checked_sub(HEADER).and_then(|at| at.checked_add(SPEC)).ok_or(layout)?;
        if request.header.target_count == 0 {
            return Err(layout);
        }
        let line = request.payload.get(start..).ok_or(layout)?;
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let line = core::str::from_utf8(line).map_err(|_| layout)?;
        heapless::String::try_from(line).map_err(|_| layout)
    }

    /// Leaves the device to whoever finds it by its name: it stays when this value is dropped.
    pub fn leave(mut self) {
        self.armed = false;
    }

    /// Asks the kernel to remove the device when its last user is gone, instead of when this value is dropped.
    /// To be called while something (a mount, a device above) uses it.
    ///
    /// # Errors
    /// [`Call::Remove`].
    pub fn remove_after_use(&mut self) -> Result<(), Error> {
        let mut request = Request::of(self.name);
        request.header.flags = DM_DEFERRED_REMOVE;
        self.control.call(&mut request, Call::Remove)?;
        self.armed = false;
        Ok(())
    }

    /// The device's number.
    #[must_use]
    pub fn number(&self) -> DeviceNumber {
        self.number
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.name.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }

    /// The device's node in devtmpfs: `/dev/dm-MINOR`.
    #[must_use]
    pub fn node(&self) -> heapless::String<24> {
        let mut node = heapless::String::new();
        // "/dev/dm-" and ten digits are 18 bytes.
        let _ = fmt::Write::write_fmt(&mut node, format_args!("/dev/dm-{}", self.number.minor));
        node
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.armed {
            let mut request = Request::of(self.name);
            // Deferred, so that a user that is about to let go (udev, a lazy unmount) does not keep it for ever.
            request.header.flags = DM_DEFERRED_REMOVE;
            let _ = self.control.call(&mut request, Call::Remove);
        }
    }
}

/// `DM_NAME_LEN`
const NAME: usize = 128;
/// `DM_UUID_LEN`
const UUID: usize = 129;
/// Bytes of `struct dm_ioctl`.
const HEADER: usize = 312;
/// Bytes of `struct dm_target_spec`: sector_start u64, length u64, status i32, next u32, target_type char[16].
const SPEC: usize = 40;
/// Bytes after the header: one target and its parameters. A verity line with a 256-byte salt is under 1 KiB.
const PAYLOAD: usize = 4096 - HEADER;

const DM_READONLY_FLAG: u32 = 1 << 0;
const DM_DEFERRED_REMOVE: u32 = 1 << 17;

/// `struct dm_ioctl` of include/uapi/linux/dm-ioctl.h.
#[repr(C)]
pub struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME],
    uuid: [u8; UUID],
    data: [u8; 7],
}

/// A dm_ioctl and the data that follows it.
#[repr(C)]
struct Request {
    header: DmIoctl,
    payload: [u8; PAYLOAD],
}

const _: () = assert!(size_of::<DmIoctl>() == HEADER && size_of::<Request>() == 4096);

impl Request {
    /// Inlined: four kilobytes, which else would be moved.
    #[inline(always)]
    const fn of(name: [u8; NAME]) -> Self {
        Self {
            header: DmIoctl {
                // The interface that every kernel of this decade speaks; deferred removal came with 4.27.
                version: [4, 27, 0],
                data_size: 4096,
                data_start: 312,
                target_count: 0,
                open_count: 0,
                flags: 0,
                event_nr: 0,
                padding: 0,
                dev: 0,
                name,
                uuid: [0; UUID],
                data: [0; 7],
            },
            payload: [0; PAYLOAD],
        }
    }
}

fn put_string(field: &mut [u8], text: &str) -> Result<(), Error> {
    put(field, 0, text.as_bytes())
}

/// Copies `bytes` to `at`, so that at least one byte of the field stays behind them: the terminating NUL.
fn put(field: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), Error> {
    let too_long = Error { call: Call::Layout, errno: Errno::NAMETOOLONG };
    let end = at.checked_add(bytes.len()).filter(|end| *end < field.len()).ok_or(too_long)?;
    field.get_mut(at..end).ok_or(too_long)?.copy_from_slice(bytes);
    Ok(())
}

nix::ioctl_readwrite!(
    /// `DM_DEV_CREATE _IOWR(0xfd, 3, struct dm_ioctl)`
    dm_dev_create,
    0xfd,
    3,
    DmIoctl
);
nix::ioctl_readwrite!(
    /// `DM_DEV_REMOVE _IOWR(0xfd, 4, struct dm_ioctl)`
    dm_dev_remove,
    0xfd,
    4,
    DmIoctl
);
nix::ioctl_readwrite!(
    /// `DM_DEV_SUSPEND _IOWR(0xfd, 6, struct dm_ioctl)`
    dm_dev_suspend,
    0xfd,
    6,
    DmIoctl
);
nix::ioctl_readwrite!(
    /// `DM_TABLE_LOAD _IOWR(0xfd, 9, struct dm_ioctl)`
    dm_table_load,
    0xfd,
    9,
    DmIoctl
);
nix::ioctl_readwrite!(
    /// `DM_TABLE_STATUS _IOWR(0xfd, 12, struct dm_ioctl)`
    dm_table_status,
    0xfd,
    12,
    DmIoctl
);
