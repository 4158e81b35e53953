// SPDX-License-Identifier: MIT OR Apache-2.0
//! oe-selftest finds and imports the tests of lib/oeqa. They want a full build, and are not run here.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::clones::Clones;
use super::plain::{Variant, build};
use super::{Bench, outcome};
use crate::repository;
use crate::suite::Tally;

const FILE: &str = "lib/oeqa/selftest/cases/initoverlayfs.py";
/// What names of tests begin with: the module, the class.
const CLASS: &str = "initoverlayfs.InitoverlayfsTests.";

/// Lists on one series.
///
/// # Errors
/// BitBake cannot be run.
pub fn check(bench: &Bench, clones: &Clones) -> Result<Tally> {
    let mut build = build(bench, clones, Variant::Plain)?;
    // oe-selftest wants its own layer.
    build.layers.push(clones.core.join("meta-selftest"));
    build.configure()?;
    let result = (|| {
        let path = repository::root().join(FILE);
        let source = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let written = written(&source);
        let ran = build.run("oe-selftest", "oe-selftest", &["--list-tests"])?.expect_success()?;
        let listed: BTreeSet<&str> = ran.text.lines().filter_map(listed).collect();
        ensure!(!written.is_empty() && listed == written, "listed are {listed:?}, expected {written:?}");
        Ok(())
    })();
    // Without that layer.
    build.layers.pop();
    build.configure()?;
    Ok(outcome(&format!("selftests on {}", clones.series.name), &result))
}

/// The names of the file's tests.
fn written(source: &str) -> BTreeSet<&str> {
    let names = source.lines().filter_map(|line| line.trim_start().strip_prefix("def ")?.split('(').next());
    names.filter(|name| name.starts_with("test_")).collect()
}

/// The name in a line such as `INFO: initoverlayfs.InitoverlayfsTests.test_good_image_boots`.
fn listed(line: &str) -> Option<&str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(CLASS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_known_by_their_names_in_file_and_list() {
        let source = "class InitoverlayfsTests(OESelftestTestCase):\n    def boot(self, disk):\n    def test_one(self):\n        self.boot('def test_')\n";
        assert_eq!(written(source), BTreeSet::from(["test_one"]));
        assert_eq!(listed("INFO: initoverlayfs.InitoverlayfsTests.test_one"), Some("test_one"));
        assert_eq!(listed("INFO: bblayers.BitbakeLayers.test_one"), None);
    }
}
