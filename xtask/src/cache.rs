// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache folder: everything that is downloaded or takes minutes to build, outside the checkout.
//!
//! * `KIND/KEY/` is a finished entry. It is built under another name and renamed, so that an interrupted build is never
//!   taken for a finished one, and it is never changed afterwards.
//! * `work/KIND/KEY/` is a build tree, kept so that the next build is a short one. What it holds proves nothing.
//! * `run/` holds the files of running machines and tests, `logs/` what the builds printed.
//!
//! One xtask at a time builds an entry of a kind (flock); the others wait for it and say so. Entries of a kind that are
//! older than the one just built are removed when no other xtask is running.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// Name of the folder in `$XDG_CACHE_HOME` or `~/.cache`.
const FOLDER: &str = "meta-initoverlayfs";

/// What an entry was made of, as a hash: another input is another entry.
pub struct Key(Sha256);

impl Key {
    /// Starts a key; raise `recipe` when the code that builds this kind of entry changes its result.
    pub fn new(recipe: u32) -> Self {
        Self(Sha256::new_with_prefix(recipe.to_le_bytes()))
    }

    /// Adds one named input. Lengths go in as well: no two lists of inputs run together to the same bytes.
    #[must_use]
    pub fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds the contents of a file under the name `name`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn file(self, name: &str, path: &Path) -> Result<Self> {
        let contents = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.bytes(name, &contents))
    }

    /// The first 64 bits of the hash: enough to tell inputs apart, short enough for a path that also has to hold sockets.
    fn name(&self) -> String {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}

/// The open cache folder. While one is held, no other xtask removes anything from it.
pub struct Cache {
    root: PathBuf,
    in_use: File,
}

