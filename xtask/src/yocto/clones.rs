// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where BitBake and openembedded-core come from: folders of clones that environment variables name, one for each series.
//!
//! A folder has what `kas checkout` leaves in its work folder: `bitbake`, `openembedded-core`, `meta-openembedded` (links
//! will do). Nothing is cloned here, and nothing written there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A release of Yocto that the layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// As LAYERSERIES_COMPAT names it.
    pub name: &'static str,
    /// The environment variable that holds the folder.
    pub variable: &'static str,
    /// The branches of the three clones, for a message.
    branches: &'static str,
}

/// The LTS: on it images are executed too.
pub const WRYNOSE: Series =
    Series { name: "wrynose", variable: "YOCTO_WRYNOSE", branches: "bitbake 2.18, the others wrynose" };
/// What becomes the release after it.
pub const BLACKSAIL: Series = Series { name: "blacksail", variable: "YOCTO_BLACKSAIL", branches: "master" };
/// All series.
pub const ALL: [Series; 2] = [WRYNOSE, BLACKSAIL];

/// The clones of one series.
#[derive(Clone, Debug)]
pub struct Clones {
    /// Of which series they are.
    pub series: Series,
    /// BitBake.
    pub bitbake: PathBuf,
    /// openembedded-core.
    pub core: PathBuf,
    /// meta-oe, the layer in meta-openembedded.
    pub meta_oe: PathBuf,
}

impl Clones {
    /// Those that the environment names; `None` where the variable is not set.
    ///
    /// # Errors
    /// The folder lacks one of the clones.
    pub fn of_environment(series: Series) -> Result<Option<Self>> {
        let Some(folder) = std::env::var_os(series.variable).filter(|value| !value.is_empty()) else { return Ok(None) };
        Self::in_folder(series, Path::new(&folder)).map(Some)
    }

    fn in_folder(series: Series, folder: &Path) -> Result<Self> {
        let find = |path: &str, file: &str| {
            let path = folder.join(path);
            if !path.join(file).exists() {
                bail!("{}={}: {} lacks {file}", series.variable, folder.display(), path.display());
            }
            // The sandbox shows a folder under its real name.
            path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))
        };
        Ok(Self {
            series,
            bitbake: find("bitbake", "bin/bitbake")?,
            core: find("openembedded-core", "meta/conf/layer.conf")?,
            meta_oe: find("meta-openembedded", "meta-oe/conf/layer.conf")?.join("meta-oe"),
        })
    }
}

/// One line for a series without clones: what did not run, and how to run it.
#[must_use]
pub fn how_to(series: Series) -> String {
    format!(
        "{}: set {} to a folder with clones of bitbake, openembedded-core and meta-openembedded ({})",
        series.name, series.variable, series.branches
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_clone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = Clones::in_folder(WRYNOSE, folder.path()).map(|_| ()).map_err(|error| error.to_string());
        let root = folder.path().display();
        assert_eq!(refusal, Err(format!("YOCTO_WRYNOSE={root}: {root}/bitbake lacks bin/bitbake")));
    }

    #[test]
    fn clones_are_known_by_their_real_paths() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        for file in [
            "other/bin/bitbake",
            "w/openembedded-core/meta/conf/layer.conf",
            "w/meta-openembedded/meta-oe/conf/layer.conf",
        ] {
            std::fs::create_dir_all(real.join(file).parent().unwrap()).unwrap();
            std::fs::write(real.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("../other", real.join("w/bitbake")).unwrap();
        let clones = Clones::in_folder(BLACKSAIL, &real.join("w")).unwrap();
        assert_eq!(clones.bitbake, real.join("other"));
        assert_eq!(clones.meta_oe, real.join("w/meta-openembedded/meta-oe"));
    }
}
