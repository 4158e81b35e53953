// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the file's bytes to a [`Config`].

use super::{
    CmdlineOther, Config, DEFAULT_PCR, Error, EspFreeCount, Key, MAX_FILE, Measure, OnFailure, SignaturePath, Source,
    UnlockFailure, Volume,
};
use crate::modules::ModuleName;
use crate::stage::Stage;
use alloc::boxed::Box;
use boot_formats::{Guid, file_name};
use core::time::Duration;
use heapless::{String, Vec};

const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);
/// Less would lose disks that are there: an SD card takes this long to answer.
const MIN_DEADLINE: Duration = Duration::from_millis(100);
/// More is a machine that looks dead.
const MAX_DEADLINE: Duration = Duration::from_secs(300);
/// The longest that common watchdogs count in hardware or by the kernel's help.
const MAX_WATCHDOG: Duration = Duration::from_secs(600);
/// A TPM that takes longer than this for a self-test and one command is broken.
const MAX_TPM_DEADLINE: Duration = Duration::from_secs(60);
/// What the watchdog needs beyond the TPM's deadline: the same process says that it has passed.
const WATCHDOG_SLACK: Duration = Duration::from_secs(1);
/// What is there or not.
const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false)];
const DEFAULT_INIT: &str = "/sbin/init";

/// Parses a whole file.
///
/// A configuration has kilobytes: it is made where it stays.
///
/// # Errors
/// See [`Error`].
pub fn parse(file: &[u8]) -> Result<Box<Config>, Error> {
    if file.len() > MAX_FILE {
        return Err(Error::TooLarge { found: file.len() });
    }
    let text = core::str::from_utf8(file).map_err(|error| Error::Text { offset: error.valid_up_to() })?;
    let mut config = Box::new(Config::empty());
    let mut draft = Draft { config: &mut config, seen: Vec::new() };
    for (line, content) in (1..).zip(text.split('\n')) {
        // Of other characters than ASCII's, those up to U+009F are such, too.
        let is_control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        if content.bytes().any(is_control)
            || !content.is_ascii() && content.contains(|c| matches!(c, '\u{80}'..='\u{9f}'))
        {
            return Err(Error::ControlCharacter { line });
        }
        let content = content.trim_matches([' ', '\t']);
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, value) = content.split_once('=').ok_or(Error::NoValue { line })?;
        let name = name.trim_end_matches([' ', '\t']);
        let key = Key::of(name).ok_or_else(|| unknown_key(line, name))?;
        draft.set(line, key, value.trim_start_matches([' ', '\t']))?;
    }
    draft.check()?;
    Ok(config)
}

fn unknown_key(line: u32, found: &str) -> Error {
    let mut name = [0; 32];
    for (to, from) in name.iter_mut().zip(found.as_bytes()) {
        *to = *from;
    }
    Error::UnknownKey { line, name }
}

/// What was read so far.
struct Draft<'a> {
    config: &'a mut Config,
    /// The keys that were there.
    seen: Vec<Key, { Key::ALL.len() }>,
}

