// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first line a person sees: what this run will cost in disk, download and time, less what the cache has already.

use std::path::Path;

/// What one part of the set-up costs the first time, measured on 2 cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Its name in that line.
    pub what: &'static str,
    /// Space in the cache afterwards.
    pub disk_mib: u32,
    /// Bytes from the package registries.
    pub download_mib: u32,
    /// Time, without the download's.
    pub seconds: u32,
}

/// The line for the parts that are still missing and the time of what is done on every run.
pub fn announcement(cache: &Path, missing: &[Cost], every_run_seconds: u32) -> String {
    let sum = |field: fn(&Cost) -> u32| missing.iter().map(field).sum::<u32>();
    let minutes = (sum(|cost| cost.seconds) + every_run_seconds).div_ceil(60).max(1);
    if missing.is_empty() {
        return format!("Everything is in {}: no download, about {minutes} min.", cache.display());
    }
    let names: Vec<&str> = missing.iter().map(|cost| cost.what).collect();
    format!(
        "This run needs {:.1} GB of disk in {}, {} MB of download and about {minutes} min on 2 cores ({}).",
        f64::from(sum(|cost| cost.disk_mib)) * 1.048_576 / 1000.0,
        cache.display(),
        (f64::from(sum(|cost| cost.download_mib)) * 1.048_576).round(),
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_counted() {
        let missing = [
            Cost { what: "tools", disk_mib: 1000, download_mib: 100, seconds: 60 },
            Cost { what: "kernel", disk_mib: 500, download_mib: 0, seconds: 400 },
        ];
        assert_eq!(
            announcement(Path::new("/c"), &missing, 30),
            "This run needs 1.6 GB of disk in /c, 105 MB of download and about 9 min on 2 cores (tools, kernel)."
        );
        assert_eq!(announcement(Path::new("/c"), &[], 61), "Everything is in /c: no download, about 2 min.");
    }
}
