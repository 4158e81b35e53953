// SPDX-License-Identifier: MIT OR Apache-2.0
//! The volumes that PID 1 named, and how far each has come.
//!
//! The headers of all are read. The TPM has what one of them needs and no more: it may have room for as few as three objects, and the
//! storage root key takes a place while it is used.

use core::fmt;

use crate::mapping::{MappingError, Partition};
use crate::tpm::Tpm;
use crate::transport::Transport;
use crate::unlock::{Opened, Opening, Rules, UnlockError};

/// Why a volume was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Nobody named it before.
    NotNamed,
    /// Its partition.
    Partition(MappingError),
    /// Itself, or the TPM.
    Unlock(UnlockError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNamed => f.write_str("a volume that was not named before"),
            Self::Partition(error) => error.fmt(f),
            Self::Unlock(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

/// A volume, by the name of the device that it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: Box<str>,
    /// The partition's node.
    pub node: Box<str>,
    /// What is asked of its policy.
    pub rules: Rules,
    /// Whether discards go through to the partition.
    pub discards: bool,
}

/// Volumes on their way to being open. What the TPM has of them goes by [`Volumes::open`] or [`Volumes::abandon`].
#[derive(Default)]
pub struct Volumes(Vec<Volume>);

struct Volume {
    named: Named,
    progress: Progress,
}

enum Progress {
    None,
    Begun(Partition, Opening),
    Failed(OpenError),
}

impl Volumes {
    /// Takes in a volume. What was done for another partition under its name is undone.
    pub fn name<T: Transport>(&mut self, tpm: &mut Tpm<T>, named: Named) {
        let known = self.0.iter_mut().find(|known| known.named.name == named.name);
        match known {
            Some(known) if known.named == named => {}
            Some(known) => {
                known.put_back(tpm);
                known.named = named;
            }
            None => self.0.push(Volume { named, progress: Progress::None }),
        }
    }

    /// Whether nothing is left to do before the registers are what they have to be.
    #[must_use]
    pub fn are_ready(&self) -> bool {
        let first = self.0.iter().find_map(|volume| match &volume.progress {
            Progress::Begun(_, opening) => Some(opening),
            Progress::None | Progress::Failed(_) => None,
        });
        first.is_none_or(Opening::is_ready) && !self.0.iter().any(|volume| matches!(volume.progress, Progress::None))
    }

    /// Goes on, by at most one command to the TPM.
    pub fn step<T: Transport>(&mut self, tpm: &mut Tpm<T>) {
        if let Some(volume) = self.0.iter_mut().find(|volume| matches!(volume.progress, Progress::None)) {
            volume.progress = match begin(&volume.named) {
                Ok((partition, opening)) => Progress::Begun(partition, opening),
                Err(error) => Progress::Failed(error),
            };
        } else if let Some(Volume { progress: Progress::Begun(partition, opening), .. }) = self.first_begun() {
            opening.step(tpm, partition);
        }
    }

    /// Opens a volume, now that the registers are what they have to be. It is not known any longer afterwards.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open<T: Transport>(
        &mut self,
        tpm: &mut Tpm<T>,
        name: &str,
        signatures: Option<&[u8]>,
    ) -> Result<(Named, Partition, Opened), OpenError> {
        if let Some(first) = self.first_begun()
            && &*first.named.name != name
        {
            // Room for this one.
            first.put_back(tpm);
        }
        let place = self.0.iter().position(|volume| &*volume.named.name == name).ok_or(OpenError::NotNamed)?;
        let Volume { named, progress } = self.0.remove(place);
        let (partition, opening) = match progress {
            Progress::None => begin(&named)?,
            Progress::Begun(partition, opening) => (partition, opening),
            Progress::Failed(error) => return Err(error),
        };
        let opened = opening.finish(tpm, &partition, signatures).map_err(OpenError::Unlock)?;
        Ok((named, partition, opened))
    }

    /// Undoes what was done for volumes that are not to be opened.
    pub fn abandon<T: Transport>(&mut self, tpm: &mut Tpm<T>) {
        self.0.drain(..).for_each(|mut volume| volume.put_back(tpm));
    }

    /// The only one of which the TPM may have something.
    fn first_begun(&mut self) -> Option<&mut Volume> {
        self.0.iter_mut().find(|volume| matches!(volume.progress, Progress::Begun(..)))
    }
}

impl Volume {
    fn put_back<T: Transport>(&mut self, tpm: &mut Tpm<T>) {
        if let Progress::Begun(_, opening) = core::mem::replace(&mut self.progress, Progress::None) {
            opening.abandon(tpm);
        }
    }
}

/// What needs no TPM.
fn begin(named: &Named) -> Result<(Partition, Opening), OpenError> {
    let partition = Partition::open(&named.node).map_err(OpenError::Partition)?;
    let opening = Opening::begin(&partition, named.rules).map_err(OpenError::Unlock)?;
    Ok((partition, opening))
}
