// SPDX-License-Identifier: MIT OR Apache-2.0
//! The corpus: signatures.txt, which `make-corpus` writes, and what has to come of each, verdicts.txt, which people write.
//!
//! Used by the host's test and, by path, by the boot test that has the kernel judge the same signatures. A line of
//! verdicts.txt is `NAME | USER SPACE | KERNEL`, or with `| stricter` behind it where we refuse what the kernel accepts:
//!
//! * user space: `accepted`, or the words of the error;
//! * kernel: `accepted`, or the errno with which Linux 6.12 refuses the dm-verity table.

use std::collections::BTreeMap;

const SIGNATURES: &str = include_str!("signatures.txt");
const VERDICTS: &str = include_str!("verdicts.txt");
/// What was signed.
pub const ROOT_HASH: &str = include_str!("root-hash");
/// The verdict on a good signature.
pub const ACCEPTED: &str = "accepted";

/// One signature and its verdicts.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What is special about it.
    pub name: &'static str,
    /// The certificate to check with: a file of this folder, without `.crt`.
    pub certificate: &'static str,
    /// The PKCS#7 in base64.
    pub base64: &'static str,
    /// `accepted`, or the error.
    pub user_space: &'static str,
    /// `accepted`, or the errno.
    pub kernel: &'static str,
    /// Said of those that we refuse and the kernel accepts.
    pub stricter: bool,
}

/// The whole corpus, in the order in which it was made.
///
/// # Errors
/// A line is not of its form, or one of the two files has an entry that the other lacks.
pub fn entries() -> Result<Vec<Entry>, String> {
    let mut verdicts = BTreeMap::new();
    for line in VERDICTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let (name, verdict) = match columns[..] {
            [name, user_space, kernel] => (name, (user_space, kernel, false)),
            [name, user_space, kernel, "stricter"] => (name, (user_space, kernel, true)),
            _ => return Err(format!("not a verdict: {line}")),
        };
        if verdicts.insert(name, verdict).is_some() {
            return Err(format!("two verdicts on {name}"));
        }
    }
    let mut entries = Vec::new();
    for line in SIGNATURES.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(name), Some(certificate), Some(base64)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("not a signature: {line}"));
        };
        let (user_space, kernel, stricter) =
            verdicts.remove(name).ok_or_else(|| format!("no verdict on {name}: write one into verdicts.txt"))?;
        entries.push(Entry { name, certificate, base64, user_space, kernel, stricter });
    }
    match verdicts.keys().next() {
        Some(name) => Err(format!("a verdict on {name}, which is not in signatures.txt")),
        None => Ok(entries),
    }
}
