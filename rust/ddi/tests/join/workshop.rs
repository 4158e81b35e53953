// SPDX-License-Identifier: MIT OR Apache-2.0
//! An unsigned image, keys, and the commands around them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Pair, ddi, ddi_build, directory, make_pair, names, noise_erofs, refusal, run, tool, write};

/// An unsigned image and the bytes to sign: `unsigned` and `hash` in a directory of their own.
pub struct Workshop {
    directory: TempDir,
    pub facts: Value,
}

impl Workshop {
    pub fn new(blocks: u32) -> Self {
        let directory = directory();
        write(directory.path(), "erofs", noise_erofs(blocks));
        let mut build = ddi_build(["--erofs", "erofs", "--unsigned-out", "unsigned", "--to-sign", "hash", "--json"]);
        let facts = serde_json::from_slice(&run(build.current_dir(directory.path()))).unwrap();
        Self { directory, facts }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn root_hash(&self) -> &str {
        self.facts["root_hash"].as_str().unwrap()
    }

    /// A pair of files `NAME.key` and `NAME.pem`.
    pub fn pair(&self, name: &str, algorithm: &str, options: &[&str]) -> Pair {
        make_pair(self.path(), name, algorithm, options)
    }

    pub fn openssl(&self, arguments: &[&str]) {
        run(tool("openssl").args(arguments).current_dir(self.path()));
    }

    /// `openssl smime -sign` by `NAME.key`, into `p7`: with these options behind the ones that are always there.
    pub fn sign(&self, name: &str, input: &str, options: &[&str]) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let always = ["smime", "-sign", "-binary", "-in", input, "-out", "p7", "-signer", &certificate, "-inkey", &key];
        self.openssl(&[&always, options].concat());
    }

    pub fn join(&self, certificate: &str, options: &[&str]) -> Command {
        let mut command = ddi(["join-signature", "unsigned", "--signature", "p7", "--cert", certificate]);
        command.args(options).current_dir(self.path());
        command
    }

    /// The image that `ddi build` makes with the key.
    pub fn built_with_key(&self, name: &str) -> Vec<u8> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let mut build = ddi_build(["--erofs", "erofs", "--output", "built", "--key", &key, "--cert", &certificate]);
        run(build.current_dir(self.path()));
        fs::read(self.path().join("built")).unwrap()
    }

    pub fn assert_valid(&self, image: &str, certificate: &str) {
        let verdict = run(ddi(["verify", "--json", image, "--cert", certificate]).current_dir(self.path()));
        let verdict: Value = serde_json::from_slice(&verdict).unwrap();
        assert_eq!(verdict["valid"], true, "{verdict}");
        assert_eq!(verdict["root_hash"], self.root_hash());
    }

    /// Exactly these words, and no file more or less.
    pub fn assert_refused(&self, certificate: &str, expected: &str) {
        let (before, image) = (names(self.path()), fs::read(self.path().join("unsigned")).unwrap());
        let expected = (format!("ddi: {}\n", expected.replace("ROOT_HASH", self.root_hash())), Some(1));
        assert_eq!(refusal(&mut self.join(certificate, &["--output", "out"])), expected);
        assert_eq!(refusal(&mut self.join(certificate, &["--in-place"])), expected);
        assert_eq!(names(self.path()), before);
        assert!(fs::read(self.path().join("unsigned")).unwrap() == image, "the image was changed");
    }
}

/// What openssl has to be told, so that the boot stage takes what it signs.
pub const BARE: [&str; 4] = ["-nocerts", "-noattr", "-outform", "der"];
