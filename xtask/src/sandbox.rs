// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running programs of the tools root: by bubblewrap, or by chroot for root where namespaces are refused.
//!
//! A program sees the tools root read-only, an empty /tmp, and the paths that it is given, under the names that they
//! have on the host: what lies in the cache can be written, everything else only read. There is no network, unless asked
//! for. The environment is empty but for PATH, HOME and LC_ALL; `Command::env` adds to it.
//!
//! A chroot cannot show a folder of the host. So there the cache itself is the new root, with links to the tools and one
//! to itself under its own path, and what lies outside the cache is copied in first. Device nodes are made once.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::is_root;

/// Folders of the tools root that a program sees.
const LINKS: [(&str, &str); 4] = [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];
/// Files of the host that name resolution and TLS need, for a program with the network.
pub const NETWORK_FILES: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/pip.conf",
    "/etc/ssl/certs",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];
/// Variables of the host that say how a registry is reached, by their beginning.
const NETWORK_VARIABLES: [&str; 6] =
    ["PIP_", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_", "REQUESTS_CA_BUNDLE"];
/// Device nodes of a chroot: name, minor number (all of major 1, memory devices).
const NODES: [(&str, &str); 5] = [("null", "3"), ("zero", "5"), ("full", "7"), ("random", "8"), ("urandom", "9")];
/// Path of programs inside.
const PATH: &str = "/usr/local/bin:/usr/sbin:/usr/bin";
/// Chooses the way by hand, for tests of this file: `bwrap`, `bwrap-shared-pids` or `chroot`.
const OVERRIDE: &str = "META_INITOVERLAYFS_SANDBOX";

/// How programs of the tools root are run on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// bubblewrap with all namespaces.
    Bubblewrap,
    /// bubblewrap with the host's process ids: containers often refuse a new /proc.
    BubblewrapSharedPids,
    /// chroot(8), for root only.
    Chroot,
}

impl Way {
    /// Tries the ways in order and takes the first that this host allows.
    ///
    /// # Errors
    /// None is allowed; the error holds what bubblewrap said.
    pub fn find() -> Result<Self> {
        match std::env::var(OVERRIDE).as_deref() {
            Ok("bwrap") => return Ok(Self::Bubblewrap),
            Ok("bwrap-shared-pids") => return Ok(Self::BubblewrapSharedPids),
            Ok("chroot") => return Ok(Self::Chroot),
            Ok(other) => bail!("{OVERRIDE}={other}: allowed are bwrap, bwrap-shared-pids, chroot"),
            Err(_) => {}
        }
        let mut refusal = String::new();
        for way in [Self::Bubblewrap, Self::BubblewrapSharedPids] {
            let mut probe = Command::new("bwrap");
            way.namespaces(&mut probe, false);
            let output = probe.args(["--ro-bind", "/", "/", "true"]).output().context("cannot run bwrap")?;
            if output.status.success() {
                return Ok(way);
            }
            refusal = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        }
        if is_root() {
            return Ok(Self::Chroot);
        }
        bail!(
            "this host refuses user namespaces to ordinary users ({refusal}): allow them \
             (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, \
             user.max_user_namespaces) or run as root"
        )
    }

    fn namespaces(self, command: &mut Command, network: bool) {
        command.args(["--die-with-parent", "--unshare-ipc", "--unshare-uts"]);
        if !network {
            command.arg("--unshare-net");
        }
        if self == Self::Bubblewrap {
            command.arg("--unshare-pid");
        }
    }
}

/// What one program is given.
pub struct Request<'a> {
    /// The program, by name or by its path inside.
    pub program: &'a str,
    /// Its working folder; `None`: the root.
    pub folder: Option<&'a Path>,
    /// Files and folders of the host that it sees, besides `folder`.
    pub paths: &'a [&'a Path],
    /// True: with the host's network and the settings for it.
    pub network: bool,
    /// True: paths outside the cache can be written too. In a chroot nobody sees what is written there.
    pub write_outside: bool,
}

