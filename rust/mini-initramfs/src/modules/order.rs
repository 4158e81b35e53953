// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the names that a configuration wants to the modules that are loaded, each after all that it needs.
//!
//! As modprobe does it: what a module needs, what it wants before it (softdep pre), the module, what it wants after it
//! (post). The order comes from a walk that puts a module behind what it needs, so that a wrong one cannot come out; a
//! circle of needs is an error. A wanted module that the kernel does not have, or that would close a circle, is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::index::{Found, Index};

/// Why the names cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// The kernel has no such module.
    #[error(
        "{name}: neither in {0} nor in {1}, and no alias of a module there", 
        folder.join("modules.dep").display(), folder.join("modules.builtin").display()
    )]
    Missing { name: String, folder: PathBuf },
    /// modules.dep names a module as needed and does not list it.
    #[error("{}: {needed_by} needs {name}, which the file does not list", folder.join("modules.dep").display())]
    MissingNeeded { name: String, needed_by: String, folder: PathBuf },
    /// Modules that need each other.
    #[error("{}: a circle: {}", folder.join("modules.dep").display(), circle.join(" needs "))]
    Circle { circle: Vec<String>, folder: PathBuf },
}

/// A module to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// Its file, below the index's folder.
    pub path: String,
    /// Nothing that the configuration names needs it: one of several modules of an alias, or only wanted by another.
    pub optional: bool,
}

/// What the names come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// In the order in which they are loaded.
    pub modules: Vec<Chosen>,
    /// Names of the configuration that are modules built into the kernel.
    pub built_in: Vec<String>,
    /// What modules want and do not get.
    pub left_out: Vec<LeftOut>,
}

/// A soft dependency that was not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The module or alias.
    pub wanted: String,
    /// What wants it.
    pub by: String,
    /// Why it is left out.
    pub why: Why,
}

/// Why a soft dependency was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The kernel has no such module.
    Missing,
    /// It needs the module that wants it.
    Circle,
}

/// Resolves the names that a configuration wants.
///
/// # Errors
/// See [`Error`].
pub fn resolve<'a>(index: &Index, wanted: impl IntoIterator<Item = &'a str>) -> Result<Resolved, Error> {
    let mut walk = Walk { index, order: Vec::new(), marks: BTreeMap::new(), left_out: Vec::new() };
    let mut required = BTreeSet::new();
    let mut built_in = Vec::new();
    for name in wanted {
        let found = index.find(name);
        if found.is_empty() {
            return Err(Error::Missing { name: name.to_owned(), folder: index.folder.clone() });
        }
        for one in &found {
            match one {
                Found::BuiltIn(module) => built_in.push((*module).to_owned()),
                Found::Module(module) => {
                    walk.visit(module)?;
                    if found.len() == 1 {
                        require(index, module, &mut required);
                    }
                }
            }
        }
    }
    let modules = walk.order.iter().filter_map(|name| {
        let file = index.file(name)?;
        Some(Chosen { name: name.clone(), path: file.path.clone(), optional: !required.contains(name) })
    });
    Ok(Resolved { modules: modules.collect(), built_in, left_out: walk.left_out })
}

/// Adds a module and all that it needs.
fn require(index: &Index, module: &str, required: &mut BTreeSet<String>) {
    if required.insert(module.to_owned()) {
        let needs = index.file(module).into_iter().flat_map(|file| &file.needs);
        needs.for_each(|need| require(index, need, required));
    }
}

/// Where the walk has been.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// What it needs is being walked through.
    Open,
    /// It is in the order.
    Done,
}

struct Walk<'a> {
    index: &'a Index,
    order: Vec<String>,
    marks: BTreeMap<String, Mark>,
    left_out: Vec<LeftOut>,
}

impl Walk<'_> {
    fn visit(&mut self, module: &str) -> Result<(), Error> {
        self.visit_below(module, &mut Vec::new())
    }

    /// `trail` are the modules that led here.
    fn visit_below(&mut self, module: &str, trail: &mut Vec<String>) -> Result<(), Error> {
        match self.marks.get(module) {
            Some(Mark::Done) => return Ok(()),
            Some(Mark::Open) => {
                let start = trail.iter().position(|name| name == module).unwrap_or_default();
                let mut circle = trail.split_off(start);
                circle.push(module.to_owned());
                return Err(Error::Circle { circle, folder: self.index.folder.clone() });
            }
            None => {}
        }
        let Some(file) = self.index.file(module) else {
            let needed_by = trail.last().cloned().unwrap_or_default();
            let folder = self.index.folder.clone();
            return Err(Error::MissingNeeded { name: module.to_owned(), needed_by, folder });
        };
        self.marks.insert(module.to_owned(), Mark::Open);
        trail.push(module.to_owned());
        for need in &file.needs {
            self.visit_below(need, trail)?;
        }
        let soft = self.index.soft(module).cloned().unwrap_or_default();
        for wanted in &soft.before {
            self.visit_wanted(wanted, module, trail)?;
        }
        trail.pop();
        self.order.push(module.to_owned());
        self.marks.insert(module.to_owned(), Mark::Done);
        for wanted in &soft.after {
            self.visit_wanted(wanted, module, trail)?;
        }
        Ok(())
    }

    /// Visits what `by` wants. What cannot be had leaves no trace but its line in `left_out`.
    fn visit_wanted(&mut self, wanted: &str, by: &str, trail: &[String]) -> Result<(), Error> {
        let left_out = |why| LeftOut { wanted: wanted.to_owned(), by: by.to_owned(), why };
        let found = self.index.find(wanted);
        if found.is_empty() {
            self.left_out.push(left_out(Why::Missing));
        }
        for one in found {
            let Found::Module(module) = one else { continue };
            let before = (self.order.clone(), self.marks.clone(), self.left_out.clone());
            match self.visit_below(module, &mut trail.to_vec()) {
                // Only a circle through a module that is open for the one that wants it is the wish's fault.
                Err(Error::Circle { circle, .. }) if circle.iter().any(|name| trail.contains(name)) => {
                    (self.order, self.marks, self.left_out) = before;
                    self.left_out.push(left_out(Why::Circle));
                }
                other => other?,
            }
        }
        Ok(())
    }
}
