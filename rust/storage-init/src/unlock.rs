// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 9: the volumes that the TPM opens.
//!
//! Named to the `tpm-unlock` process as soon as its partition is known, so that it gets ready while the image is verified; asked for as soon
//! as that is measured, so that it works while the image is mounted; waited for before init is executed. The key is never here: PID 1 names a
//! partition, and learns whether there is a device.

use std::os::fd::OwnedFd;

use boot_record::boot_json::VolumeRecord;
use boot_record::config::{CmdlineOther, Config, MAX_VOLUMES, UnlockFailure};
use boot_record::reason::Reason;
use kernel_edge::{Errno, file};
use tpm_policy::signatures::MAX_FILE;
use tpm_unlock::child::SIGNATURES;

use crate::esp::{Esp, File};
use crate::failure::{DeviceLabel, Failure, text};
use crate::journal::Journal;
use crate::select::{Candidate, Origin};
use crate::tpm::{Extended, Failed, Tpm};

/// The configured volumes, each with the partition that it lies on once one was seen.
#[derive(Debug, Default)]
pub struct Volumes([Option<Found>; MAX_VOLUMES]);

/// The partition of a volume.
#[derive(Debug)]
struct Found {
    node: DeviceLabel,
    prepared: bool,
    asked: bool,
}

/// What was opened.
#[derive(Debug, Default)]
pub struct Unlocked {
    /// For the record.
    pub volumes: heapless::Vec<VolumeRecord, MAX_VOLUMES>,
    /// How the register was extended once more, if it was.
    pub latched: Option<Extended>,
}

impl Volumes {
    /// The volume at `place` of the configuration lies on this partition. That of the disk that was searched last counts, which is the one with
    /// the candidates.
    pub fn found(&mut self, place: usize, node: DeviceLabel) {
        if let Some(known) = self.0.get_mut(place)
            && known.as_ref().is_none_or(|known| known.node != node)
        {
            *known = Some(Found { node, prepared: false, asked: false });
        }
    }

    /// Has every volume prepared whose partition is known. None where the command line may have words that nobody allowed: then none
    /// will be opened.
    pub fn prepare(&mut self, config: &Config, tpm: &Tpm) {
        if config.cmdline_other != CmdlineOther::Refuse {
            return;
        }
        for (volume, found) in config.volumes.iter().zip(&mut self.0) {
            if let Some(found) = found
                && !found.prepared
            {
                // What is not prepared is not asked for, and reported when it is waited for.
                found.prepared = tpm.prepare(volume, &found.node, config).is_ok();
            }
        }
    }

    /// Asks for every volume that was prepared, now that the image is measured.
    pub fn request(&mut self, config: &Config, tpm: &Tpm) {
        for (volume, found) in config.volumes.iter().zip(&mut self.0) {
            if let Some(found) = found
                && found.prepared
            {
                found.asked = tpm.unlock(&volume.name).is_ok();
            }
        }
    }

    /// Waits for all that was asked for, then latches the register if the configuration says so and nothing is left to open.
    ///
    /// # Errors
    /// `unlock-failed` for the first volume that is not open, where the configuration does not go on without; also where the
    /// register is not latched, of which nobody may be left in the dark.
    pub fn wait(
        &self,
        config: &Config,
        mut tpm: Option<&mut Result<Tpm, Failed>>,
        journal: &mut Journal,
        alive: impl Fn(),
    ) -> Result<Unlocked, Failure> {
        let mut unlocked = Unlocked::default();
        let mut first = None;
        for (volume, found) in config.volumes.iter().zip(&self.0) {
            let opened = match (found, tpm.as_deref_mut()) {
                (None, _) => Err(shut(&volume.name, "no such partition on the disks that were searched")),
                (Some(Found { asked: true, .. }), Some(Ok(tpm))) => {
                    tpm.unlocked(&alive).map_err(|failed| shut(&volume.name, failed.detail))
                }
                (Some(_), Some(Err(failed))) => Err(shut(&volume.name, &failed.detail)),
                (Some(_), _) => Err(shut(&volume.name, "nobody was asked to open it")),
            };
            match opened {
                Ok(uuid) => {
                    // There is room for each of the configuration.
                    let _ = unlocked.volumes.push(VolumeRecord { name: volume.name.clone(), uuid });
                }
                Err(failure) => {
                    journal.refused(&failure);
                    first.get_or_insert(failure);
                }
            }
        }
        if let Some(failure) = first {
            return match config.unlock_failure {
                UnlockFailure::Refuse => Err(failure),
                UnlockFailure::Ignore => Ok(unlocked),
            };
        }
        if config.unlock_latch
            && let Some(Ok(tpm)) = tpm
        {
            unlocked.latched =
                Some(tpm.latch(config.measure_pcr, &alive).map_err(|failed| shut("latch", failed.detail))?);
        }
        Ok(unlocked)
    }
}

