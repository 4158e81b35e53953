// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file tree in memory, between the archive that mmdebstrap makes and the one that an image is built from.
//!
//! * Read from a TAR file, overlaid with folders of the checkout, written as a TAR file: no privileges, nobody's user ids.
//! * Written reproducibly: sorted by path, one time for all, no names of users, no owner but root.
//! * Hard links become copies, extended attributes are not carried, device nodes and sockets are left out: devtmpfs
//!   makes the former, and no program of these trees has file capabilities.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// What is at a path. Owner and group are root.
#[derive(Clone)]
struct Node {
    kind: Kind,
    /// The permission bits, setuid and the like included.
    mode: u32,
}

#[derive(Clone)]
enum Kind {
    Folder,
    File(Arc<[u8]>),
    Link(String),
}

/// A tree; paths are relative and without a leading "./".
#[derive(Clone, Default)]
pub struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// Reads a TAR file.
    ///
    /// # Errors
    /// It cannot be read, or holds a path that leaves the tree.
    pub fn read_tar(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut archive = tar::Archive::new(std::io::BufReader::new(file));
        let mut tree = Self::default();
        let mut hard_links = Vec::new();
        for entry in archive.entries()? {
            let mut entry = entry.with_context(|| format!("{} is no TAR file", path.display()))?;
            let name = relative(&entry.path()?)?;
            let mode = entry.header().mode()? & 0o7777;
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Regular => {
                    let mut contents = Vec::new();
                    entry.read_to_end(&mut contents)?;
                    Kind::File(contents.into())
                }
                tar::EntryType::Symlink => Kind::Link(link_target(&entry)?),
                tar::EntryType::Link => {
                    hard_links.push((name, relative(Path::new(&link_target(&entry)?))?));
                    continue;
                }
                _ => continue,
            };
            tree.0.insert(name, Node { kind, mode });
        }
        for (name, target) in hard_links {
            let Some(node) = tree.0.get(&target).cloned() else {
                bail!("{}: {name} is a hard link to {target}, which is not in the archive", path.display());
            };
            tree.0.insert(name, node);
        }
        tree.0.remove("");
        Ok(tree)
    }

    /// Lays a folder of the checkout over the tree. Of permissions only "executable" counts, as in git.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn overlay(&mut self, folder: &Path) -> Result<()> {
        self.overlay_below(folder, "").with_context(|| format!("cannot read {}", folder.display()))
    }

    fn overlay_below(&mut self, folder: &Path, below: &str) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                bail!("{} has a name that is not UTF-8", entry.path().display());
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.folder(&path, 0o755);
                self.overlay_below(&entry.path(), &path)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                let Some(target) = target.to_str() else {
                    bail!("{} has a target that is not UTF-8", entry.path().display());
                };
                self.link(&path, target);
            } else {
                let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
                self.file(&path, if executable { 0o755 } else { 0o644 }, fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// Puts a folder at `path`, if nothing is there yet; the same for the folders above it.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.parents(path);
        self.0.entry(path.to_owned()).or_insert(Node { kind: Kind::Folder, mode });
    }

    /// Puts a file at `path`, instead of what was there.
    pub fn file(&mut self, path: &str, mode: u32, contents: impl Into<Arc<[u8]>>) {
        self.parents(path);
        self.0.insert(path.to_owned(), Node { kind: Kind::File(contents.into()), mode });
    }

    /// Puts a symbolic link at `path`, instead of what was there.
    pub fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.0.insert(path.to_owned(), Node { kind: Kind::Link(target.to_owned()), mode: 0o777 });
    }

    /// Removes `path` and all below it.
    pub fn remove(&mut self, path: &str) {
        self.0.retain(|name, _| name != path && !below(name, path));
    }

    /// Removes all below `path`, and leaves the folder.
    pub fn empty(&mut self, path: &str) {
        self.0.retain(|name, _| !below(name, path));
    }

    /// The contents of a file, if there is one at `path`.
    pub fn contents(&self, path: &str) -> Option<&[u8]> {
        match &self.0.get(path)?.kind {
            Kind::File(contents) => Some(contents),
            Kind::Folder | Kind::Link(_) => None,
        }
    }

    /// True if anything is at `path`.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Writes the tree as a TAR file; every node gets the same time, in seconds since 1970.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_tar(&self, path: &Path, time: u64) -> Result<()> {
        let write = || -> Result<()> {
            let mut archive = tar::Builder::new(std::io::BufWriter::new(fs::File::create(path)?));
            for (name, node) in &self.0 {
                append(&mut archive, name, node, time)?;
            }
            archive.into_inner()?.into_inner()?.flush()?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// SHA-256 of everything in it.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (name, Node { kind, mode }) in &self.0 {
            let (letter, contents) = match kind {
                Kind::Folder => (b'd', &[][..]),
                Kind::File(contents) => (b'f', &contents[..]),
                Kind::Link(target) => (b'l', target.as_bytes()),
            };
            hash.update([letter]);
            hash.update(mode.to_le_bytes());
            // With their lengths: no two trees run together to the same bytes.
            for part in [name.as_bytes(), contents] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        hash.finalize().into()
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent, 0o755);
        }
    }
}

