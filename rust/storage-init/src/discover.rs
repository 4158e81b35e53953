// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 4: the disks, as the kernel finds them.
//!
//! One uevent socket, opened before one look at /sys/block, so that no disk falls in between. No polling, no
//! sleep: the one wait has the configured deadline. Only devices that the configuration allows are opened.

use core::mem::MaybeUninit;
use core::time::Duration;

use boot_formats::uevent::{self, Action, Uevent};
use boot_record::config::Config;
use boot_record::event::Event;
use boot_record::reason::Reason;
use kernel_edge::block::{self, ReadOnly};
use kernel_edge::clock::now_us;
use kernel_edge::uevents::{Received, Socket};
use kernel_edge::{Errno, file};
use rustix::fs::{Dir, FileType, Mode, OFlags, readlinkat_raw};

use crate::failure::{DeviceLabel, Failure, text};
use crate::journal::Journal;

/// Bytes of one message; the kernel's own buffer (UEVENT_BUFFER_SIZE) has 2048.
const MESSAGE: usize = 4096;
/// Bytes of a sysfs file: one page.
const SYSFS: usize = 4096;
/// Messages still read after the deadline: what came in time, not a device that keeps coming and going.
const LATE_MESSAGES: usize = 256;
/// Disks that are remembered and waiting; boards have a handful, a UFS has up to 32 logical units.
const DISKS: usize = 64;

/// What a wait is for, in the log.
const AWAITED: &str = "a disk";

/// The name of a disk in /dev and /sys/block.
pub type DeviceName = heapless::String<32>;

/// A whole disk that the configuration allows, open for reading.
#[derive(Debug)]
pub struct BlockDevice {
    /// Its name, such as `mmcblk0`.
    pub name: DeviceName,
    /// The device itself.
    pub device: ReadOnly,
    /// Bytes of a logical sector.
    pub sector_size: u32,
}

/// The search for disks.
#[derive(Debug)]
pub struct Discovery {
    socket: Socket,
    /// When waiting ends, in microseconds of the journal's clock.
    deadline_us: u64,
    waiting: Box<heapless::Deque<DeviceName, DISKS>>,
    seen: Box<heapless::Vec<Seen, DISKS>>,
}

/// A disk that was found, so that it is looked at once.
#[derive(Debug)]
struct Seen {
    name: DeviceName,
    /// The kernel's number for this medium in this drive.
    diskseq: Option<u64>,
    /// Whether the kernel has announced it. One that was only found in /sys may still be in the making, without node or
    /// partitions; its announcement is on the way then, and is reason to look again.
    announced: bool,
}

/// How a disk was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Scan,
    Announcement,
}

impl Discovery {
    /// Opens the socket, then looks at the disks that are there already. The deadline counts from here.
    ///
    /// # Errors
    /// `kernel-lacks` without uevents or /sys/block.
    pub fn begin(config: &Config) -> Result<Self, Failure> {
        let socket = Socket::open().map_err(|error| Failure::new(Reason::KernelLacks, "uevents", error))?;
        let patience = u64::try_from(config.device_deadline.as_micros()).unwrap_or(u64::MAX);
        let mut discovery = Self {
            socket,
            deadline_us: now_us().saturating_add(patience),
            waiting: Box::default(),
            seen: Box::default(),
        };
        discovery.scan(config)?;
        Ok(discovery)
    }

    /// The next disk, waiting for one until the deadline; `None` after it.
    ///
    /// # Errors
    /// `kernel-lacks` where the socket fails. A disk that cannot be opened is an `io` failure of that disk.
    pub fn next(&mut self, config: &Config, journal: &mut Journal) -> Result<Option<DeviceName>, Failure> {
        if let Some(name) = self.waiting.pop_front() {
            return Ok(Some(name));
        }
        let left_us = self.deadline_us.saturating_sub(now_us());
        journal.log(&Event::Waiting { what: AWAITED, at_most_ms: left_us / 1_000 });
        let next = self.wait(config);
        journal.log(&Event::WaitEnded { what: AWAITED });
        next
    }