/// The tools root and the way into it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    root: PathBuf,
    cache: PathBuf,
    way: Way,
}

impl Sandbox {
    /// Looks for the way into `root`, a folder inside the cache folder `cache`.
    ///
    /// # Errors
    /// This host allows none, or the chroot cannot be prepared.
    pub fn open(root: PathBuf, cache: PathBuf) -> Result<Self> {
        let sandbox = Self { way: Way::find()?, root, cache };
        if sandbox.way == Way::Chroot {
            sandbox.prepare_chroot()?;
        }
        Ok(sandbox)
    }

    /// A command that runs the program; it ends when the *thread* that started it does.
    ///
    /// # Errors
    /// A path does not exist, or cannot be copied to where a chroot sees it.
    pub fn command(&self, request: &Request<'_>) -> Result<Command> {
        let mut paths = Vec::new();
        for path in request.paths.iter().copied().chain(request.folder) {
            // Programs see a path under its real name: links on the way do not exist inside.
            paths.push(path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?);
        }
        let folder = request.folder.map(Path::canonicalize).transpose()?.unwrap_or_else(|| PathBuf::from("/"));
        let mut command = match self.way {
            Way::Chroot => self.chroot(request, &paths, &folder)?,
            Way::Bubblewrap | Way::BubblewrapSharedPids => self.bubblewrap(request, &paths, &folder),
        };
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("HOME", "/tmp");
        if request.network {
            command.envs(network_variables());
        }
        Ok(command)
    }

    fn bubblewrap(&self, request: &Request<'_>, paths: &[PathBuf], folder: &Path) -> Command {
        let mut command = Command::new(host_program("bwrap"));
        self.way.namespaces(&mut command, request.network);
        for name in ["usr", "etc"] {
            command.arg("--ro-bind").arg(self.root.join(name)).arg(Path::new("/").join(name));
        }
        for (name, target) in LINKS {
            command.args(["--symlink", target, &format!("/{name}")]);
        }
        command.args(["--tmpfs", "/tmp", "--dir", "/run", "--dir", "/var/tmp", "--dev", "/dev"]);
        match self.way {
            Way::Bubblewrap => command.args(["--proc", "/proc"]),
            _ => command.args(["--ro-bind", "/proc", "/proc"]),
        };
        if request.network {
            for path in network_paths() {
                // A link such as resolv.conf's may lead to where nothing is bound.
                let source = path.canonicalize().unwrap_or_else(|_| path.clone());
                command.arg("--ro-bind-try").arg(source).arg(path);
            }
        }
        for path in paths {
            let how = if request.write_outside || path.starts_with(&self.cache) { "--bind" } else { "--ro-bind" };
            command.arg(how).arg(path).arg(path);
        }
        command.arg("--chdir").arg(folder).arg("--").arg(request.program);
        command
    }

    fn chroot(&self, request: &Request<'_>, paths: &[PathBuf], folder: &Path) -> Result<Command> {
        for path in paths.iter().filter(|path| !path.starts_with(&self.cache)) {
            copy_in(path, &self.cache)?;
        }
        if request.network {
            for path in network_paths().iter().filter(|path| path.exists()) {
                copy_in(path, &self.cache)?;
            }
        }
        let mut command = Command::new(host_program("chroot"));
        command.arg(&self.cache).args(["/usr/bin/env", "-C"]).arg(folder).arg(request.program);
        Ok(command)
    }

    /// Makes the cache folder a root: see the head of this file.
    fn prepare_chroot(&self) -> Result<()> {
        let tools = self.root.strip_prefix(&self.cache).context("the tools root lies outside the cache")?;
        for name in ["usr", "etc"] {
            relink(&tools.join(name), &self.cache.join(name))?;
        }
        for (name, target) in LINKS {
            relink(Path::new(target), &self.cache.join(name))?;
        }
        for name in ["tmp", "dev", "proc", "run", "var/tmp"] {
            fs::create_dir_all(self.cache.join(name))?;
        }
        for (name, minor) in NODES {
            let node = self.cache.join("dev").join(name);
            if !node.exists() {
                let status = Command::new("mknod").args(["-m", "666"]).arg(&node).args(["c", "1", minor]).status()?;
                if !status.success() {
                    bail!("cannot make {}: {status}", node.display());
                }
            }
        }
        let own = self.cache.strip_prefix("/").context("the cache has no absolute path")?;
        let itself = self.cache.join(own);
        fs::create_dir_all(itself.parent().unwrap_or(&self.cache))?;
        relink(Path::new("/"), &itself)
    }
}

