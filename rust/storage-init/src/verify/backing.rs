// SPDX-License-Identifier: MIT OR Apache-2.0
//! What dm-verity reads a DDI from: its data, from the first block of a device of their own, and its hash tree.
//!
//! * A DDI in a file: a loop device over its root and root-verity partitions, where root-verity comes behind (as `ddi` and
//!   systemd-repart write it); one for each where it does not. Below the loop device is the ESP's own partition, where the file's
//!   clusters are one run: reading does not go through vfat, which would follow the file's chain of clusters to what is read. Else the
//!   file.
//! * A DDI in a partition: device-mapper's linear target over the data, and the partition itself.

use core::fmt;
use std::os::fd::AsFd;
use std::rc::Rc;

use boot_formats::ByteRange;
use boot_formats::ddi::Layout;
use boot_formats::verity::RootHash;
use boot_record::reason::Reason;
use kernel_edge::block::{self, DeviceNumber, ReadOnly};
use kernel_edge::dm;
use kernel_edge::loop_device::{self, LoopDevice, Part};

use crate::esp::{Esp, File};
use crate::failure::{DeviceLabel, Failure, text};

/// The devices.
#[derive(Debug)]
pub struct Backing {
    // In the order in which they must go.
    data: Data,
    tree: Tree,
    file: Option<EspFile>,
}

/// The file that a DDI is in.
#[derive(Debug)]
pub struct EspFile {
    /// Its bytes.
    pub image: File,
    /// The ESP that it is on.
    pub esp: Rc<Esp>,
    /// Its path there.
    pub path: DeviceLabel,
}

#[derive(Debug)]
enum Data {
    Linear(dm::Device),
    Loop(LoopDevice),
}

#[derive(Debug)]
enum Tree {
    /// On the device of the data, this many bytes behind its first.
    BehindData(u64),
    /// The first bytes of a device of its own.
    Loop(LoopDevice),
    /// This byte of a partition, and those behind it.
    Partition(ReadOnly, u64),
}

/// Why there are none.
#[derive(Debug)]
pub enum Error {
    /// The device below.
    Block(block::Error),
    /// Device-mapper.
    Dm(dm::Error),
    /// The loop device.
    Loop(loop_device::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(error) => write!(f, "{error}"),
            Self::Dm(error) => write!(f, "data device: {error}"),
            Self::Loop(error) => write!(f, "{error}"),
        }
    }
}

impl Backing {
    /// Loop devices over the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Loop`].
    pub fn of_file(file: EspFile, layout: &Layout) -> Result<Self, Error> {
        let Layout { root, verity, .. } = layout;
        let below = &file.image.bytes;
        let device = |range: ByteRange| {
            // Both lie inside what they are a part of.
            let part = Part { offset: below.first().saturating_add(range.offset), len: range.len };
            LoopDevice::over(below.as_fd(), part, file.esp.sector_size()).map_err(Error::Loop)
        };
        let (data, tree) = match root.through(verity) {
            Some(both) => (device(both)?, Tree::BehindData(verity.offset.saturating_sub(root.offset))),
            None => (device(*root)?, Tree::Loop(device(*verity)?)),
        };
        Ok(Self { data: Data::Loop(data), tree, file: Some(file) })
    }

    /// A linear mapping of the data of a partition.
    ///
    /// # Errors
    /// [`Error::Dm`], [`Error::Block`].
    pub fn of_partition(
        partition: ReadOnly,
        control: &dm::Control,
        layout: &Layout,
        hash: RootHash,
    ) -> Result<Self, Error> {
        let number = partition.number().map_err(Error::Block)?;
        let data = control
            .create(&text::<128>(format_args!("{hash}-data")), &text::<128>(format_args!("INITOVERLAYFS-DATA-{hash}")))
            .map_err(Error::Dm)?;
        let ByteRange { offset, len } = layout.root;
        data.load(len >> 9, "linear", &text::<64>(format_args!("{number} {}", offset >> 9))).map_err(Error::Dm)?;
        data.resume().map_err(Error::Dm)?;
        Ok(Self { data: Data::Linear(data), tree: Tree::Partition(partition, layout.verity.offset), file: None })
    }

    /// The device whose first block is the first of the data; the one that has the tree; and the first byte of root-verity there.
    ///
    /// # Errors
    /// [`Error::Block`].
    pub fn devices(&self) -> Result<(DeviceNumber, DeviceNumber, u64), Error> {
        let number = |device: &ReadOnly| device.number().map_err(Error::Block);
        let data = match &self.data {
            Data::Linear(device) => device.number(),
            Data::Loop(device) => number(device.device())?,
        };
        let (tree, offset) = match &self.tree {
            Tree::BehindData(offset) => (data, *offset),
            Tree::Loop(device) => (number(device.device())?, 0),
            Tree::Partition(device, offset) => (number(device)?, *offset),
        };
        Ok((data, tree, offset))
    }

    /// Leaves the devices to their user. Loop devices go by themselves.
    ///
    /// # Errors
    /// What device-mapper said.
    pub fn remove_after_use(&mut self) -> Result<(), dm::Error> {
        match &mut self.data {
            Data::Linear(device) => device.remove_after_use(),
            Data::Loop(_) => Ok(()),
        }
    }

    /// For an init that stays on this DDI: its file keeps its bytes whatever becomes of its name, and the system can mount the ESP
    /// read-write for updates. In a transition both are free once the old root is unmounted, or before.
    ///
    /// # Errors
    /// Why the file is not held.
    pub fn keep_file(&self) -> Result<(), Failure> {
        let Some(EspFile { image, esp, path, .. }) = &self.file else { return Ok(()) };
        let file = esp.open_mounted(path)?;
        esp.make_writable();
        // Without a run the loop device below the DDI has it open.
        if !image.is_run {
            return Ok(());
        }
        let failed =
            |error: &dyn fmt::Display| Failure::new(Reason::Io, esp.name(), format_args!("/{path}: not held: {error}"));
        match file.filter(|file| esp.is_all_of(&image.bytes, file)) {
            Some(file) => LoopDevice::hold(file.as_fd()).map_err(|error| failed(&error)),
            None => Err(failed(&"the file system has other bytes under its name")),
        }
    }
}
