// SPDX-License-Identifier: MIT OR Apache-2.0
//! A BitBake build folder of ours, and commands in it.
//!
//! Its configuration is written anew on every run (BitBake parses again only what that changes). BitBake runs in the
//! root of [`super::host`] without network; it reads the clones and this checkout, and writes the build folder.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::clones::Clones;
use crate::progress::{self, Step};
use crate::repository;
use crate::tools::Tools;

/// Two of each: the smallest supported host has two cores.
const THREADS: &str = "BB_NUMBER_THREADS = \"2\"\nBB_NUMBER_PARSE_THREADS = \"2\"\nPARALLEL_MAKE = \"-j2\"\n";
/// Lines of an error that are worth repeating.
const ERROR_LINES: usize = 12;
/// The machine of every build.
pub const MACHINE: &str = "qemuarm64";

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status was 0.
    pub success: bool,
    /// Standard output and error, as they came.
    pub text: String,
    /// Where that was written.
    pub log: PathBuf,
}

impl Ran {
    /// The lines that begin with this word and a colon (`WARNING`, `ERROR`), each once.
    pub fn lines_of(&self, level: &str) -> Vec<&str> {
        let mut lines: Vec<&str> = Vec::new();
        for line in self.text.lines().filter(|line| line.strip_prefix(level).is_some_and(|rest| rest.starts_with(':')))
        {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// Fails unless the command succeeded.
    ///
    /// # Errors
    /// It did not; the error holds its errors, or the end of the log.
    pub fn expect_success(self) -> Result<Self> {
        if self.success {
            return Ok(self);
        }
        // An error often goes on in lines that do not say so.
        let errors: Vec<&str> =
            self.text.lines().skip_while(|line| !line.starts_with("ERROR:")).take(ERROR_LINES).collect();
        let what = if errors.is_empty() { progress::tail(&self.log) } else { errors.join("\n") };
        bail!("failed, see {}:\n{what}", self.log.display())
    }
}

/// What a build is made of.
pub struct Build<'a> {
    /// The root that BitBake runs in.
    pub host: &'a Tools,
    /// BitBake and the layers.
    pub clones: &'a Clones,
    /// The build folder, in the cache.
    pub folder: PathBuf,
    /// Layers besides openembedded-core's meta.
    pub layers: Vec<PathBuf>,
    /// Further lines of local.conf.
    pub settings: String,
    /// Files and folders that the settings name.
    pub paths: Vec<PathBuf>,
}

impl Build<'_> {
    /// Writes the configuration.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn configure(&self) -> Result<()> {
        let conf = self.folder.join("conf");
        fs::create_dir_all(&conf).with_context(|| format!("cannot make {}", conf.display()))?;
        let mut layers = format!("{}/meta", self.clones.core.display());
        for layer in &self.layers {
            let _ = write!(layers, " {}", layer.display());
        }
        let bblayers = format!("BBPATH = \"${{TOPDIR}}\"\nBBFILES = \"\"\nBBLAYERS = \"{layers}\"\n");
        let local = format!(
            "MACHINE ?= \"{MACHINE}\"\nBB_NO_NETWORK = \"1\"\n{THREADS}CONF_VERSION = \"2\"\n\
             TMPDIR = \"${{TOPDIR}}/tmp\"\n{}",
            self.settings
        );
        for (name, text) in [("bblayers.conf", bblayers.as_str()), ("local.conf", &local), ("sanity.conf", SANITY)] {
            write_changed(&conf.join(name), text)?;
        }
        Ok(())
    }

    /// In a new folder, parses one recipe. What the first parse makes there is part of what BitBake knows a configuration by, and so is what it
    /// finds in Python modules, of which it forgets a part (`var_execs` of bb.codeparser) when it reads its own cache: were the first parse
    /// that of all recipes, the second command would parse all of them again.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn begin(&self) -> Result<()> {
        if self.folder.join("cache/bb_codeparser.dat").exists() {
            return Ok(());
        }
        let few = self.folder.join("conf/few.conf");
        write_changed(&few, FEW)?;
        self.run("begin", "bitbake", &["-R", &few.display().to_string(), "-p"])?.expect_success().map(drop)
    }

    /// A command in the build's environment.
    ///
    /// # Errors
    /// A path does not exist.
    pub fn command(&self, program: &str) -> Result<Command> {
        let Clones { bitbake, core, .. } = self.clones;
        let mut paths: Vec<&Path> = vec![bitbake, core, repository::root()];
        paths.extend(self.layers.iter().map(PathBuf::as_path));
        paths.extend(self.paths.iter().map(PathBuf::as_path));
        let mut command = self.host.command_in(&self.folder, program, &paths)?;
        let (bitbake, core) = (bitbake.display(), core.display());
        command
            .env("PATH", format!("{core}/scripts:{bitbake}/bin:/usr/local/bin:/usr/sbin:/usr/bin"))
            .env("PYTHONPATH", format!("{bitbake}/lib"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BBPATH", &self.folder)
            .env("BUILDDIR", &self.folder)
            .env("LC_ALL", "en_US.UTF-8");
        Ok(command)
    }

    /// Runs a program to its end, under one progress line.
    ///
    /// # Errors
    /// It cannot be started. That it failed is no error: see [`Ran`].
    pub fn run(&self, title: &str, program: &str, arguments: &[&str]) -> Result<Ran> {
        let log = self.folder.join(format!("{}.log", title.replace(|letter: char| !letter.is_alphanumeric(), "-")));
        fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
        let output = progress::append(&log)?;
        let mut command = self.command(program)?;
        command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot run {program}"))?;
        let success =
            progress::wait(Step::start(&format!("{}: {title}", self.clones.series.name), 0), &log, child).is_ok();
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        Ok(Ran { success, text: String::from_utf8_lossy(&text).into_owned(), log })
    }
}

/// openembedded-core's checks of a person's build host, user 0 among them: this root is none.
const SANITY: &str = "# No checks: see xtask/src/yocto/build.rs.\n";

/// All recipes but one.
const FEW: &str = "BBMASK = \"/recipes-(?!core/os-release/)\"\n";

/// Leaves a file that is right alone: BitBake goes by its time.
fn write_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
