// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel's modules as depmod and the kernel's build describe them, in text files of `lib/modules/RELEASE`.
//!
//! | file | what is read of it |
//! |---|---|
//! | modules.dep | each module's file, and the modules it needs |
//! | modules.builtin | the modules that are built in |
//! | modules.builtin.modinfo | aliases of those |
//! | modules.alias | aliases of the others; patterns over hardware are passed over |
//! | modules.softdep | the modules that one wants to be there before or after it |
//!
//! Names are kept as the kernel writes them, with `_` for `-`. See depmod(8), modules.dep(5) and modprobe.d(5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::file_error::{self, FileError};

const DEPENDENCIES: &str = "modules.dep";
const BUILT_IN: &str = "modules.builtin";
const BUILT_IN_INFO: &str = "modules.builtin.modinfo";
const ALIASES: &str = "modules.alias";
const SOFT: &str = "modules.softdep";

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// A file is missing or cannot be read.
    #[error("{0} (depmod and the kernel's modules_install write it)")]
    File(#[from] FileError),
    /// A line, counted from 1, or the entry of that number.
    #[error("{}: line {line}: expected {expected}", path.display())]
    Line { path: PathBuf, line: usize, expected: &'static str },
}

/// A module that lies in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InFile {
    /// Its path below the folder.
    pub path: String,
    /// Names of modules that must be loaded before it.
    pub needs: Vec<String>,
}

/// What a module wants to be there, without needing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Soft {
    /// Names or aliases to be loaded before it.
    pub before: Vec<String>,
    /// Names or aliases to be loaded after it.
    pub after: Vec<String>,
}

/// All that is known about a kernel's modules.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Where the files were read; for messages.
    pub folder: PathBuf,
    files: BTreeMap<String, InFile>,
    built_in: BTreeSet<String>,
    aliases: BTreeMap<String, BTreeSet<String>>,
    soft: BTreeMap<String, Soft>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A module in a file, by its own name.
    Module(&'a str),
    /// A module that is built in, by its own name.
    BuiltIn(&'a str),
}

impl Index {
    /// Reads the files of `folder`, the `lib/modules/RELEASE` of a kernel.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut index = Self { folder: folder.to_owned(), ..Self::default() };
        index.each_line(DEPENDENCIES, "FILE.ko: FILE.ko ..., relative to the folder", Self::add_dependencies)?;
        index.each_line(BUILT_IN, "FILE.ko", Self::add_built_in)?;
        index.each_line(ALIASES, "alias PATTERN MODULE", Self::add_alias)?;
        index.each_line(SOFT, "softdep MODULE pre: MODULE ... post: MODULE ...", Self::add_soft)?;
        let info = file_error::read(&folder.join(BUILT_IN_INFO))?;
        for entry in info.split(|byte| *byte == 0) {
            index.add_built_in_info(&String::from_utf8_lossy(entry));
        }
        Ok(index)
    }

    /// What a name or alias stands for: the module of that name, else all modules of that alias; nothing if there is none.
    #[must_use]
    pub fn find(&self, name: &str) -> Vec<Found<'_>> {
        let name = normal(name);
        match self.find_module(&name) {
            Some(found) => vec![found],
            None => self.aliases.get(&name).into_iter().flatten().filter_map(|name| self.find_module(name)).collect(),
        }
    }

    fn find_module(&self, name: &str) -> Option<Found<'_>> {
        let module = self.files.get_key_value(name).map(|(name, _)| Found::Module(name));
        module.or_else(|| self.built_in.get(name).map(|name| Found::BuiltIn(name)))
    }

    /// The file of a module.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&InFile> {
        self.files.get(name)
    }

    /// What a module wants.
    #[must_use]
    pub fn soft(&self, name: &str) -> Option<&Soft> {
        self.soft.get(name)
    }

    fn each_line(
        &mut self,
        name: &str,
        expected: &'static str,
        add: fn(&mut Self, &str) -> Option<()>,
    ) -> Result<(), Error> {
        let path = self.folder.join(name);
        let contents = file_error::read(&path)?;
        let text = String::from_utf8_lossy(&contents);
        for (line, content) in (1..).zip(text.lines()) {
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            add(self, content).ok_or_else(|| Error::Line { path: path.clone(), line, expected })?;
        }
        Ok(())
    }

    fn add_dependencies(&mut self, line: &str) -> Option<()> {
        let (path, needs) = line.split_once(':')?;
        let needs = needs.split_whitespace().map(name_of_file).collect::<Option<Vec<_>>>()?;
        let known = self.files.insert(name_of_file(path)?, InFile { path: path.to_owned(), needs });
        // Two files of one name: which one is meant, nobody can say.
        known.is_none().then_some(())
    }

    fn add_built_in(&mut self, line: &str) -> Option<()> {
        self.built_in.insert(name_of_file(line)?);
        Some(())
    }

    fn add_alias(&mut self, line: &str) -> Option<()> {
        // An alias may have spaces, as those of the DMI tables do.
        let (pattern, module) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
        self.add_name(pattern, module);
        Some(())
    }

    /// `MODULE.alias=PATTERN`, among much else.
    fn add_built_in_info(&mut self, entry: &str) {
        let alias = entry.split_once('=').and_then(|(key, value)| Some((key.strip_suffix(".alias")?, value)));
        if let Some((module, pattern)) = alias {
            self.add_name(pattern, module);
        }
    }

    fn add_name(&mut self, pattern: &str, module: &str) {
        if !pattern.contains(['*', '?', '[']) {
            self.aliases.entry(normal(pattern)).or_default().insert(normal(module));
        }
    }

    fn add_soft(&mut self, line: &str) -> Option<()> {
        let mut words = line.strip_prefix("softdep ")?.split_whitespace();
        let soft = self.soft.entry(normal(words.next()?)).or_default();
        // Words before the first `pre:` or `post:` mean nothing, as for modprobe.
        let mut list = None;
        for word in words {
            match (word, &mut list) {
                ("pre:", _) => list = Some(&mut soft.before),
                ("post:", _) => list = Some(&mut soft.after),
                (word, Some(list)) => list.push(normal(word)),
                (_, None) => {}
            }
        }
        Some(())
    }
}

/// A name as the kernel writes it.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The name of the module in `kernel/fs/fat/vfat.ko.xz`. `None` for a path that leads out of the folder, or to no module.
fn name_of_file(path: &str) -> Option<String> {
    if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let (name, compression) = path.rsplit('/').next()?.split_once(".ko")?;
    let known = compression.is_empty() || super::contents::Compression::of_suffix(compression).is_some();
    (known && !name.is_empty()).then(|| normal(name))
}
