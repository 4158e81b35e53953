// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root partition of a DDI as a device of its own: dm-verity reads its data from the first block of one.

use core::fmt;
use std::os::fd::AsFd;

use boot_formats::ByteRange;
use boot_formats::verity::RootHash;
use kernel_edge::block::{self, DeviceNumber, ReadOnly};
use kernel_edge::dm;
use kernel_edge::loop_device::{self, LoopDevice, Part};

use crate::failure::text;

/// The device.
#[derive(Debug)]
pub enum DataDevice {
    /// A part of the device that holds the whole DDI.
    Linear(dm::Device),
    /// A part of the partition that the DDI's file lies on, where its clusters are one run: reading does not go through vfat,
    /// which would follow the file's chain of clusters to what is read.
    Run(LoopDevice),
}

/// Why there is none.
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
            Self::Loop(error) => write!(f, "data device: {error}"),
        }
    }
}

impl DataDevice {
    /// Maps `root` of `parent`.
    pub fn linear(control: &dm::Control, parent: &ReadOnly, root: ByteRange, hash: RootHash) -> Result<Self, Error> {
        let number = parent.number().map_err(Error::Block)?;
        let data = control
            .create(&text::<128>(format_args!("{hash}-data")), &text::<128>(format_args!("INITOVERLAYFS-DATA-{hash}")))
            .map_err(Error::Dm)?;
        let ByteRange { offset, len } = root;
        data.load(len >> 9, "linear", &text::<64>(format_args!("{number} {}", offset >> 9))).map_err(Error::Dm)?;
        data.resume().map_err(Error::Dm)?;
        Ok(Self::Linear(data))
    }

    /// Shows these bytes of `partition`, whose disk has sectors of `sector_size` bytes.
    pub fn run(partition: &ReadOnly, bytes: ByteRange, sector_size: u32) -> Result<Self, Error> {
        let part = Part { offset: bytes.offset, len: bytes.len };
        LoopDevice::over(partition.as_fd(), part, sector_size).map(Self::Run).map_err(Error::Loop)
    }

    /// Its number.
    pub fn number(&self) -> Result<DeviceNumber, Error> {
        match self {
            Self::Linear(device) => Ok(device.number()),
            Self::Run(device) => device.device().number().map_err(Error::Block),
        }
    }

    /// Leaves it to its user. A loop device goes by itself.
    pub fn remove_after_use(&mut self) -> Result<(), dm::Error> {
        match self {
            Self::Linear(device) => device.remove_after_use(),
            Self::Run(_) => Ok(()),
        }
    }
}
