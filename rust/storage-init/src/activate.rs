// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 8: [`Measured`] -> [`MountedRoot`].
//!
//! The verity device becomes live, its erofs is mounted where no path leads to, and what it says of itself (every byte
//! of it now checked against the signed hash) is held against the configuration and against the name it came under.

use boot_formats::os_release::{self, OsRelease};
use boot_record::config::Config;
use boot_record::reason::Reason;
use kernel_edge::block::ReadOnly;
use kernel_edge::mounts::{self, Access, Mount, Parameter};
use kernel_edge::{Errno, dm, file};
use rustix::fs::{Dir, Mode};

use crate::early::{KERNEL_FILE_SYSTEMS, KernelFileSystem};
use crate::failure::Failure;
use crate::measure::{self, Measured};
use crate::verify::{Backing, Facts};

/// By this file systemd knows that it runs from an initrd (os-release(5)).
const INITRD_RELEASE: &str = "etc/initrd-release";
/// Bytes at the beginning of an erofs in which mkfs.erofs puts its uppermost folders.
const FIRST_BLOCKS: u64 = 16 * 1024;
/// Where the layers of an overlay hang while it is made: a tmpfs, with the erofs in it.
const LAYERS: &str = "/layers";
const LOWER: &str = "/layers/lower";
const UPPER: &str = "/layers/upper";
const WORK: &str = "/layers/work";

/// The live dm-verity device and what it stands on. Dropping it removes the devices.
#[derive(Debug)]
pub struct VerityDevice {
    facts: Facts,
    outcome: measure::Outcome,
    // In the order in which they must go.
    verity: dm::Device,
    backing: Backing,
}

impl VerityDevice {
    /// What is known of the DDI.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What came of measuring it.
    pub fn outcome(&self) -> &measure::Outcome {
        &self.outcome
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.verity.name()
    }

    /// What it stands on.
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// Leaves the devices to their user: the kernel removes them once the root on them is unmounted.
    ///
    /// # Errors
    /// The device-mapper call that failed; then dropping this removes what can be removed.
    pub fn remove_after_use(&mut self) -> Result<(), dm::Error> {
        self.verity.remove_after_use()?;
        self.backing.remove_after_use()
    }
}

/// A signed, mounted root that is the configured image in the version it was offered as. Not in the tree yet:
/// dropping it unmounts it and removes its devices.
#[derive(Debug)]
pub struct MountedRoot {
    /// The root: the erofs, or the overlay on it.
    pub root: Mount,
    /// The device below.
    pub device: VerityDevice,
    /// Whether its init goes on to another root (it has an initrd-release) and leaves this one and its devices.
    pub transition: bool,
}

/// Makes the device live and mounts it.
///
/// # Errors
/// A [`Failure`] of the candidate: `corrupt` for a block that does not match the signed hash, `file-system` for what
/// the erofs driver refuses, `verity-superblock` for a tree that does not cover the erofs, `image-id`, `image-version`, `not-a-boot-image`, `init-missing` for what it says of itself.
pub fn activate(measured: Measured, config: &Config) -> Result<MountedRoot, Failure> {
    let (signed, outcome, done) = measured.into_parts();
    let (facts, verity, backing) = signed.into_parts(&done);
    verity.resume().map_err(|error| Failure::new(Reason::Io, &facts.label, error))?;
    let device = VerityDevice { facts, outcome, verity, backing };

    // In one request what is asked for first, block by block: the superblock, the root's folder and what lies in it.
    // Open until it is mounted: the kernel forgets what it read of a device that nobody has open.
    let node = device.verity.node();
    let ahead = ReadOnly::open(&node).inspect(|ahead| ahead.read_ahead(0, FIRST_BLOCKS));
    let erofs = Mount::new("erofs", &node, &[], Access::ReadOnly).map_err(|error| device.mount_failure(&error))?;
    drop(ahead);
    let size = erofs.size().map_err(|errno| device.read_failure("/", errno))?;
    let covers = device.facts.superblock.check_covers(size);
    covers.map_err(|error| device.failure(Reason::VeritySuperblock, error))?;
    Identity::read(&erofs, &device)?.check(config, &device)?;
    check_runnable(&erofs, config, &device)?;
    let transition = erofs.has_file(INITRD_RELEASE).map_err(|errno| device.read_failure(INITRD_RELEASE, errno))?;
    let root = if config.overlay { overlay(&erofs, &device)? } else { erofs };
    Ok(MountedRoot { root, device, transition })
}

impl VerityDevice {
    fn failure(&self, reason: Reason, detail: impl core::fmt::Display) -> Failure {
        Failure::new(reason, &self.facts.label, detail)
    }

    /// A read that failed: the kernel says EIO for a block that is not what was signed.
    fn read_failure(&self, path: &str, errno: Errno) -> Failure {
        let reason = if errno == Errno::IO && self.is_corrupt() { Reason::Corrupt } else { Reason::Io };
        self.failure(reason, format_args!("{path}: {errno}"))
    }