    fn wait(&mut self, config: &Config) -> Result<Option<DeviceName>, Failure> {
        let mut buffer = [0_u8; MESSAGE];
        let mut late = 0_usize;
        loop {
            if let Some(name) = self.waiting.pop_front() {
                return Ok(Some(name));
            }
            let left = self.deadline_us.saturating_sub(now_us());
            if left == 0 {
                late = late.saturating_add(1);
                if late > LATE_MESSAGES {
                    return Ok(None);
                }
            }
            let received = self
                .socket
                .receive(&mut buffer, Duration::from_micros(left))
                .map_err(|error| Failure::new(Reason::KernelLacks, "uevents", error))?;
            match received {
                Received::TimedOut if left == 0 => return Ok(None),
                Received::TimedOut => {}
                Received::Lost => self.scan(config)?,
                Received::Message(message) => {
                    if let Ok(event) = uevent::parse(message)
                        && event.subsystem == Some("block")
                    {
                        self.consider(config, &event, By::Announcement);
                    }
                }
            }
        }
    }

    /// Takes note of a block device, if it is a whole disk that the configuration allows and that was not seen before.
    fn consider(&mut self, config: &Config, event: &Uevent<'_>, by: By) {
        if event.action != Action::Add || event.devtype != Some("disk") || !config.allows_device(event.devpath) {
            return;
        }
        let Some(name) = event.devname.and_then(|name| DeviceName::try_from(name).ok()) else { return };
        let announced = by == By::Announcement;
        let known = self.seen.iter_mut().find(|seen| seen.name == name && seen.diskseq == event.diskseq);
        let look = match known {
            Some(seen) => announced && !core::mem::replace(&mut seen.announced, announced),
            // More disks than a board has: what does not fit is not looked at.
            None => self.seen.push(Seen { name: name.clone(), diskseq: event.diskseq, announced }).is_ok(),
        };
        if look && !self.waiting.iter().any(|waiting| *waiting == name) {
            let _ = self.waiting.push_back(name);
        }
    }

    /// Considers every entry of /sys/block, which has disks and no partitions: each is a link to ../devices/..., the DEVPATH.
    fn scan(&mut self, config: &Config) -> Result<(), Failure> {
        const FOLDER: &str = "/sys/block";
        let failed = |errno: Errno| Failure::new(Reason::KernelLacks, FOLDER, errno);
        let folder = rustix::fs::open(FOLDER, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let mut folder = Dir::new(folder.map_err(failed)?).map_err(failed)?;
        let mut target = [MaybeUninit::uninit(); SYSFS];
        while let Some(entry) = folder.read() {
            let entry = entry.map_err(failed)?;
            // What is no link, `.` and `..` among them, is no disk.
            if entry.file_type() != FileType::Symlink {
                continue;
            }
            let folder = folder.fd().map_err(failed)?;
            // A device may go while we look: then there is nothing to consider.
            let Ok((link, _)) = readlinkat_raw(folder, entry.file_name(), &mut target) else { continue };
            let link = core::str::from_utf8(link).ok();
            let Some(devpath) = link.and_then(|link| link.strip_prefix("..")) else { continue };
            if !config.allows_device(devpath) {
                continue;
            }
            let uevent: heapless::String<64> = text(format_args!("{}/uevent", entry.file_name().to_string_lossy()));
            let Ok(fd) = rustix::fs::openat(folder, &*uevent, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
                continue;
            };
            let Ok(bytes) = file::read_all(fd, SYSFS) else { continue };
            if let Ok(event) = uevent::parse_sysfs(devpath, &bytes) {
                self.consider(config, &event, By::Scan);
            }
        }
        Ok(())
    }
}

/// Opens a disk that [`Discovery::next`] named.
///
/// # Errors
/// `io` with the call that failed.
pub fn open(name: &DeviceName) -> Result<BlockDevice, Failure> {
    let failed = |error: block::Error| Failure::new(Reason::Io, name, error);
    let node: DeviceLabel = text(format_args!("/dev/{name}"));
    let device = ReadOnly::open(&node).map_err(failed)?;
    let sector_size = device.sector_size().map_err(failed)?;
    Ok(BlockDevice { name: name.clone(), device, sector_size })
}
