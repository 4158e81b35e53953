// SPDX-License-Identifier: MIT OR Apache-2.0
//! BitBake parses all recipes of openembedded-core, meta-oe and this layer, and has nothing to say about ours.

use anyhow::{Result, ensure};

use super::clones::Clones;
use super::plain::{Variant, build};
use super::{Bench, outcome};
use crate::repository;
use crate::suite::Tally;

/// Parses on one series.
///
/// # Errors
/// BitBake cannot be run.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let build = build(bench, clones, Variant::Whole)?;
    let result = (|| {
        let ran = build.run("parse", "bitbake", &["-p"])?.expect_success()?;
        let ours = repository::root().display().to_string();
        let of_ours = |line: &&str| line.contains(&ours) || line.contains("initoverlayfs");
        let warnings: Vec<&str> = ran.lines_of("WARNING").into_iter().filter(of_ours).collect();
        ensure!(warnings.is_empty(), "warnings:\n{}", warnings.join("\n"));
        ensure!(ran.text.contains(" 0 errors"), "BitBake did not say how many it parsed, see {}", ran.log.display());
        Ok(())
    })();
    Ok(outcome(&format!("parse on {}", clones.series.name), &result))
}
