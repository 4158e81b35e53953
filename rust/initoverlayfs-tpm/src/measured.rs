// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured in this boot since init runs, out of systemd's log, and which register the boot stage measured the image into.

use std::io;
use std::path::Path;

use boot_record::boot_json::{self, BootRecord};
use serde::Deserialize;
use tpm_policy::event::PREFIX;
use tpm_unlock::measure_log;

/// Where the boot stage writes down what it did.
pub const BOOT_JSON: &str = "/run/initoverlayfs/boot.json";
/// Before each record (RFC 7464).
const SEPARATOR: char = '\u{1e}';

/// Why that is not known.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    #[error("{path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("{}: record {record}: {source}", measure_log::PATH)]
    Log { record: usize, source: serde_json::Error },
    #[error(transparent)]
    BootJson(#[from] boot_json::Error),
}

/// Extensions of registers by user space, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(Vec<(u8, String)>);

/// A record of systemd's log, as far as it matters here.
#[derive(Deserialize)]
struct Record {
    pcr: u8,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    string: Option<String>,
}

impl Extensions {
    /// Of this boot; none where there is no log.
    ///
    /// # Errors
    /// [`Error`].
    pub fn of_this_boot() -> Result<Self, Error> {
        match std::fs::read_to_string(measure_log::PATH) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Read { path: measure_log::PATH.to_owned(), source }),
        }
    }

    /// Of a log's text.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let records = text.split(SEPARATOR).enumerate().filter(|(_, record)| !record.trim().is_empty());
        let extensions = records.map(|(number, record)| {
            let Record { pcr, content } =
                serde_json::from_str(record).map_err(|source| Error::Log { record: number, source })?;
            Ok((pcr, content.and_then(|content| content.string).unwrap_or_default()))
        });
        extensions.collect::<Result<_, Error>>().map(Self)
    }

    /// What extended a register after the boot stage measured its image: the first of it.
    #[must_use]
    pub fn later(&self, register: u8) -> Option<&str> {
        let is_later = |(number, event): &&(u8, String)| *number == register && !event.starts_with(PREFIX);
        self.0.iter().find(is_later).map(|(_, event)| event.as_str())
    }
}

/// What the boot stage did; `None` where it did not boot this system.
///
/// # Errors
/// [`Error`].
pub fn boot_record(path: &Path) -> Result<Option<BootRecord>, Error> {
    match std::fs::read(path) {
        Ok(json) => Ok(Some(BootRecord::from_json(&json)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.display().to_string(), source }),
    }
}

/// The register that the image is measured into: of this boot, or the default.
#[must_use]
pub fn register(record: Option<&BootRecord>) -> u8 {
    let measured = record.and_then(|record| record.measured.as_ref());
    measured.map_or(boot_record::config::DEFAULT_PCR, |measured| measured.pcr)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tpm_policy::event::{DdiEvent, LATCH};
    use tpm_policy::log_record::Record as Written;
    use tpm_policy::{Bank, digests};

    fn record(pcr: u8, text: &str) -> String {
        let digests = digests(&[Bank::Sha256], text.as_bytes());
        Written { pcr, digests: &digests, text, boot_id: &[7; 16], boottime_us: 9 }.to_string()
    }

    #[test]
    fn what_came_after_the_image_is_found_and_the_image_is_not() {
        let image = DdiEvent { root_hash: [1; 32], signer: [2; 32] }.data();
        let log = record(13, &image);
        assert_eq!(Extensions::parse(&log).unwrap().later(13), None);
        let log = [log, record(11, "enter-initrd"), record(13, LATCH), record(11, "ready")].concat();
        let extensions = Extensions::parse(&log).unwrap();
        assert_eq!((extensions.later(13), extensions.later(11)), (Some(LATCH), Some("enter-initrd")));
        assert_eq!(extensions.later(7), None);
    }

    #[test]
    fn log_that_is_none_is_refused_by_the_number_of_its_record() {
        let error = Extensions::parse(&format!("{}\u{1e}{{\"pcr\":", record(13, "x"))).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("/run/log/systemd/tpm2-measure.log: record 2: EOF while parsing"), "{said}");
    }
}
