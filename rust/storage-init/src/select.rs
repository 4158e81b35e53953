// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 5: the candidates of a disk, in the order in which they are tried.

use core::cmp::Ordering;
use std::rc::Rc;

use boot_formats::file_name::Tries;
use boot_formats::version;
use boot_record::config::Source;

use crate::esp::Esp;
use crate::failure::DeviceLabel;

/// Most candidates of a disk that are tried; of more, the newest.
pub const CANDIDATES: usize = 16;

/// Something that claims to be a DDI of ours. Nothing of it is verified yet: the version is a hint for the order.
#[derive(Debug)]
pub struct Candidate {
    /// Where it comes from.
    pub origin: Origin,
    /// The partition whose folder it lies in; none for a whole partition, which is a slot of its own.
    pub folder: Option<DeviceLabel>,
    /// The version that its name claims.
    pub version: heapless::String<64>,
    /// The boot counter in its name (UAPI Version Format Specification, Automatic Boot Assessment).
    pub tries: Option<Tries>,
    /// What the console calls it.
    pub label: DeviceLabel,
    /// The place of its source in the configuration.
    pub rank: usize,
}

/// Where a candidate lies.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file on an ESP or XBOOTLDR; where that is mounted, the mount lasts as long as a candidate of it is kept.
    EspFile {
        /// The partition.
        esp: Rc<Esp>,
        /// The path in it.
        path: DeviceLabel,
    },
    /// A partition, by its node in /dev.
    Partition {
        /// The path of the node.
        node: DeviceLabel,
    },
}

impl Origin {
    /// The configured source that it is of.
    pub const fn source(&self) -> Source {
        match self {
            Self::EspFile { .. } => Source::EspFile,
            Self::Partition { .. } => Source::Partition,
        }
    }
}

/// The candidates of a disk, best first.
#[derive(Debug, Default)]
pub struct Candidates(Box<heapless::Vec<Candidate, CANDIDATES>>);

impl Candidates {
    /// Forgets all of them: their file systems are no longer used.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The candidate at `index`.
    pub fn get(&self, index: usize) -> Option<&Candidate> {
        self.0.get(index)
    }

    /// Takes in a candidate. Two names of one version in one folder are one candidate: the one with fewer tries left.
    /// Where there is no room, the last in the order goes.
    pub fn insert(&mut self, candidate: Candidate) {
        let twin = self.0.iter().position(|known| {
            known.folder.is_some()
                && known.folder == candidate.folder
                && version::compare(&known.version, &candidate.version) == Ordering::Equal
        });
        if let Some(twin) = twin {
            if self.0.get(twin).is_some_and(|known| left(known) <= left(&candidate)) {
                return;
            }
            self.0.remove(twin);
        }
        let at = self.0.iter().position(|known| order(&candidate, known) == Ordering::Less).unwrap_or(self.0.len());
        if self.0.is_full() {
            if at == self.0.len() {
                return;
            }
            self.0.pop();
        }
        // There is room for one now, and `at` is within the list.
        let _ = self.0.insert(at, candidate);
    }
}

/// Tries left; a name without a counter was marked good.
fn left(candidate: &Candidate) -> u32 {
    candidate.tries.map_or(u32::MAX, |tries| tries.left)
}

/// Those that were tried too often come last; then newest first; then in the order of the configuration.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    let spent = |candidate: &Candidate| left(candidate) == 0;
    spent(a).cmp(&spent(b)).then_with(|| version::compare(&b.version, &a.version)).then_with(|| a.rank.cmp(&b.rank))
}

#[cfg(test)]
mod tests;
