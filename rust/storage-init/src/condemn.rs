// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records a candidate as bad where it lies, so that the next boot prefers another.
//!
//! Only for one that failed after it was measured: the register is spent, and only a reset makes it whole. That reset has to be
//! bounded by something that outlives it, which is the boot counter in the name of a file: LEFT becomes 0, and such files come
//! last in the order. A file without a counter, and a partition, have nothing to record it in; and one that is 0 already says
//! nothing new: to reset for it would be to reset for ever.

use boot_formats::file_name::Tries;
use kernel_edge::mounts::{Access, Mount, Parameter};

use crate::failure::{DeviceLabel, text};
use crate::select::{Candidate, Origin};

/// What is to be renamed, detached from the candidate: its file system has to be let go before it can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// The partition's node.
    node: DeviceLabel,
    from: DeviceLabel,
    to: DeviceLabel,
}

impl Sentence {
    /// `None` where there is nothing to record it in, or it is recorded. Lets its file system be written, which a root that is in use
    /// keeps read-only: init may have failed to start from it.
    pub fn on(candidate: &Candidate) -> Option<Self> {
        let (Origin::EspFile { esp, path, .. }, Some(tries)) = (&candidate.origin, candidate.tries) else {
            return None;
        };
        // One that is write-protected cannot be mounted for writing either, which is seen then.
        esp.make_writable();
        Some(Self { node: text(esp.node()), from: path.clone(), to: bad(path, tries)? })
    }

    /// Carries it out: mounts, renames, writes out, unmounts.
    pub fn carry_out(&self) -> bool {
        self.rename().is_some()
    }

    fn rename(&self) -> Option<()> {
        let options = [Parameter::Text("umask", "0077")];
        let esp = Mount::new("vfat", &self.node, &options, Access::Kernel).ok()?;
        // Where there is one of that name already, it is a twin that is known to be bad.
        esp.rename(&self.from, &self.to).ok()
    }
}

/// `FOLDER/NAME_VERSION+LEFT[-DONE].raw` with no tries left, and one more done. `None` where none are left already.
fn bad(path: &str, tries: Tries) -> Option<DeviceLabel> {
    if tries.left == 0 {
        return None;
    }
    let (stem, rest) = path.rsplit_once('+')?;
    let (_, suffix) = rest.rsplit_once('.')?;
    let bad = DeviceLabel::try_from(format!("{stem}+0-{}.{suffix}", tries.done.saturating_add(1)).as_str());
    bad.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_says_that_none_is_left_and_one_more_was_tried() {
        let bad = |path, left, done| super::bad(path, Tries { left, done });
        let expected = |path: &str| DeviceLabel::try_from(path).ok();
        assert_eq!(bad("initoverlayfs/x_1+3.raw", 3, 0), expected("initoverlayfs/x_1+0-1.raw"));
        assert_eq!(bad("initoverlayfs/x_1.2+1-2.RAW", 1, 2), expected("initoverlayfs/x_1.2+0-3.RAW"));
        assert_eq!(bad("initoverlayfs/x_1+0-1.raw", 0, 1), None, "it is recorded: a reset would change nothing");
        assert_eq!(bad("initoverlayfs/x_1.raw", 1, 0), None);
        assert_eq!(bad(&format!("{}+1.raw", "x".repeat(155)), 1, 0), None, "a name that would be cut");
    }
}