fn shut(name: &str, detail: impl core::fmt::Display) -> Failure {
    Failure::new(Reason::UnlockFailed, name, detail)
}

/// Puts the signatures that lie beside an image where the `tpm-unlock` process and systemd look for them. They are not trusted, and
/// where there are none the policies that want them say so.
///
/// # Errors
/// `io`, `kernel-lacks` or `file-system` where they cannot be had; then there are none.
pub fn offer_signatures(candidate: &Candidate) -> Result<(), Failure> {
    let bytes = match &candidate.origin {
        Origin::EspFile { esp, path, .. } => read_signatures(esp, &signatures_name(path, candidate.tries.is_some())),
        Origin::Partition { .. } => Ok(None),
    };
    let [path, _] = SIGNATURES;
    let offered = offer(path, bytes.as_ref().ok().and_then(Option::as_deref));
    bytes?;
    offered.map_err(|errno| Failure::new(Reason::Io, path, errno))
}

fn read_signatures(esp: &Esp, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    let failed =
        |error: &dyn core::fmt::Display| Failure::new(Reason::Io, esp.name(), format_args!("/{path}: {error}"));
    let Some(File { bytes: file, .. }) = esp.open(path)? else { return Ok(None) };
    let len = usize::try_from(file.bytes()).ok().filter(|len| *len <= MAX_FILE).ok_or_else(|| failed(&Errno::FBIG))?;
    match file.read_vec(0, len) {
        Ok(bytes) if bytes.len() == len => Ok(Some(bytes)),
        Ok(_) => Err(failed(&Errno::IO)),
        Err(error) => Err(failed(&error)),
    }
}

/// `initoverlayfs/NAME_VERSION.pcrsig` beside `initoverlayfs/NAME_VERSION+LEFT-DONE.raw`.
fn signatures_name(image: &str, has_counter: bool) -> DeviceLabel {
    let stem = image.rsplit_once('.').map_or(image, |(stem, _)| stem);
    let stem = if has_counter { stem.rsplit_once('+').map_or(stem, |(stem, _)| stem) } else { stem };
    text(format_args!("{stem}.pcrsig"))
}

/// Puts signatures at `path`, in the place of whatever is there: those of a candidate that was tried before are not this one's, also
/// where this one has none.
fn offer(path: &str, signatures: Option<&[u8]>) -> Result<(), Errno> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let Some(bytes) = signatures else { return Ok(()) };
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    file::make_folders(folder)?;
    let file: OwnedFd = file::create(path)?;
    file::write_all(&file, bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn signatures_lie_beside_the_image_whatever_its_counter_says() {
        let name = |image, counter| signatures_name(image, counter);
        assert_eq!(name("initoverlayfs/x_1.2.raw", false), "initoverlayfs/x_1.2.pcrsig");
        assert_eq!(name("initoverlayfs/x_1.2+3.raw", true), "initoverlayfs/x_1.2.pcrsig");
        assert_eq!(name("initoverlayfs/x_1.2+3-1.raw", true), "initoverlayfs/x_1.2.pcrsig");
        assert_eq!(name("initoverlayfs/x_1+2+3-1.raw", true), "initoverlayfs/x_1+2.pcrsig");
    }

    #[test]
    fn signatures_of_another_candidate_do_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("systemd/signatures.json");
        let path = file.to_str().unwrap();
        for (signatures, expected) in
            [(None, None), (Some("first"), Some("first")), (Some("2"), Some("2")), (None, None), (None, None)]
        {
            assert_eq!(offer(path, signatures.map(str::as_bytes)), Ok(()));
            assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), expected);
        }
    }
}
