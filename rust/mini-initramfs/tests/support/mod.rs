// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests share: other people's tools, made-up kernels, and running `mini-initramfs`.
#![allow(dead_code, reason = "every test program uses a part of this")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mini_initramfs::modules::index::Index;
use tempfile::TempDir;

/// `e_machine` of AArch64 and of x86-64.
pub const AARCH64: u16 = 183;
pub const X86_64: u16 = 62;
/// `e_type` of object files and of programs.
pub const RELOCATABLE: u16 = 1;
pub const EXECUTABLE: u16 = 2;

/// A certificate that boot-formats reads: its own golden one.
pub const CERTIFICATE: &[u8] = include_bytes!("../../../boot-formats/tests/golden/development.crt");

/// A configuration without modules; line 1 to 6.
pub const CONFIG: &str = "image-id = demo
sources = esp-file
device = /devices/*/block/vd*
signature = kernel
certificate = demo.der
measure = none
";

/// Runs one of other people's programs; its absence fails the test, nothing is skipped.
pub fn tool(name: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}: run these tests by `cargo xtask test`, which brings it"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{name}: {}", output.status);
    output.stdout
}

/// A folder of its own for each test, under the build folder, which programs in a sandbox see.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("mini-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The 64 bytes of an ELF header without program headers, and some text behind it.
pub fn elf(kind: u16, machine: u16, text: &str) -> Vec<u8> {
    let mut file = vec![0; 64];
    file.splice(..6, *b"\x7fELF\x02\x01");
    file.splice(16..18, kind.to_le_bytes());
    file.splice(18..20, machine.to_le_bytes());
    // e_phoff, e_phentsize.
    file.splice(32..40, 64_u64.to_le_bytes());
    file.splice(54..56, 56_u16.to_le_bytes());
    file.extend_from_slice(text.as_bytes());
    file
}

/// A made-up `lib/modules/RELEASE`: the text of each file that is read.
#[derive(Clone, Copy, Default)]
pub struct Kernel<'a> {
    pub dep: &'a str,
    pub builtin: &'a str,
    pub builtin_modinfo: &'a str,
    pub alias: &'a str,
    pub softdep: &'a str,
}

impl Kernel<'_> {
    /// Writes its files, and a module for each plain one that modules.dep lists: an ELF header and its path.
    pub fn write(&self, folder: &Path) {
        for (name, text) in [
            ("modules.dep", self.dep),
            ("modules.builtin", self.builtin),
            ("modules.builtin.modinfo", self.builtin_modinfo),
            ("modules.alias", self.alias),
            ("modules.softdep", self.softdep),
        ] {
            write(folder, name, text);
        }
        for (path, _) in self.dep.lines().filter_map(|line| line.split_once(':')) {
            if path.ends_with(".ko") && !path.starts_with(['/', '.']) {
                write(folder, path, elf(RELOCATABLE, AARCH64, path));
            }
        }
    }

    /// Its index.
    pub fn index(&self) -> Index {
        let folder = directory();
        self.write(folder.path());
        let mut index = Index::read(folder.path()).unwrap();
        // The messages' folder.
        index.folder = PathBuf::from("DIR");
        index
    }
}

/// Writes a file, and the folders above it.
pub fn write(folder: &Path, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
    path
}

/// A folder with everything that an archive without modules is made of: `init`, `demo.conf`, `demo.der`.
pub fn inputs() -> TempDir {
    let folder = directory();
    write(folder.path(), "init", elf(EXECUTABLE, AARCH64, "init"));
    write(folder.path(), "demo.conf", CONFIG);
    write(folder.path(), "demo.der", CERTIFICATE);
    folder
}

/// Runs the program on these inputs; `more` are further arguments, with paths below the folder.
pub fn run(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mini-initramfs"));
    command.current_dir(folder).args(["--init", "init", "--config", "demo.conf", "--certificate", "demo.der"]);
    command.args(["--output", "out.cpio"]).args(more).output().unwrap()
}

/// As [`run`], for what has to succeed: the archive, and what was said.
pub fn build(folder: &Path, more: &[&str]) -> (Vec<u8>, String) {
    let output = run(folder, more);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {error}", output.status);
    assert_eq!(error, "");
    (fs::read(folder.join("out.cpio")).unwrap(), String::from_utf8(output.stdout).unwrap())
}
