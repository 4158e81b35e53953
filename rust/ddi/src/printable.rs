// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stranger's text on somebody's terminal: labels and names may hold control characters, and a terminal obeys them.

use std::fmt::{self, Write};

/// Prints a text with whatever does not show as itself escaped as in Rust's strings. For people only: a backslash is not
/// escaped, so that two texts may look the same; JSON has its own escapes and loses nothing.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            ' '..='~' => f.write_char(character),
            _ => character.escape_debug().try_for_each(|escaped| f.write_char(escaped)),
        })
    }
}
