// SPDX-License-Identifier: MIT OR Apache-2.0
//! tests/boot/mark.S: an init of one page that says when it was executed.

use std::path::Path;

use anyhow::{Context, Result};

use crate::call;
use crate::repository;
use crate::tools::Tools;

/// What the mark said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Milliseconds since the kernel's clock started, which is some way into the boot: before it can tell time.
    pub ms: f64,
    /// Bytes of memory that were free.
    pub free: u64,
}

impl Mark {
    /// Finds it among the console's lines.
    pub fn find(console: &[String]) -> Option<Self> {
        console.iter().find_map(|line| {
            let mut numbers = line.strip_prefix("@MARK: ")?.split_whitespace();
            let mut number = || u64::from_str_radix(numbers.next()?, 16).ok();
            Some(Self { ms: number()? as f64 / 1e6, free: number()? })
        })
    }
}

/// Builds the program.
///
/// # Errors
/// The cross compiler fails.
pub fn build(tools: &Tools, output: &Path) -> Result<()> {
    let source = repository::root().join("tests/boot/mark.S");
    let folder = output.parent().context("the mark has to lie in a folder")?;
    let mut command = tools.command_in(folder, "aarch64-linux-gnu-gcc", &[&source])?;
    call::run("gcc", command.args(["-nostdlib", "-static", "-s", "-o"]).arg(output).arg(&source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nanoseconds_become_milliseconds() {
        let console = ["x", "@MARK: 0000000003b9aca0 0000000000100000 "].map(String::from);
        let mark = Mark::find(&console).unwrap();
        assert!((mark.ms - 62.5).abs() < 1e-3, "{}", mark.ms);
        assert_eq!(mark.free, 1 << 20);
        assert_eq!(Mark::find(&["@MARK: 1".into()]), None);
        assert_eq!(Mark::find(&["@MARK: g 1".into()]), None);
    }
}
