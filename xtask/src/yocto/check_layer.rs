// SPDX-License-Identifier: MIT OR Apache-2.0
//! openembedded-core's own judgement of a layer.

use anyhow::{Result, ensure};

use super::build::MACHINE;
use super::clones::Clones;
use super::plain::{Variant, build};
use super::{Bench, outcome};
use crate::repository;
use crate::suite::Tally;

/// Runs yocto-check-layer on one series: it takes ten minutes.
///
/// # Errors
/// It cannot be started.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    // It adds the layer itself, and takes the signatures of all recipes before and after.
    let build = build(bench, clones, Variant::Core)?;
    let log = build.folder.join("check-layer-report.log");
    let (log, layer) = (log.display().to_string(), repository::root().display().to_string());
    let result = (|| {
        // By itself it looks for layers below the folder as well, and finds the stand-in of tests/yocto.
        let arguments = ["--no-auto", "--no-auto-dependency", "--machines", MACHINE, "-o", &log, "--", &layer];
        let ran = build.run("yocto-check-layer", "yocto-check-layer", &arguments)?.expect_success()?;
        ensure!(ran.text.contains("PASS"), "it passed nothing, see {}", ran.log.display());
        Ok(())
    })();
    // It leaves the layer in bblayers.conf.
    build.configure()?;
    Ok(outcome(&format!("yocto-check-layer on {}", clones.series.name), &result))
}