    fn mount_failure(&self, error: &mounts::Error) -> Failure {
        let reason = if error.is_unknown_file_system() {
            Reason::KernelLacks
        } else if self.is_corrupt() {
            Reason::Corrupt
        } else if error.is_unreadable() {
            Reason::Io
        } else {
            Reason::FileSystem
        };
        self.failure(reason, error)
    }

    /// dm-verity's status is `C` once a block did not match its hash, `V` before.
    fn is_corrupt(&self) -> bool {
        self.verity.status().is_ok_and(|status| status.starts_with('C'))
    }
}

/// What the image says that it is.
struct Identity {
    os_release: OsRelease,
    extension: bool,
}

impl Identity {
    fn read(root: &Mount, device: &VerityDevice) -> Result<Self, Failure> {
        // os-release(5): the file in /etc comes first.
        let mut found = None;
        for path in ["etc/os-release", "usr/lib/os-release"] {
            match root.open(path) {
                Ok(fd) => {
                    let text =
                        file::read_all(fd, os_release::MAX_FILE).map_err(|errno| device.read_failure(path, errno))?;
                    let parsed = os_release::parse(&text)
                        .map_err(|error| device.failure(Reason::NotABootImage, format_args!("{path}: {error}")))?;
                    found = Some(parsed);
                    break;
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(device.read_failure(path, errno)),
            }
        }
        let os_release = found.ok_or_else(|| device.failure(Reason::NotABootImage, "it has no os-release"))?;

        let mut extension = false;
        for path in ["usr/lib/extension-release.d", "etc/extension-release.d"] {
            let unreadable = |errno| device.read_failure(path, errno);
            if let Some(folder) = root.open_directory(path).map_err(unreadable)? {
                for entry in Dir::new(folder).map_err(unreadable)? {
                    let entry = entry.map_err(unreadable)?;
                    extension |= entry.file_name().to_bytes().starts_with(b"extension-release.");
                }
            }
        }
        Ok(Self { os_release, extension })
    }

    fn check(&self, config: &Config, device: &VerityDevice) -> Result<(), Failure> {
        if self.extension {
            return Err(device.failure(Reason::NotABootImage, "it is a system or configuration extension"));
        }
        if self.os_release.portable {
            return Err(device.failure(Reason::NotABootImage, "it is a portable service image"));
        }
        expect(device, Reason::ImageId, "IMAGE_ID", self.os_release.image_id.as_deref(), &config.image_id)?;
        let claimed = &device.facts.claimed_version;
        expect(device, Reason::ImageVersion, "IMAGE_VERSION", self.os_release.image_version.as_deref(), claimed)
    }
}

fn expect(
    device: &VerityDevice,
    reason: Reason,
    key: &str,
    found: Option<&str>,
    expected: &str,
) -> Result<(), Failure> {
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(device.failure(reason, format_args!("os-release has {key}={found}, expected {expected}"))),
        None => Err(device.failure(reason, format_args!("os-release has no {key}, expected {expected}"))),
    }
}

/// Whether the root can be moved to and its init executed.
fn check_runnable(root: &Mount, config: &Config, device: &VerityDevice) -> Result<(), Failure> {
    for KernelFileSystem { path, .. } in KERNEL_FILE_SYSTEMS {
        if !root.has_mount_point(path).map_err(|errno| device.read_failure(path, errno))? {
            return Err(device.failure(Reason::NotABootImage, format_args!("it has no directory {path} to mount on")));
        }
    }
    let init = &config.init;
    if !root.has_program(init).map_err(|errno| device.read_failure(init, errno))? {
        return Err(device.failure(Reason::InitMissing, format_args!("{init} is not an executable file")));
    }
    // The block that exec reads first: a bad one is found while there is another candidate to go to.
    let unreadable = |errno| device.read_failure(init, errno);
    let program = root.open(init).map_err(unreadable)?;
    rustix::io::read(&program, &mut [0_u8; 4096]).map_err(unreadable)?;
    Ok(())
}

/// An overlay of a tmpfs on the erofs. Its layers are in the tree only while it is made: it keeps them alive itself.
fn overlay(erofs: &Mount, device: &VerityDevice) -> Result<Mount, Failure> {
    let failed = |error: mounts::Error| {
        let reason = if error.is_unknown_file_system() { Reason::KernelLacks } else { Reason::Io };
        device.failure(reason, format_args!("overlay: {error}"))
    };
    let make = |path| {
        // It is there, or what follows says that it is not.
        let _ = rustix::fs::mkdir(path, Mode::from_raw_mode(0o755));
    };
    make(LAYERS);
    mounts::mount_at("tmpfs", LAYERS, None, Access::ReadWrite).map_err(failed)?;
    [LOWER, UPPER, WORK].into_iter().for_each(make);
    let made = erofs.attach(LOWER).and_then(|()| {
        let folders = [("lowerdir", LOWER), ("upperdir", UPPER), ("workdir", WORK)];
        Mount::new("overlay", "overlay", &folders.map(|(key, path)| Parameter::Text(key, path)), Access::Root)
    });
    // With all that hangs in it.
    mounts::detach(LAYERS).map_err(failed)?;
    made.map_err(failed)
}
