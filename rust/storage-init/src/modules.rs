// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage 3: the drivers that the kernel does not have built in.
//!
//! What is loaded, and in which order, was decided when the mini-initramfs was made: the list beside the configuration.
//! Nothing is read or called for a configuration without `modules`: main.rs does not come here.
//!
//! A parameter on the kernel command line (`dm_verity.require_signatures=1`) holds for a module as it does for what is built in,
//! where the kernel itself reads it: it is given to the module.

use core::fmt;
use std::ffi::{CString, NulError};

use boot_record::cmdline;
use boot_record::modules::{self, List, MAX_LIST, ModuleName};
use boot_record::reason::Reason;
use kernel_edge::module::{self, Loaded};
use rustix::fs::{Mode, OFlags};

use crate::config::read_file;
use crate::failure::{Failure, text};

/// The list's place in the mini-initramfs.
const LIST: &str = "/etc/initoverlayfs/modules.list";

/// Path of a module's file in the mini-initramfs.
pub type ModulePath = heapless::String<80>;

/// The file of a module.
pub fn path_of(name: &ModuleName) -> ModulePath {
    text(format_args!("/lib/modules/{name}.ko"))
}

/// What came of the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    loaded: usize,
    there_before: usize,
    without_hardware: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loaded, there_before, without_hardware } = self;
        write!(f, "{loaded} loaded")?;
        if *there_before > 0 {
            write!(f, ", {there_before} there before")?;
        }
        if *without_hardware > 0 {
            write!(f, ", {without_hardware} without hardware")?;
        }
        Ok(())
    }
}

/// Reads the list. Not inlined: whoever has no modules needs no room for it on the stack.
///
/// # Errors
/// `config-invalid` for a missing, unreadable or bad list.
#[inline(never)]
pub fn read() -> Result<Box<List>, Failure> {
    let list = read_file(LIST, MAX_LIST)?;
    modules::parse(&list).map(Box::new).map_err(|error| Failure::new(Reason::ConfigInvalid, LIST, error))
}

/// Loads every module, in the list's order, with its words of `command_line`; calls `alive` before each.
///
/// # Errors
/// `config-invalid` for a file that is missing, `module-refused` for a module that the kernel does not take.
pub fn load(list: &List, command_line: &str, mut alive: impl FnMut()) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for module in list {
        alive();
        let parameters = parameters(command_line, &module.name)
            .map_err(|error| Failure::new(Reason::ModuleRefused, module.name.as_str(), error))?;
        let path = path_of(&module.name);
        let file = rustix::fs::open(&*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Failure::new(Reason::ConfigInvalid, &path, errno))?;
        count(&mut tally, module.optional, module::load(file, &parameters))
            .map_err(|error| Failure::new(Reason::ModuleRefused, module.name.as_str(), error))?;
    }
    Ok(tally)
}

/// The words of the command line that are the module's, without its name before them, as modprobe gives them.
fn parameters(command_line: &str, module: &ModuleName) -> Result<CString, NulError> {
    let mut parameters = String::new();
    for word in cmdline::words(command_line) {
        if word.key == "--" && word.value.is_none() {
            break;
        }
        let Some((name, parameter)) = word.key.split_once('.') else { continue };
        if !cmdline::same_key(name, module.as_str()) || parameter.is_empty() {
            continue;
        }
        // The raw word, because a value may have quotes: before the key there is nothing else than one.
        let Some((before, rest)) = word.raw.split_once('.') else { continue };
        let separator = if parameters.is_empty() { "" } else { " " };
        let quote = if before.starts_with('"') { "\"" } else { "" };
        parameters.push_str(separator);
        parameters.push_str(quote);
        parameters.push_str(rest);
    }
    CString::new(parameters)
}

/// Counts one outcome. Only that its hardware is not there may keep a module from being loaded, and only an optional one.
fn count(tally: &mut Tally, optional: bool, outcome: Result<Loaded, module::Error>) -> Result<(), module::Error> {
    let counter = match outcome {
        Ok(Loaded::Now) => &mut tally.loaded,
        Ok(Loaded::Before) => &mut tally.there_before,
        Err(error) if optional && error.is_without_hardware() => &mut tally.without_hardware,
        Err(error) => return Err(error),
    };
    *counter = counter.saturating_add(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use kernel_edge::Errno;

    #[test]
    fn only_an_optional_module_may_find_no_hardware() {
        let mut tally = Tally::default();
        let no_hardware = module::Error::from(Errno::NODEV);
        assert_eq!(count(&mut tally, true, Err(no_hardware)), Ok(()));
        assert_eq!(count(&mut tally, false, Err(no_hardware)), Err(no_hardware));
        for errno in [Errno::NOEXEC, Errno::NOENT, Errno::KEYREJECTED, Errno::PERM, Errno::BUSY, Errno::NOMEM] {
            let error = module::Error::from(errno);
            assert_eq!(count(&mut tally, true, Err(error)), Err(error), "{errno}");
        }
        for outcome in [Loaded::Now, Loaded::Now, Loaded::Before] {
            count(&mut tally, false, Ok(outcome)).unwrap();
        }
        assert_eq!(tally.to_string(), "2 loaded, 1 there before, 1 without hardware");
        assert_eq!(Tally::default().to_string(), "0 loaded");
    }

    #[test]
    fn a_module_gets_its_own_words_of_the_command_line() {
        let line = "root=a dm_verity.x dm-verity.require_signatures=1 dm_verity2.y=1 dm_verity.=2 \"dm_verity.z=a b\" \
                    dm_verity.q=\"c d\" -- dm_verity.late=1";
        let of = |line, module| parameters(line, &ModuleName::new(module).unwrap()).unwrap().into_string().unwrap();
        assert_eq!(of(line, "dm-verity"), "x require_signatures=1 \"z=a b\" q=\"c d\"");
        assert_eq!(of(line, "loop"), "");
        assert!(parameters("loop.x=\0", &ModuleName::new("loop").unwrap()).is_err());
    }

    #[test]
    fn the_longest_name_has_a_path() {
        let name = ModuleName::new(&"x".repeat(modules::MAX_MODULE_NAME)).unwrap();
        assert!(path_of(&name).ends_with("x.ko"));
        assert_eq!(path_of(&ModuleName::new("dm-verity").unwrap()), "/lib/modules/dm_verity.ko");
    }
}