/// Copies a file or folder to the same absolute path below `root`. Files that are there with the same size and time
/// stay; cargo's folders of build results are left out.
fn copy_in(path: &Path, root: &Path) -> Result<()> {
    let target = root.join(path.strip_prefix("/").unwrap_or(path));
    fs::create_dir_all(target.parent().unwrap_or(root))?;
    copy_tree(path, &target).with_context(|| format!("cannot copy {} to {}", path.display(), target.display()))
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    let source = fs::metadata(from)?;
    if source.is_dir() {
        if from.ends_with("target") && from.join("CACHEDIR.TAG").exists() {
            return Ok(());
        }
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let copy = to.join(entry.file_name());
            // Links stay links: they may lead out of the folder, or nowhere.
            match fs::read_link(entry.path()) {
                Ok(target) => relink(&target, &copy).map_err(std::io::Error::other)?,
                Err(_) => copy_tree(&entry.path(), &copy)?,
            }
        }
    } else if source.is_file() {
        let same = |copy: fs::Metadata| copy.len() == source.len() && copy.modified().ok() == source.modified().ok();
        if !fs::metadata(to).is_ok_and(same) {
            fs::copy(from, to)?;
            fs::File::options().append(true).open(to)?.set_modified(source.modified()?)?;
        }
    }
    Ok(())
}

fn relink(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|existing| existing == target) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok() {
        fs::remove_file(link).with_context(|| format!("cannot replace {}", link.display()))?;
    }
    symlink(target, link).with_context(|| format!("cannot link {}", link.display()))
}

/// The path of a program of the host: the emptied environment has another PATH.
fn host_program(name: &str) -> PathBuf {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}

fn network_variables() -> Vec<(String, String)> {
    let wanted = |name: &str| {
        NETWORK_VARIABLES.iter().any(|start| name.starts_with(start) || name.to_lowercase().starts_with(start))
    };
    std::env::vars().filter(|(name, _)| wanted(name)).collect()
}

/// Files for the network: the usual ones, and what a forwarded variable points to.
fn network_paths() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = NETWORK_FILES.iter().map(PathBuf::from).collect();
    // Cargo sets SSL_CERT_DIR to what may be a link to the usual folder: that one is there already.
    let usual = |path: &Path| {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        NETWORK_FILES.iter().any(|file| path.starts_with(file) || real.starts_with(file))
    };
    paths.extend(
        network_variables()
            .into_iter()
            .map(|(_, value)| PathBuf::from(value))
            .filter(|path| path.is_absolute() && path.exists() && !usual(path)),
    );
    paths
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_copy_keeps_dangling_links_and_leaves_build_results_out() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for name in ["target", "registry"] {
            fs::create_dir_all(from.join(name)).unwrap();
            fs::write(from.join(name).join("CACHEDIR.TAG"), "").unwrap();
        }
        symlink("/nowhere", from.join("link")).unwrap();
        for _ in 0..2 {
            copy_tree(&from, &to).unwrap();
        }
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/nowhere"));
        assert!(to.join("registry/CACHEDIR.TAG").exists() && !to.join("target").exists());
    }

    #[test]
    fn a_file_is_copied_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for contents in ["old", "newer"] {
            fs::write(&from, contents).unwrap();
            copy_tree(&from, &to).unwrap();
            assert_eq!(fs::read_to_string(&to).unwrap(), contents);
        }
    }

    #[test]
    fn a_link_is_replaced_only_where_it_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        for target in ["a", "b", "b"] {
            relink(Path::new(target), &link).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        }
    }
}
