// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel command line, taken apart as the kernel does (lib/cmdline.c, `next_arg`; kernel/params.c, `parameqn`).
//!
//! The booted system takes it apart once more: systemd also knows single quotes, and has opinions about a backslash. A
//! word that the two could end at different places hides another; so [`first_not_allowed`] lets no word pass that has
//! a character they disagree about.

use crate::config::Config;

/// A word of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// What stands before the first `=`.
    pub key: &'a str,
    /// What stands behind it, without the quotes around it.
    pub value: Option<&'a str>,
    /// The word as it stands on the command line.
    pub raw: &'a str,
}

/// The words of a command line. `--` is a word like any other here.
#[must_use]
pub const fn words(command_line: &str) -> Words<'_> {
    Words { rest: command_line }
}

/// See [`words`].
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a str,
}

/// The kernel's `isspace`, as far as ASCII goes; it also takes 0xa0 for a space, which [`first_not_allowed`] refuses.
const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let rest = self.rest.trim_start_matches(is_space);
        if rest.is_empty() {
            self.rest = rest;
            return None;
        }
        let mut in_quotes = false;
        let end = rest.find(|c| {
            in_quotes ^= c == '"';
            !in_quotes && is_space(c)
        });
        let (raw, tail) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        self.rest = tail;

        // Quotes around the whole word.
        let (word, quoted) = match raw.strip_prefix('"') {
            Some(word) => (word, true),
            None => (raw, false),
        };
        let unquote_end = |text: &'a str| text.strip_suffix('"').unwrap_or(text);
        // The kernel does not see an '=' at the very start.
        let equals = word.match_indices('=').map(|(at, _)| at).find(|at| *at > 0);
        let (key, value) = match equals.and_then(|at| word.split_at_checked(at)) {
            Some((key, value)) => (key, value.strip_prefix('=')),
            None => (word, None),
        };
        let (key, value) = match value {
            None => (if quoted { unquote_end(key) } else { key }, None),
            Some(value) => match value.strip_prefix('"') {
                Some(value) => (key, Some(unquote_end(value))),
                None => (key, Some(if quoted { unquote_end(value) } else { value })),
            },
        };
        Some(Word { key, value, raw })
    }
}

impl<'a> Words<'a> {
    /// A character before the next word that is white space to the kernel and none to systemd.
    fn disputed_space(&self) -> Option<&'a str> {
        let between = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        if between.starts_with(is_space) { between.get(..1) } else { None }
    }
}

/// Whether two keys are one to the kernel: `-` and `_` are the same character.
#[must_use]
pub fn same_key(a: &str, b: &str) -> bool {
    let fold = |byte| if byte == b'-' { b'_' } else { byte };
    a.bytes().map(fold).eq(b.bytes().map(fold))
}

/// The first word that the configuration does not allow, as it stands on the command line.
///
/// * A word is allowed by its key.
/// * `--`, and with it everything behind, which is for init, is allowed only by `--` itself.
/// * A word with a single quote, a backslash, or anything but ASCII is never allowed.
/// * Nor is a vertical tab or a form feed between words: systemd reads on over it.
#[must_use]
pub fn first_not_allowed<'a>(config: &Config, command_line: &'a str) -> Option<&'a str> {
    let mut words = words(command_line);
    loop {
        if let Some(space) = words.disputed_space() {
            return Some(space);
        }
        let word = words.next()?;
        let ambiguous = word.raw.bytes().any(|byte| matches!(byte, b'\'' | b'\\') || !byte.is_ascii());
        let for_init = word.key == "--" && word.value.is_none();
        let allowed = if for_init {
            config.cmdline_allow.iter().any(|key| key == "--")
        } else {
            // `--` is no key.
            config.cmdline_allow.iter().any(|allowed| allowed != "--" && same_key(allowed, word.key))
        };
        if ambiguous || !allowed {
            return Some(word.raw);
        }
        if for_init {
            return words.disputed_space();
        }
    }
}
