// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source `partition`: a DDI written straight into a partition of our own type, whose label is
//! `NAME_VERSION[+LEFT[-DONE]]`. No file system and no loop device.

use boot_formats::file_name;
use boot_formats::gpt;
use boot_record::config::Config;
use boot_record::reason::Reason;

use super::Node;
use crate::failure::Failure;
use crate::select::{Candidate, Candidates, Origin};

/// Adds the DDI of one partition, if its label names the configured image. A partition of another image is no
/// candidate and no error.
///
/// # Errors
/// `not-a-ddi` for a label that is not of the form above: the partition's type says that it should be.
pub fn search(
    node: &Node,
    partition: &gpt::Partition,
    config: &Config,
    rank: usize,
    candidates: &mut Candidates,
) -> Result<(), Failure> {
    let bad_label = |error| Failure::new(Reason::NotADdi, &node.name, format_args!("label: {error}"));
    let parsed = file_name::parse_label(&partition.label).map_err(bad_label)?;
    if parsed.name != config.image_id.as_str() {
        return Ok(());
    }
    let Ok(version) = heapless::String::try_from(parsed.version) else {
        return Err(Failure::new(Reason::NotADdi, &node.name, "label: the version is longer than 64 bytes"));
    };
    candidates.insert(Candidate {
        origin: Origin::Partition { node: node.path.clone() },
        folder: None,
        version,
        tries: parsed.tries,
        label: node.name.clone(),
        rank,
    });
    Ok(())
}