impl Draft<'_> {
    fn set(&mut self, line: u32, key: Key, value: &str) -> Result<(), Error> {
        let at = At { line, key, again: self.see(key) };
        let config = &mut *self.config;
        match key {
            Key::ImageId => {
                let name = Some(value).filter(|value| file_name::is_valid_name(value)).and_then(text);
                at.once(&mut config.image_id, name)
            }
            Key::Sources => {
                let sources = at.sources(value)?;
                at.once(&mut config.sources, Some(sources))
            }
            Key::EspFreeCount => at.choice(
                &mut config.esp_free_count,
                value,
                &[("count", EspFreeCount::Count), ("trust", EspFreeCount::Trust)],
            ),
            Key::Device => at.push(&mut config.devices, Some(value).filter(|value| is_pattern(value)).and_then(text)),
            Key::Modules => {
                if value.is_empty() {
                    return Err(at.bad_value());
                }
                words(value).try_for_each(|word| at.push_new(&mut config.modules, ModuleName::new(word)))
            }
            Key::DeviceDeadline => {
                let deadline = duration(value).filter(|value| (MIN_DEADLINE..=MAX_DEADLINE).contains(value));
                at.once(&mut config.device_deadline, deadline)
            }
            Key::Watchdog => {
                let range = Duration::from_secs(1)..=MAX_WATCHDOG;
                let time = Some(value).filter(|value| !value.ends_with("ms")).and_then(duration);
                at.once(&mut config.watchdog, time.filter(|time| range.contains(time)).map(Some))
            }
            Key::Signature => at.choice(
                &mut config.signature,
                value,
                &[("kernel", SignaturePath::Kernel), ("user-space", SignaturePath::UserSpace)],
            ),
            Key::Certificate => {
                let name = Some(value).filter(|value| is_file_name(value)).and_then(text);
                at.push_new(&mut config.certificates, name)
            }
            Key::Overlay => at.choice(&mut config.overlay, value, SWITCH),
            Key::Init => at.once(&mut config.init, Some(value).filter(|value| is_absolute(value)).and_then(text)),
            Key::CmdlineAllow => {
                if value.is_empty() {
                    return Err(at.bad_value());
                }
                words(value).try_for_each(|word| {
                    let word = Some(word).filter(|word| is_cmdline_key(word)).and_then(text);
                    at.push_new(&mut config.cmdline_allow, word)
                })
            }
            Key::CmdlineOther => at.choice(
                &mut config.cmdline_other,
                value,
                &[("refuse", CmdlineOther::Refuse), ("ignore", CmdlineOther::Ignore)],
            ),
            Key::Measure => at.choice(
                &mut config.measure,
                value,
                &[("none", Measure::None), ("prefer", Measure::Prefer), ("require", Measure::Require)],
            ),
            Key::MeasurePcr => {
                let pcr = value.parse().ok().filter(|pcr| super::MEASURE_PCRS.contains(pcr));
                // FromStr takes a sign and zeros in front.
                at.once(&mut config.measure_pcr, pcr.filter(|_| !value.starts_with(['+', '0'])))
            }
            Key::TpmDeadline => {
                let deadline = duration(value).filter(|value| (MIN_DEADLINE..=MAX_TPM_DEADLINE).contains(value));
                at.once(&mut config.tpm_deadline, deadline)
            }
            Key::Unlock => {
                let volume = volume(value).ok_or(at.bad_value())?;
                let same = |other: &Volume| other.name == volume.name || other.partition == volume.partition;
                if config.volumes.iter().any(same) {
                    return Err(Error::DuplicateValue { line, key });
                }
                at.push(&mut config.volumes, Some(volume))
            }
            Key::UnlockFailure => at.choice(
                &mut config.unlock_failure,
                value,
                &[("refuse", UnlockFailure::Refuse), ("ignore", UnlockFailure::Ignore)],
            ),
            Key::UnlockDiscard => at.choice(&mut config.unlock_discard, value, SWITCH),
            Key::UnlockLatch => at.choice(&mut config.unlock_latch, value, SWITCH),
            Key::DangerouslyUnlockAnyRegisters => {
                at.choice(&mut config.dangerously_unlock_any_registers, value, SWITCH)
            }
            Key::OnFailure => at.choice(&mut config.on_failure, value, &[("power-off", OnFailure::PowerOff)]),
            Key::DangerouslyPanicAt => {
                let stage = Stage::of(value).filter(|stage| can_panic_at(*stage));
                at.once(&mut config.dangerously_panic_at, stage.map(Some))
            }
        }
    }

    /// Whether the key was there before; now it was.
    fn see(&mut self, key: Key) -> bool {
        // There is room for each key once.
        self.seen.contains(&key) || self.seen.push(key).is_err()
    }

    /// Whether what was read is whole, and does not contradict itself.
    fn check(&self) -> Result<(), Error> {
        const REQUIRED: [Key; 6] =
            [Key::Device, Key::Certificate, Key::Measure, Key::ImageId, Key::Sources, Key::Signature];
        let Config { device_deadline, watchdog, measure, tpm_deadline, volumes, .. } = &*self.config;
        if let Some(key) = REQUIRED.into_iter().find(|key| !self.seen.contains(key)) {
            return Err(Error::MissingKey(key));
        }
        if watchdog.is_some_and(|time| time <= *device_deadline) {
            return Err(Error::WatchdogTooShort { than: Key::DeviceDeadline });
        }
        let waits_for_tpm = *measure != Measure::None;
        if watchdog.is_some_and(|time| waits_for_tpm && time < tpm_deadline.saturating_add(WATCHDOG_SLACK)) {
            return Err(Error::WatchdogTooShort { than: Key::TpmDeadline });
        }
        if *measure == Measure::None && !volumes.is_empty() {
            return Err(Error::UnlockWithoutMeasure);
        }
        Ok(())
    }
}

