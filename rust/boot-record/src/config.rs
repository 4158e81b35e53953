// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/etc/initoverlayfs.conf`: lines `key = value`, empty lines, and lines whose first visible character is `#`.
//!
//! | key | value | without it |
//! |---|---|---|
//! | `image-id` | name of the image to boot, its `IMAGE_ID` | refused |
//! | `sources` | `esp-file`, `partition`: where images are looked for, the first first | refused |
//! | `esp-free-count` | `count`, `trust`: whether the ESP's own number of free clusters is believed, see docs/formats.md | `count` |
//! | `device` | pattern for the DEVPATH of disks that are looked at; `*` is any text; repeatable | refused |
//! | `modules` | kernel modules that the boot needs, by name or alias, unless they are built in; repeatable | none |
//! | `device-deadline` | how long to wait for a disk, `1500ms` or `5s`, from 100ms to 300s | `5s` |
//! | `watchdog` | start `/dev/watchdog0` with this time, `30s`; longer than `device-deadline`, at most 600s | not touched |
//! | `signature` | `kernel`, `user-space`: who checks it | refused |
//! | `certificate` | DER file in `/etc/initoverlayfs/` whose key may sign; repeatable | refused |
//! | `overlay` | `on`, `off`: whether the root gets a writable layer in memory | `off` |
//! | `init` | what is executed in the image | `/sbin/init` |
//! | `cmdline-allow` | keys of the kernel command line; repeatable | none |
//! | `cmdline-other` | `refuse`, `ignore`: what to do about other keys | `refuse` |
//! | `measure` | `none`, `prefer`, `require`: whether the image is measured into the TPM, and booted where that fails | refused |
//! | `measure-pcr` | the register: 8, 9, 12, 13, 14 or 15 | `13` |
//! | `tpm-deadline` | how long to wait for the TPM, from 100ms to 60s; the watchdog is at least a second longer | `5s` |
//! | `unlock` | `NAME PARTUUID`: the volume to open by the TPM, and the partition it lies on; repeatable, needs `measure` | none |
//! | `unlock-failure` | `refuse`, `ignore`: what becomes of the boot if a volume does not open | `ignore` |
//! | `unlock-discard` | `on`, `off`: whether discards go through to the partition | `off` |
//! | `unlock-latch` | `on`, `off`: whether the register is extended once more when every volume is open | `on` |
//! | `dangerously-unlock-any-registers` | `on`: open volumes whose policy nothing before the kernel is part of | `off` |
//! | `on-failure` | `power-off` | `power-off` |
//! | `dangerously-panic-at` | a stage from `modules` on, `unlock` excepted: panics there, for the test of the panic path | never |
//!
//! The file is as trusted as the kernel beside it; it is read strictly so that a slip of the pen is found when an image
//! is built and not in the field.

mod error;
mod pattern;
mod read;

pub use error::{Error, Key};
pub use read::parse;

use crate::modules::ModuleName;
use crate::stage::Stage;
use boot_formats::Guid;
use core::fmt;
use core::time::Duration;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Most bytes of a configuration file.
pub const MAX_FILE: usize = 16 * 1024;
/// Most `device` lines.
pub const MAX_DEVICES: usize = 16;
/// Most `certificate` lines: every one costs a comparison for each candidate, and four are two keys in rotation.
pub const MAX_CERTIFICATES: usize = 4;
/// Most bytes of a certificate: one of RSA-4096 has about 1400.
pub const MAX_CERTIFICATE: usize = 8 * 1024;
/// Most words of all `cmdline-allow` lines together.
pub const MAX_CMDLINE_WORDS: usize = 64;
/// Most words of all `modules` lines together; what they need in turn is not counted here.
pub const MAX_CONFIG_MODULES: usize = 64;
/// Most bytes of a pattern or of the path of init.
pub const MAX_PATH: usize = 128;
/// Most `unlock` lines: what the system needs to start; it opens others itself.
pub const MAX_VOLUMES: usize = 4;
/// Most bytes of a volume's name: device-mapper takes 127 for its UUID, which has the name and 45 characters more.
pub const MAX_VOLUME_NAME: usize = 64;
/// Registers that an image may be measured into. Below 8 are the firmware's, 10 is the kernel's own log (IMA), 11 is systemd-stub's, and
/// from 16 on anybody may reset one.
pub const MEASURE_PCRS: [u8; 6] = [8, 9, 12, 13, 14, 15];
/// The one of them that counts where the configuration names none: systemd keeps it for system extensions, which an image of ours is
/// the first of.
pub const DEFAULT_PCR: u8 = 13;
/// Most bytes of a name: image, certificate, command-line key.
pub const MAX_NAME: usize = 64;

