// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi`: makes signed Discoverable Disk Images on the host, says what is in one and whether it would boot, and signs what a TPM
//! will have measured then.
//!
//! What it promises:
//! * The same input gives the same bytes; nothing is drawn at random that shows in the image.
//! * The output appears under its name only when it is whole, read back by the boot stage's own parsers, and on the disk.
//! * Nothing else is written, and nothing is left behind by an error, SIGINT, SIGTERM or SIGHUP.
//! * Every error names the file, the offset where there is one, what was expected and what was found.
//!
//! What it does not do:
//! * Decide trust: a certificate is taken as it is, expired or not; the boot stage pins it.
//! * Write file systems: mkfs.erofs does.
//! * Check the files that go in, beyond the os-release it is asked to compare.
//! * Make keys, ask for pass phrases, or talk to a network.
//!
//! The library is the program's; it is public for tests and promises no stable interface.

pub mod algorithm;
pub mod block_check;
pub mod build;
pub mod certificate;
pub mod cli;
pub mod derive;
pub mod draft;
pub mod erofs;
pub mod file_error;
pub mod identity;
pub mod image;
pub mod inspect;
pub mod join;
pub mod key;
pub mod mkfs;
pub mod opened;
pub mod output;
pub mod pem;
pub mod pkcs7_file;
pub mod policy;
pub mod printable;
pub mod progress;
pub mod read_back;
pub mod report;
pub mod salt;
pub mod shift;
pub mod signature;
pub mod signer_facts;
pub mod tar_check;
pub mod uki;
pub mod verdict;
pub mod verify;
pub mod verity_tree;
