// SPDX-License-Identifier: MIT OR Apache-2.0
//! A spoilt volume: the second copy of its header, or a refusal that says what.

use std::ops::Range;

use boot_formats::luks2::Which;
use tpm_unlock::keyslot::KeyslotError;
use tpm_unlock::volume::{Copies, Disk, ReadError, VolumeError};

use crate::workshop::{BYTES, MINIMAL, Volume};

/// Of the second copy.
const SECONDARY: u64 = 16 << 10;
/// Of the area of keyslot 0, which is 64 bytes 4000 times.
const AREA: u64 = 32 << 10;

fn make() -> Volume {
    Volume::make(b"secret", &MINIMAL)
}

fn which(volume: &Volume) -> Which {
    Copies::read(volume).header().unwrap().which
}

#[test]
fn a_bad_checksum_means_the_second_copy() {
    let volume = make();
    let key = volume.key(b"secret");
    assert_eq!(which(&volume), Which::Primary);
    volume.flip(5000);
    assert_eq!(which(&volume), Which::Secondary { offset: SECONDARY });
    assert_eq!(volume.open(0, b"secret"), Ok(key));
}

#[test]
fn a_first_copy_of_zeros_or_of_another_size_means_the_second_copy() {
    for (offset, len) in [(0, 4096), (8, 8)] {
        let volume = make();
        std::os::unix::fs::FileExt::write_all_at(&volume.file, &vec![0; len], offset).unwrap();
        assert_eq!(which(&volume), Which::Secondary { offset: SECONDARY });
    }
    // A size that can be, and is not this one's: 32 KiB.
    let volume = make();
    std::os::unix::fs::FileExt::write_all_at(&volume.file, &0x8000_u64.to_be_bytes(), 8).unwrap();
    assert_eq!(which(&volume), Which::Secondary { offset: SECONDARY });
}

#[test]
fn two_bad_copies_are_refused_for_what_is_wrong_with_the_first() {
    let volume = make();
    volume.flip(5000);
    volume.flip(SECONDARY + 5000);
    let error = volume.open(0, b"secret").unwrap_err().to_string();
    assert!(error.starts_with("luks2: checksum "), "{error}");
}

#[test]
fn one_bit_of_the_keyslot_area_shuts_the_keyslot() {
    for offset in [AREA, AREA + 64 * 4000 - 1] {
        let volume = make();
        volume.flip(offset);
        assert_eq!(volume.open(0, b"secret"), Err(VolumeError::Keyslot(KeyslotError::Digest)));
    }
    let volume = make();
    volume.flip(AREA + 64 * 4000);
    assert!(volume.open(0, b"secret").is_ok(), "behind the area is padding");
}

#[test]
fn a_device_that_ends_inside_the_volume_is_refused() {
    for (bytes, expected) in [
        (0, "luks2: out of range at byte 0: need 4096, have 0"),
        (4096, "luks2: out of range at byte 0: need 16384, have 4096"),
        (AREA, "luks2: keyslots: 524288 bytes at 32768, outside 32768 bytes at 0"),
        (1 << 20, "luks2: segment: 0 bytes at 1048576, outside 491520 bytes at 557056"),
    ] {
        let volume = make();
        volume.file.set_len(bytes).unwrap();
        assert_eq!(volume.open(0, b"secret").unwrap_err().to_string(), expected);
    }
}

/// A device that fails to read anything of these bytes.
struct Failing<'a>(&'a Volume, Range<u64>);

impl Disk for Failing<'_> {
    fn bytes(&self) -> u64 {
        BYTES
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let Range { start, end } = self.1;
        let fails = offset < end && offset + buffer.len() as u64 > start;
        if fails { Err(ReadError { errno: 5 }) } else { self.0.read(offset, buffer) }
    }
}

/// A sector of flash that is worn out, in one of the two copies.
#[test]
fn a_copy_that_cannot_be_read_leaves_the_other() {
    let volume = make();
    let secondary = Which::Secondary { offset: SECONDARY };
    for (bytes, expected) in [
        (0..512, secondary),
        (4096..4097, secondary),
        (SECONDARY - 1..SECONDARY, secondary),
        (SECONDARY..SECONDARY + 512, Which::Primary),
        (2 * SECONDARY - 1..2 * SECONDARY, Which::Primary),
    ] {
        let failing = Failing(&volume, bytes.clone());
        assert_eq!(Copies::read(&failing).header().unwrap().which, expected, "{bytes:?}");
    }
    let unreadable = VolumeError::Read { offset: 0, error: ReadError { errno: 5 } };
    assert_eq!(Copies::read(&Failing(&volume, 0..2 * SECONDARY)).header().unwrap_err(), unreadable, "both");

    // Nor does what cannot be read stand in the way where one does not know how long the first copy is.
    volume.flip(0);
    let behind = Failing(&volume, 2 * SECONDARY..BYTES);
    assert_eq!(Copies::read(&behind).header().unwrap().which, secondary);
    let both = Failing(&volume, SECONDARY..BYTES);
    let error = Copies::read(&both).header().unwrap_err().to_string();
    assert!(error.starts_with("luks2: signature "), "{error}");
}

#[test]
fn a_device_that_does_not_give_its_bytes_is_named() {
    let volume = make();
    let error = volume.with_metadata(|metadata| {
        tpm_unlock::volume::Lock::of(metadata, 0)?.read_area(&Failing(&volume, AREA..BYTES)).map(|_| ())
    });
    assert_eq!(error, Err(VolumeError::Read { offset: AREA, error: ReadError { errno: 5 } }));
    assert_eq!(error.unwrap_err().to_string(), "read at byte 32768: errno 5");
}
