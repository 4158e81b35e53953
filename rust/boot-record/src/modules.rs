// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of kernel modules, and `/etc/initoverlayfs/modules.list`: what the boot stage loads, in this order.
//!
//! The list is made when the mini-initramfs is, from the configuration's `modules` and the kernel's modules.dep, so that
//! the boot stage resolves nothing. Each line is `NAME` or `NAME optional` and ends with a newline; there is nothing else, no
//! comment and no empty line. A list without lines is one: everything is built in. The file of NAME is
//! `/lib/modules/NAME.ko`.
//!
//! An optional module is one that no other needs, such as the faster of two implementations: it may find no hardware that
//! it is for.

use core::fmt;
use heapless::{String, Vec};

/// Most bytes of a name: the kernel's MODULE_NAME_LEN on 64-bit machines, less its NUL (include/linux/moduleparam.h).
pub const MAX_MODULE_NAME: usize = 55;
/// Most modules of a list: three times what a machine with every supported storage needs.
pub const MAX_MODULES: usize = 128;
/// Most bytes of a list: every module with the longest name, optional, and a newline.
pub const MAX_LIST: usize = MAX_MODULES * (MAX_MODULE_NAME + OPTIONAL.len() + 2);

const OPTIONAL: &str = "optional";

/// The name of a module as the kernel writes it: letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleName(String<MAX_MODULE_NAME>);

impl ModuleName {
    /// The module that people call `name`: `-` and `_` are one character, as for the kernel. `None` if it is no name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        let mut written = String::new();
        name.chars().try_for_each(|c| written.push(if c == '-' { '_' } else { c })).ok()?;
        Some(Self(written))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: ModuleName,
    /// Whether it may find no hardware that it is for (ENODEV). What else keeps it from being loaded is an error.
    pub optional: bool,
}

impl fmt::Display for Module {
    /// The line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, optional } = self;
        if *optional { write!(f, "{name} {OPTIONAL}") } else { name.fmt(f) }
    }
}

/// A list: no module twice.
pub type List = Vec<Module, MAX_MODULES>;

/// Why a list is refused. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More bytes than [`MAX_LIST`].
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not UTF-8.
    Text {
        /// Byte offset in the file.
        offset: usize,
    },
    /// The last line does not end: the file was cut off.
    Unfinished {
        /// That line.
        line: u32,
    },
    /// Neither `NAME` nor `NAME optional`.
    NotAModule {
        /// The line.
        line: u32,
    },
    /// A module for the second time.
    Duplicate {
        /// The line.
        line: u32,
    },
    /// More modules than [`MAX_MODULES`].
    TooMany {
        /// The first line too many.
        line: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("list of modules: ")?;
        match self {
            Self::TooLarge { found } => write!(f, "{found} bytes, at most {MAX_LIST}"),
            Self::Text { offset } => write!(f, "at byte {offset}: not UTF-8"),
            Self::Unfinished { line } => write!(f, "line {line}: no newline at its end"),
            Self::NotAModule { line } => write!(f, "line {line}: expected a module's name, or that and \"{OPTIONAL}\""),
            Self::Duplicate { line } => write!(f, "line {line}: a module for the second time"),
            Self::TooMany { line } => write!(f, "line {line}: more than {MAX_MODULES} modules"),
        }
    }
}

impl core::error::Error for Error {}

/// Parses a whole list.
///
/// # Errors
/// See [`Error`].
pub fn parse(file: &[u8]) -> Result<List, Error> {
    if file.len() > MAX_LIST {
        return Err(Error::TooLarge { found: file.len() });
    }
    let text = core::str::from_utf8(file).map_err(|error| Error::Text { offset: error.valid_up_to() })?;
    let mut list = List::new();
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let content = content.strip_suffix('\n').ok_or(Error::Unfinished { line })?;
        let module = module(content).ok_or(Error::NotAModule { line })?;
        if list.iter().any(|known| known.name == module.name) {
            return Err(Error::Duplicate { line });
        }
        list.push(module).map_err(|_| Error::TooMany { line })?;
    }
    Ok(list)
}

fn module(line: &str) -> Option<Module> {
    let (name, optional) = match line.split_once(' ') {
        Some((name, OPTIONAL)) => (name, true),
        Some(_) => return None,
        None => (line, false),
    };
    // One way to write a name: the file's is made of it.
    let name = ModuleName::new(name).filter(|written| written.as_str() == name)?;
    Some(Module { name, optional })
}
