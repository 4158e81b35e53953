// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layer is inert: added without the distribution feature, no task of another recipe gets another signature.
//!
//! yocto-check-layer asks the same of every recipe, in ten minutes; this asks it of some images, in two.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::plain::{Variant, build};
use super::{Bench, outcome};
use crate::suite::Tally;

/// What has an append in this layer, or is part of what it builds.
const TARGETS: [&str; 4] = ["virtual/kernel", "core-image-base", "core-image-minimal-initramfs", "systemd"];
/// Where `bitbake -S lockedsigs` writes them.
const FILE: &str = "locked-sigs.inc";

/// Compares on one series.
///
/// # Errors
/// BitBake cannot be run.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let result = (|| {
        let before = signatures(bench, clones, Variant::WithoutLayer)?;
        let after = signatures(bench, clones, Variant::Inert)?;
        ensure!(before.len() > 1000, "only {} tasks have a signature", before.len());
        let changed: Vec<&str> = after
            .iter()
            .filter(|(task, hash)| before.get(*task) != Some(hash))
            .map(|(task, _)| task.as_str())
            .collect();
        ensure!(changed.is_empty(), "{} of {} differ: {changed:?}", changed.len(), before.len());
        // With the feature they must differ, or the comparison is of nothing.
        let asked = signatures(bench, clones, Variant::Plain)?;
        let kernel = |of: &BTreeMap<String, String>| of.get("linux-yocto:do_configure").cloned();
        ensure!(kernel(&before).is_some() && kernel(&before) != kernel(&asked), "the kernel's signature shows nothing");
        Ok(())
    })();
    Ok(outcome(&format!("signatures on {}", clones.series.name), &result))
}

/// `recipe:task` and its hash.
fn signatures(bench: &Bench, clones: &Clones, variant: Variant) -> Result<BTreeMap<String, String>> {
    let build = build(bench, clones, variant)?;
    let arguments: Vec<&str> = ["-S", "lockedsigs"].into_iter().chain(TARGETS).collect();
    build.run("signatures", "bitbake", &arguments)?.expect_success()?;
    let path = build.folder.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// `    recipe:do_task:hash \`
fn parse(line: &str) -> Option<(String, String)> {
    let (task, hash) = line.trim().trim_end_matches('\\').trim().rsplit_once(':')?;
    (task.contains(":do_") && hash.len() == 64).then(|| (task.to_owned(), hash.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_tasks_are_signatures() {
        let hash = "0".repeat(64);
        assert_eq!(parse(&format!("    zlib:do_unpack:{hash} \\")), Some(("zlib:do_unpack".to_owned(), hash.clone())));
        for line in ["SIGGEN_LOCKEDSIGS_t-allarch = \"\\", "    \"", "SIGGEN_LOCKEDSIGS_TYPES:qemuarm64 = \"t-a t-b\""]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