impl Config {
    /// Nothing configured yet: no device, no certificate, and what holds without the other keys.
    #[inline(always)]
    fn empty() -> Self {
        Self {
            image_id: String::new(),
            sources: Vec::new(),
            esp_free_count: EspFreeCount::Count,
            devices: Vec::new(),
            modules: Vec::new(),
            device_deadline: DEFAULT_DEADLINE,
            watchdog: None,
            signature: SignaturePath::Kernel,
            certificates: Vec::new(),
            overlay: false,
            init: String::try_from(DEFAULT_INIT).unwrap_or_default(),
            cmdline_allow: Vec::new(),
            cmdline_other: CmdlineOther::Refuse,
            measure: Measure::None,
            measure_pcr: DEFAULT_PCR,
            tpm_deadline: DEFAULT_DEADLINE,
            volumes: Vec::new(),
            unlock_failure: UnlockFailure::Ignore,
            unlock_discard: false,
            unlock_latch: true,
            dangerously_unlock_any_registers: false,
            on_failure: OnFailure::PowerOff,
            dangerously_panic_at: None,
        }
    }
}

/// The line that is being read.
#[derive(Clone, Copy)]
struct At {
    line: u32,
    key: Key,
    /// Whether a line before it has the same key.
    again: bool,
}

impl At {
    const fn bad_value(self) -> Error {
        Error::BadValue { line: self.line, key: self.key }
    }

    fn once<T>(self, place: &mut T, value: Option<T>) -> Result<(), Error> {
        *place = value.ok_or(self.bad_value())?;
        if self.again {
            return Err(Error::DuplicateKey { line: self.line, key: self.key });
        }
        Ok(())
    }

    fn choice<T: Copy>(self, place: &mut T, value: &str, choices: &[(&str, T)]) -> Result<(), Error> {
        self.once(place, choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice))
    }

    fn push<T, const N: usize>(self, list: &mut Vec<T, N>, value: Option<T>) -> Result<(), Error> {
        let value = value.ok_or(self.bad_value())?;
        list.push(value).map_err(|_| Error::TooMany { line: self.line, key: self.key, limit: N })
    }

    fn push_new<T: PartialEq, const N: usize>(self, list: &mut Vec<T, N>, value: Option<T>) -> Result<(), Error> {
        if value.as_ref().is_some_and(|value| list.contains(value)) {
            return Err(Error::DuplicateValue { line: self.line, key: self.key });
        }
        self.push(list, value)
    }

    fn sources(self, value: &str) -> Result<Vec<Source, 2>, Error> {
        let mut sources = Vec::new();
        for word in words(value) {
            let source = match word {
                "esp-file" => Source::EspFile,
                "partition" => Source::Partition,
                _ => return Err(self.bad_value()),
            };
            self.push_new(&mut sources, Some(source))?;
        }
        if sources.is_empty() { Err(self.bad_value()) } else { Ok(sources) }
    }
}

/// `None` if it does not fit.
fn text<const N: usize>(value: &str) -> Option<String<N>> {
    String::try_from(value).ok()
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '\t']).filter(|word| !word.is_empty())
}

/// `NAME PARTUUID`
fn volume(value: &str) -> Option<Volume> {
    let mut words = words(value);
    let (name, partition) = (words.next()?, words.next()?);
    let name = Some(name).filter(|name| file_name::is_valid_name(name)).and_then(text)?;
    let partition = Guid::parse(partition).ok()?;
    words.next().is_none().then_some(Volume { name, partition })
}

/// Whether each byte is visible ASCII.
fn is_visible(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_pattern(value: &str) -> bool {
    // What other pattern languages give a meaning is refused rather than taken literally.
    let other_wildcard = |byte| matches!(byte, b'?' | b'[' | b']' | b'{' | b'}' | b'\\');
    is_visible(value) && value.starts_with(['/', '*']) && !value.bytes().any(other_wildcard)
}

fn is_file_name(value: &str) -> bool {
    is_visible(value) && !value.starts_with('.') && !value.contains('/')
}

fn is_absolute(value: &str) -> bool {
    let parts_are_names = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_visible(value) && value.strip_prefix('/').is_some_and(parts_are_names)
}

/// Whether a panic there can happen: early and config begin before the configuration is read, unlock only where
/// there is a volume. A switch that can never fire would let the test of the panic path pass for nothing.
const fn can_panic_at(stage: Stage) -> bool {
    match stage {
        Stage::Early | Stage::Config | Stage::Unlock => false,
        Stage::Modules
        | Stage::Discover
        | Stage::Select
        | Stage::Verify
        | Stage::Measure
        | Stage::Activate
        | Stage::HandOver => true,
    }
}

fn is_cmdline_key(value: &str) -> bool {
    // A key with one of these could never be found: see `cmdline`.
    is_visible(value) && !value.bytes().any(|byte| matches!(byte, b'=' | b'"' | b'\'' | b'\\'))
}

fn duration(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.bytes().position(|byte| !byte.is_ascii_digit())?)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}
