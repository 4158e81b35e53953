// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a configuration.

use super::MAX_FILE;
use core::fmt;

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of the module says what each is")]
pub enum Key {
    ImageId,
    Sources,
    EspFreeCount,
    Device,
    Modules,
    DeviceDeadline,
    Watchdog,
    Signature,
    Certificate,
    Overlay,
    Init,
    CmdlineAllow,
    CmdlineOther,
    Measure,
    MeasurePcr,
    TpmDeadline,
    Unlock,
    UnlockFailure,
    UnlockDiscard,
    UnlockLatch,
    DangerouslyUnlockAnyRegisters,
    OnFailure,
    DangerouslyPanicAt,
}

impl Key {
    /// Every key, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::ImageId,
        Self::Sources,
        Self::EspFreeCount,
        Self::Device,
        Self::Modules,
        Self::DeviceDeadline,
        Self::Watchdog,
        Self::Signature,
        Self::Certificate,
        Self::Overlay,
        Self::Init,
        Self::CmdlineAllow,
        Self::CmdlineOther,
        Self::Measure,
        Self::MeasurePcr,
        Self::TpmDeadline,
        Self::Unlock,
        Self::UnlockFailure,
        Self::UnlockDiscard,
        Self::UnlockLatch,
        Self::DangerouslyUnlockAnyRegisters,
        Self::OnFailure,
        Self::DangerouslyPanicAt,
    ];

    /// Its name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImageId => "image-id",
            Self::Sources => "sources",
            Self::EspFreeCount => "esp-free-count",
            Self::Device => "device",
            Self::Modules => "modules",
            Self::DeviceDeadline => "device-deadline",
            Self::Watchdog => "watchdog",
            Self::Signature => "signature",
            Self::Certificate => "certificate",
            Self::Overlay => "overlay",
            Self::Init => "init",
            Self::CmdlineAllow => "cmdline-allow",
            Self::CmdlineOther => "cmdline-other",
            Self::Measure => "measure",
            Self::MeasurePcr => "measure-pcr",
            Self::TpmDeadline => "tpm-deadline",
            Self::Unlock => "unlock",
            Self::UnlockFailure => "unlock-failure",
            Self::UnlockDiscard => "unlock-discard",
            Self::UnlockLatch => "unlock-latch",
            Self::DangerouslyUnlockAnyRegisters => "dangerously-unlock-any-registers",
            Self::OnFailure => "on-failure",
            Self::DangerouslyPanicAt => "dangerously-panic-at",
        }
    }

    /// The key of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// What its values look like.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::ImageId => "1 to 64 letters, digits, '.', '_', '-', no '.' first",
            Self::Sources => "esp-file, partition or both",
            Self::EspFreeCount => "count or trust",
            Self::Device => "a path below /sys of at most 128 bytes, with * as its only wildcard",
            Self::Modules => "names of kernel modules, at most 55 letters, digits, '_' and '-' each",
            Self::DeviceDeadline => "100ms to 300s, in ms or s",
            Self::Watchdog => "1s to 600s, in s",
            Self::Signature => "kernel or user-space",
            Self::Certificate => "the name of a file in /etc/initoverlayfs, at most 64 bytes",
            Self::Overlay => "on or off",
            Self::Init => "an absolute path of at most 128 bytes",
            Self::CmdlineAllow => "keys of the kernel command line, at most 64 bytes each",
            Self::CmdlineOther => "refuse or ignore",
            Self::Measure => "none, prefer or require",
            Self::MeasurePcr => "8, 9, 12, 13, 14 or 15",
            Self::TpmDeadline => "100ms to 60s, in ms or s",
            Self::Unlock => "a name of at most 64 letters, digits, '.', '_', '-', and the GUID of a partition",
            Self::UnlockFailure => "refuse or ignore",
            Self::UnlockDiscard | Self::UnlockLatch | Self::DangerouslyUnlockAnyRegisters => "on or off",
            Self::OnFailure => "power-off",
            Self::DangerouslyPanicAt => "modules, discover, select, verify, measure, activate or hand-over",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a configuration is refused. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More bytes than [`MAX_FILE`].
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not UTF-8.
    Text {
        /// Byte offset in the file.
        offset: usize,
    },
    /// A control character other than tab, such as a carriage return.
    ControlCharacter {
        /// Line of the file.
        line: u32,
    },
    /// Neither comment nor `key = value`.
    NoValue {
        /// Line of the file.
        line: u32,
    },
    /// A key that is none.
    UnknownKey {
        /// Line of the file.
        line: u32,
        /// The start of it, padded with NUL bytes.
        name: [u8; 32],
    },
    /// A key that is not repeatable for the second time.
    DuplicateKey {
        /// Line of the file.
        line: u32,
        /// Which.
        key: Key,
    },
    /// A value of a list for the second time.
    DuplicateValue {
        /// Line of the file.
        line: u32,
        /// Of which key.
        key: Key,
    },
    /// A value that the key does not take.
    BadValue {
        /// Line of the file.
        line: u32,
        /// Which key; [`Key::expected`] says what it takes.
        key: Key,
    },
    /// More values of a repeatable key than there is room for.
    TooMany {
        /// Line of the file.
        line: u32,
        /// Which.
        key: Key,
        /// Most values.
        limit: usize,
    },
    /// The watchdog would reset a machine that still waits.
    WatchdogTooShort {
        /// The key that says how long it may wait: `device-deadline`, or `tpm-deadline` and a second.
        than: Key,
    },
    /// Volumes to unlock, and nothing measured that their keys could depend on.
    UnlockWithoutMeasure,
    /// A required key is not there.
    MissingKey(Key),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("config: ")?;
        match self {
            Self::TooLarge { found } => write!(f, "{found} bytes, at most {MAX_FILE}"),
            Self::Text { offset } => write!(f, "at byte {offset}: not UTF-8"),
            Self::ControlCharacter { line } => write!(f, "line {line}: a control character"),
            Self::NoValue { line } => write!(f, "line {line}: expected key = value"),
            Self::UnknownKey { line, name } => {
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                write!(f, "line {line}: unknown key \"{}\"", name.escape_ascii())
            }
            Self::DuplicateKey { line, key } => write!(f, "line {line}: second {key}"),
            Self::DuplicateValue { line, key } => write!(f, "line {line}: {key} names the same thing twice"),
            Self::BadValue { line, key } => write!(f, "line {line}: {key}: expected {}", key.expected()),
            Self::TooMany { line, key, limit } => write!(f, "line {line}: {key}: more than {limit} values"),
            Self::WatchdogTooShort { than } => write!(f, "watchdog is not longer than {than}"),
            Self::UnlockWithoutMeasure => f.write_str("unlock needs measure = prefer or require"),
            Self::MissingKey(key) => write!(f, "no {key}: expected {}", key.expected()),
        }
    }
}

impl core::error::Error for Error {}
