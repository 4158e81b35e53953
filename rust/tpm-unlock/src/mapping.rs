// SPDX-License-Identifier: MIT OR Apache-2.0
//! An opened volume becomes a device: dm-crypt under the name and UUID that libcryptsetup would give it, and a record by which udev
//! takes it for one that is ready.
//!
//! udev's rules for device-mapper (lvm2's 10-dm.rules or 55-dm.rules) pass over devices that they did not see being made, unless the
//! database says that an activation was seen: `DM_UDEV_PRIMARY_SOURCE_FLAG`. With it the coldplug of the system makes
//! /dev/mapper/NAME and /dev/disk/by-uuid as ever, and systemd-cryptsetup finds the volume active.

use core::fmt;
use std::ffi::CString;

use boot_formats::luks2::Segment;
use kernel_edge::block::{self, ReadOnly};
use kernel_edge::keyring::LogonKey;
use kernel_edge::{Errno, crypt, dm, file};

use crate::unlock::Opened;
use crate::volume::{Disk, ReadError};

/// systemd's database of devices (src/libsystemd/sd-device/device-private.c): `b` and the number of a block device, a property a line.
const UDEV_DATA: &str = "/run/udev/data";
/// What the rules look for.
const RECORD: &[u8] = b"E:DM_UDEV_PRIMARY_SOURCE_FLAG=1\n";

/// Why there is no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// The volume's device.
    Block(block::Error),
    /// The kernel does not take the key.
    Key(Errno),
    /// dm-crypt.
    Crypt(crypt::Error),
    /// Device-mapper: the name is taken, or the device does not become live.
    Device(dm::Error),
    /// The record for udev.
    Record(Errno),
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(error) => error.fmt(f),
            Self::Key(errno) => write!(f, "the kernel does not take the volume key: {errno}"),
            Self::Crypt(error) => error.fmt(f),
            Self::Device(error) => error.fmt(f),
            Self::Record(errno) => write!(f, "{UDEV_DATA}: {errno}"),
        }
    }
}

impl core::error::Error for MappingError {}

/// A partition with a volume.
#[derive(Debug)]
pub struct Partition(ReadOnly);

impl Partition {
    /// Opens it, for reading: dm-crypt opens it again by its number.
    ///
    /// # Errors
    /// [`MappingError::Block`].
    pub fn open(node: &str) -> Result<Self, MappingError> {
        ReadOnly::open(node).map(Self).map_err(MappingError::Block)
    }
}

impl Disk for Partition {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        match self.0.read_at(buffer, offset) {
            Ok(read) if read == buffer.len() => Ok(()),
            Ok(_) => Err(ReadError { errno: 0 }),
            Err(error) => Err(ReadError { errno: error.errno.raw_os_error() }),
        }
    }
}

/// Makes the device `name` of an opened volume. It stays when this process ends.
///
/// # Errors
/// [`MappingError`]; there is no device then.
pub fn map(name: &str, partition: &Partition, opened: &Opened, discards: bool) -> Result<(), MappingError> {
    let number = partition.0.number().map_err(MappingError::Block)?;
    let key = opened.key.as_bytes();
    let table = table(number, &opened.segment, key.len(), discards);
    let device = dm::Control::open()
        .and_then(|control| control.create(name, &device_uuid(&opened.uuid, name)))
        .map_err(MappingError::Device)?;
    // UUID and number: no NUL byte.
    let description = CString::new(key_description(&opened.uuid, opened.digest)).unwrap_or_default();
    let key = LogonKey::add(&description, key).map_err(MappingError::Key)?;
    crypt::load(&device, &table, &key).map_err(MappingError::Crypt)?;
    drop(key);
    write_record(device.number()).map_err(MappingError::Record)?;
    device.resume().map_err(MappingError::Device)?;
    device.leave();
    Ok(())
}

fn table(device: block::DeviceNumber, segment: &Segment, key_bytes: usize, discards: bool) -> crypt::Table {
    let Segment { range, iv_tweak, sector_size } = *segment;
    crypt::Table { device, offset: range.offset, len: range.len, key_bytes, iv_offset: iv_tweak, sector_size, discards }
}

/// As libcryptsetup makes it (lib/libdevmapper.c, `dm_prepare_uuid`).
fn device_uuid(volume: &str, name: &str) -> String {
    format!("CRYPT-LUKS2-{}-{name}", volume.replace('-', ""))
}

/// As libcryptsetup names it (lib/luks2/luks2_json_metadata.c, `LUKS2_key_description_by_digest`).
fn key_description(volume: &str, digest: u8) -> String {
    format!("cryptsetup:{volume}-d{digest}")
}

fn write_record(number: block::DeviceNumber) -> Result<(), Errno> {
    file::make_folders(UDEV_DATA)?;
    let record = file::create(&format!("{UDEV_DATA}/b{number}"))?;
    file::write_all(record, RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boot_formats::ByteRange;

    const VOLUME: &str = "0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e";

    #[test]
    fn table_has_the_volumes_sectors_and_discards_only_where_they_are_configured() {
        let device = block::DeviceNumber { major: 254, minor: 3 };
        let range = ByteRange { offset: 1 << 20, len: 3 << 20 };
        for (sector_size, discards) in [(512, false), (512, true), (4096, false), (4096, true)] {
            let table = table(device, &Segment { range, iv_tweak: 7, sector_size }, 64, discards);
            assert_eq!((table.sector_size, table.discards), (sector_size, discards));
            assert_eq!((table.offset, table.len, table.iv_offset, table.key_bytes), (1 << 20, 3 << 20, 7, 64));
        }
    }

    #[test]
    fn names_are_those_of_libcryptsetup() {
        assert_eq!(device_uuid(VOLUME, "root"), "CRYPT-LUKS2-0f1e2d3c4b5a49688778695a4b3c2d1e-root");
        assert_eq!(key_description(VOLUME, 0), "cryptsetup:0f1e2d3c-4b5a-4968-8778-695a4b3c2d1e-d0");
    }
}