fn below(name: &str, path: &str) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, node: &Node, time: u64) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(node.mode);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    match &node.kind {
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, format!("{name}/"), std::io::empty())?;
        }
        Kind::File(contents) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(contents.len() as u64);
            archive.append_data(&mut header, name, &**contents)?;
        }
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, name, target)?;
        }
    }
    Ok(())
}

fn link_target<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String> {
    let Some(target) = entry.link_name()? else {
        bail!("a link without a target: {}", entry.path()?.display());
    };
    match target.to_str() {
        Some(target) => Ok(target.to_owned()),
        None => bail!("a link with a target that is not UTF-8: {}", target.display()),
    }
}

/// "./usr/bin/" as "usr/bin"; the tree's own root is "".
fn relative(path: &Path) -> Result<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::Normal(name) => match name.to_str() {
                Some(name) => names.push(name),
                None => bail!("a path that is not UTF-8: {}", path.display()),
            },
            _ => bail!("a path that leaves the tree: {}", path.display()),
        }
    }
    Ok(names.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::default();
        tree.file("usr/share/doc/x/copyright", 0o644, *b"free");
        tree.file("usr/bin/x", 0o755, *b"#!");
        tree.link("bin", "usr/bin");
        tree
    }

    #[test]
    fn written_and_read_back_is_the_same_and_the_order_of_making_does_not_show() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["1.tar", "2.tar"].map(|name| folder.path().join(name));
        sample().write_tar(&first, 7).unwrap();
        let mut other = Tree::default();
        other.link("bin", "usr/bin");
        other.file("usr/bin/x", 0o755, *b"#!");
        other.file("usr/share/doc/x/copyright", 0o644, *b"free");
        other.write_tar(&second, 7).unwrap();
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        let read = Tree::read_tar(&first).unwrap();
        assert_eq!(read.contents("usr/bin/x"), Some(b"#!".as_slice()));
        assert!(read.contains("usr/share"));
        assert_eq!(read.0.len(), sample().0.len());
    }

    #[test]
    fn removing_a_folder_spares_names_that_only_begin_alike() {
        let mut tree = sample();
        tree.file("usr/share/docs", 0o644, *b"");
        tree.remove("usr/share/doc");
        assert!(!tree.contains("usr/share/doc") && !tree.contains("usr/share/doc/x"));
        assert!(tree.contains("usr/share/docs"));
        tree.empty("usr");
        assert!(tree.contains("usr") && !tree.contains("usr/bin"));
    }

    #[test]
    fn a_path_that_leaves_the_tree_is_refused() {
        assert_eq!(
            relative(Path::new("../etc/passwd")).unwrap_err().to_string(),
            "a path that leaves the tree: ../etc/passwd"
        );
        assert_eq!(
            relative(Path::new("/etc/passwd")).unwrap_err().to_string(),
            "a path that leaves the tree: /etc/passwd"
        );
        assert_eq!(relative(Path::new("./usr/bin/")).unwrap(), "usr/bin");
    }
}