impl Cache {
    /// Where the cache is: `$XDG_CACHE_HOME/meta-initoverlayfs`, or below `~/.cache`.
    ///
    /// # Errors
    /// Neither variable holds an absolute path.
    pub fn location() -> Result<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        match base {
            Some(base) => Ok(base.join(FOLDER)),
            None => bail!("neither XDG_CACHE_HOME nor HOME is an absolute path: no place for the cache"),
        }
    }

    /// Opens the cache, making it if it is not there.
    ///
    /// # Errors
    /// The folder cannot be made or locked.
    pub fn open() -> Result<Self> {
        Self::open_at(&Self::location()?)
    }

    fn open_at(location: &Path) -> Result<Self> {
        make_dir(location)?;
        // Programs see the cache under the path that the kernel would resolve it to.
        let root = location.canonicalize().with_context(|| format!("cannot resolve {}", location.display()))?;
        let in_use = open_lock(&root.join(".in-use"))?;
        in_use.lock_shared().with_context(|| format!("cannot lock {}", root.display()))?;
        Ok(Self { root, in_use })
    }

    /// The absolute path of the cache folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The finished entry of this kind and key, if there is one.
    pub fn find(&self, kind: &str, key: &Key) -> Option<PathBuf> {
        let path = self.root.join(kind).join(key.name());
        path.is_dir().then_some(path)
    }

    /// True if any finished entry of this kind exists: an estimate for what a first run will cost.
    pub fn has_any(&self, kind: &str) -> bool {
        entries(&self.root.join(kind)).is_ok_and(|found| !found.is_empty())
    }

    /// The finished entry of this kind and key; `build` fills an empty folder with it if there is none yet.
    ///
    /// # Errors
    /// What `build` returns, or the folder cannot be written.
    pub fn entry(&self, kind: &str, key: &Key, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        if let Some(found) = self.find(kind, key) {
            return Ok(found);
        }
        let shelf = self.root.join(kind);
        make_dir(&shelf)?;
        let _lock = self.lock(kind)?;
        if let Some(found) = self.find(kind, key) {
            return Ok(found);
        }
        let unfinished = shelf.join(".unfinished");
        remove_tree(&unfinished)?;
        make_dir(&unfinished)?;
        build(&unfinished)?;
        flush(&unfinished)?;
        let finished = shelf.join(key.name());
        fs::rename(&unfinished, &finished).with_context(|| format!("cannot rename to {}", finished.display()))?;
        self.remove_others(kind, &finished)?;
        Ok(finished)
    }

    /// A build tree that outlives the build; the caller holds [`Cache::lock`] or is inside [`Cache::entry`] of that kind.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn work_dir(&self, kind: &str, key: &Key) -> Result<PathBuf> {
        let path = self.root.join("work").join(kind).join(key.name());
        make_dir(&path)?;
        self.remove_others(&format!("work/{kind}"), &path)?;
        Ok(path)
    }

    /// A new, empty folder for one run, removed when the value is dropped (unless it is kept).
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn run_dir(&self, name: &str) -> Result<RunDir> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("run").join(format!("{name}-{}-{number}", std::process::id()));
        remove_tree(&path)?;
        make_dir(&path)?;
        Ok(RunDir { path, kept: false })
    }

    /// The path of the log of the build called `name`.
    ///
    /// # Errors
    /// The folder of logs cannot be made.
    pub fn log(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("logs");
        make_dir(&folder)?;
        Ok(folder.join(format!("{name}.log")))
    }

    /// Waits until this process alone builds things of `kind`, and keeps it so while the file is held.
    ///
    /// # Errors
    /// The lock cannot be made.
    pub fn lock(&self, kind: &str) -> Result<File> {
        let shelf = self.root.join(kind);
        make_dir(&shelf)?;
        let file = open_lock(&shelf.join(".lock"))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => eprintln!("{kind}: waiting for another xtask that is building it"),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {kind}")),
        }
        file.lock().with_context(|| format!("cannot lock {kind}"))?;
        Ok(file)
    }

    /// Removes the whole cache.
    ///
    /// # Errors
    /// Another xtask is using it, or something cannot be removed.
    pub fn uninstall() -> Result<PathBuf> {
        let location = Self::location()?;
        if !location.exists() {
            return Ok(location);
        }
        let in_use = open_lock(&location.join(".in-use"))?;
        if in_use.try_lock().is_err() {
            bail!("{} is in use by another xtask: stop that first", location.display());
        }
        remove_tree(&location)?;
        Ok(location)
    }

    fn remove_others(&self, kind: &str, keep: &Path) -> Result<()> {
        let others: Vec<PathBuf> = entries(&self.root.join(kind))?.into_iter().filter(|path| path != keep).collect();
        if others.is_empty() {
            return Ok(());
        }
        // Only the sole user may remove: another xtask may be running programs of an older entry.
        self.in_use.unlock()?;
        let removed = match self.in_use.try_lock() {
            Ok(()) => others.iter().try_for_each(|path| remove_tree(path)),
            Err(_) => Ok(()),
        };
        self.in_use.unlock()?;
        self.in_use.lock_shared()?;
        removed
    }
}

/// A folder for the files of one run.
pub struct RunDir {
    path: PathBuf,
    kept: bool,
}

impl RunDir {
    /// Its absolute path, inside the cache.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is, for a person to look at.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove_tree(&self.path)
        {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Finished entries on a shelf; dot files are locks and unfinished ones.
fn entries(shelf: &Path) -> Result<Vec<PathBuf>> {
    if !shelf.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(shelf).with_context(|| format!("cannot list {}", shelf.display()))? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// The data has to be on the disk before the name says that it is finished.
fn flush(path: &Path) -> Result<()> {
    let status = Command::new("sync").arg("-f").arg(path).status().context("cannot run sync")?;
    if !status.success() {
        bail!("sync -f {}: {status}", path.display());
    }
    Ok(())
}

/// Removes a tree, read-only folders in it included (packages have some).
fn remove_tree(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fn open_up(folder: &Path) -> std::io::Result<()> {
        let mut permissions = fs::symlink_metadata(folder)?.permissions();
        if permissions.mode() & 0o700 != 0o700 {
            permissions.set_mode(permissions.mode() | 0o700);
            fs::set_permissions(folder, permissions)?;
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open_up(&entry.path())?;
            }
        }
        Ok(())
    }
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    fs::remove_dir_all(path)
        .or_else(|_| open_up(path).and_then(|()| fs::remove_dir_all(path)))
        .with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests;