/// Where images are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Files in `/initoverlayfs` of the EFI system or XBOOTLDR partition.
    EspFile,
    /// Partitions of our own type.
    Partition,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EspFile => "esp-file",
            Self::Partition => "partition",
        })
    }
}

/// What is done about the number of free clusters of an ESP, which the kernel wants when a loop device is set up over a file on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EspFreeCount {
    /// The kernel counts them, in the whole allocation table.
    Count,
    /// The number in FSInfo is taken, if the volume was unmounted cleanly.
    Trust,
}

/// Who checks the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignaturePath {
    /// The kernel, when the verity table is loaded.
    Kernel,
    /// storage-init, before it loads a table without signature.
    UserSpace,
}

impl fmt::Display for SignaturePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel"),
            Self::UserSpace => f.write_str("user-space"),
        }
    }
}

/// What is done about command-line keys that are not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmdlineOther {
    /// The boot is refused.
    Refuse,
    /// Nothing. For development: whoever sets the command line may then steer the booted system.
    Ignore,
}

/// What is recorded in the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    None,
    /// What is booted, if there is a TPM that takes it.
    Prefer,
    /// What is booted; without that, nothing is.
    Require,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Prefer => "prefer",
            Self::Require => "require",
        })
    }
}

/// What becomes of a boot whose volume does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockFailure {
    /// It ends as a failed boot does.
    Refuse,
    /// It goes on: the system opens the volume, or does without.
    Ignore,
}

/// A volume that is opened by the TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The name that its device gets.
    pub name: String<MAX_VOLUME_NAME>,
    /// The GUID of the partition that it lies on.
    pub partition: Guid,
}

/// What becomes of the machine when no image boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is switched off.
    PowerOff,
}

/// A configuration. Every required key was there, every value is in its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name of the image to boot.
    pub image_id: String<MAX_NAME>,
    /// Where images are looked for, at least one, none twice.
    pub sources: Vec<Source, 2>,
    /// What is done about the number of free clusters of an ESP.
    pub esp_free_count: EspFreeCount,
    /// Patterns of disks that are looked at, at least one; see [`allows_device`](Self::allows_device).
    pub devices: Vec<String<MAX_PATH>, MAX_DEVICES>,
    /// Kernel modules that the boot needs, none twice: names or aliases. Where there are any, the list beside the
    /// configuration says what is loaded for them, see [`modules`](crate::modules).
    pub modules: Vec<ModuleName, MAX_CONFIG_MODULES>,
    /// How long to wait for a disk.
    pub device_deadline: Duration,
    /// Time after which the hardware watchdog resets a boot that hangs; whole seconds, longer than the deadline.
    pub watchdog: Option<Duration>,
    /// Who checks signatures.
    pub signature: SignaturePath,
    /// File names of certificates, at least one, none twice.
    pub certificates: Vec<String<MAX_NAME>, MAX_CERTIFICATES>,
    /// Whether the root gets a writable layer in memory.
    pub overlay: bool,
    /// What is executed in the image: an absolute path.
    pub init: String<MAX_PATH>,
    /// Command-line keys that may be there; see [`cmdline::first_not_allowed`](crate::cmdline::first_not_allowed).
    pub cmdline_allow: Vec<String<MAX_NAME>, MAX_CMDLINE_WORDS>,
    /// What is done about others.
    pub cmdline_other: CmdlineOther,
    /// What is recorded in the TPM.
    pub measure: Measure,
    /// Into which register, one of [`MEASURE_PCRS`].
    pub measure_pcr: u8,
    /// How long to wait for the TPM: until it is there, and then for what it is asked.
    pub tpm_deadline: Duration,
    /// Volumes to open, none twice; none without a measurement.
    pub volumes: Vec<Volume, MAX_VOLUMES>,
    /// What becomes of the boot if one does not open.
    pub unlock_failure: UnlockFailure,
    /// Whether discards go through to the partitions.
    pub unlock_discard: bool,
    /// Whether the register is extended once more when every volume is open.
    pub unlock_latch: bool,
    /// Dangerous: whether policies will do that nothing before the kernel is part of.
    pub dangerously_unlock_any_registers: bool,
    /// What becomes of the machine when no image boots.
    pub on_failure: OnFailure,
    /// Where to panic on purpose.
    pub dangerously_panic_at: Option<Stage>,
}

impl Config {
    /// Whether a disk is looked at, by its path below `/sys` (`/devices/...`).
    #[must_use]
    pub fn allows_device(&self, devpath: &str) -> bool {
        self.devices.iter().any(|pattern| pattern::matches(pattern.as_bytes(), devpath.as_bytes()))
    }
}
