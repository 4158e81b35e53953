// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests share: other people's tools, keys made on the spot, small images, and running `ddi`.
#![allow(dead_code, reason = "every test program uses a part of this")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Directory whose programs go before those of `PATH`, set by `cargo xtask test`.
const TOOLS: &str = "DDI_TEST_TOOLS";

/// `PATH` with the test tools first, and the directories that only root has on Debian last.
pub fn path() -> OsString {
    let mut directories: Vec<PathBuf> = std::env::var_os(TOOLS).map(PathBuf::from).into_iter().collect();
    directories.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    directories.extend(["/usr/sbin".into(), "/sbin".into()]);
    std::env::join_paths(directories).unwrap()
}

/// One of other people's programs. Its absence fails the test: nothing is skipped.
pub fn tool(name: &str) -> Command {
    let found = std::env::split_paths(&path()).map(|directory| directory.join(name)).find(|program| program.is_file());
    let Some(program) = found else {
        panic!("{name} is neither in {TOOLS} nor in PATH: run these tests by `cargo xtask test`, which brings it")
    };
    let mut command = Command::new(program);
    command.env("PATH", path());
    command
}

/// Runs a command that has to succeed, and gives its stdout.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}(`cargo xtask test` brings the versions of other people's tools that work)",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A directory of its own for each test, under the build directory, which programs in a sandbox see.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("ddi-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A key and its certificate.
pub struct Pair {
    pub key: PathBuf,
    pub certificate: PathBuf,
}

/// Makes a key (`algorithm` in openssl's `-newkey` terms) and a self-signed certificate.
pub fn make_pair(directory: &Path, name: &str, algorithm: &str, options: &[&str]) -> Pair {
    let pair = Pair { key: directory.join(format!("{name}.key")), certificate: directory.join(format!("{name}.pem")) };
    run(tool("openssl")
        .args(["req", "-x509", "-noenc", "-sha256", "-newkey", algorithm, "-subj", &format!("/CN={name}")])
        .args(options)
        .arg("-keyout")
        .arg(&pair.key)
        .arg("-out")
        .arg(&pair.certificate));
    pair
}

/// The pair of the tests that do not care: RSA-2048, made anew by each run of a test program.
pub fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        // A name of its own for each test program, and no temporary directory: a static is never dropped.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("pair-", env!("CARGO_CRATE_NAME")));
        fs::create_dir_all(&directory).unwrap();
        make_pair(&directory, "Test DEVELOPMENT", "rsa:2048", &[])
    })
}

/// `ddi` with other arguments than `build`'s.
pub fn ddi<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddi"));
    command.args(arguments);
    command
}

/// `ddi build` with the test tools in `PATH` and nothing in the environment that changes the result.
pub fn ddi_build<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddi"));
    command.arg("build").args(arguments).env("PATH", path()).env_remove("SOURCE_DATE_EPOCH");
    command
}

/// Builds with [`pair`] and gives the facts of `--json`.
pub fn build(input: &str, source: &Path, output: &Path, options: &[&str]) -> serde_json::Value {
    let Pair { key, certificate } = pair();
    let mut command = ddi_build([OsStr::new(input), source.as_os_str()]);
    command.arg("--key").arg(key).arg("--cert").arg(certificate).arg("--output").arg(output);
    serde_json::from_slice(&run(command.arg("--json").args(options))).unwrap()
}

/// stderr and exit status of a command that has to fail and to say nothing on stdout.
pub fn refusal(command: &mut Command) -> (String, Option<i32>) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), "");
    (String::from_utf8(stderr).unwrap(), status.code())
}

/// A file that passes for an erofs image of `blocks` blocks: a superblock, and noise.
pub fn noise_erofs(blocks: u32) -> Vec<u8> {
    let mut state = u64::from(blocks) | 1 << 40;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(blocks as usize * 512)
    .flatten()
    .collect();
    bytes[1024..1152].fill(0);
    bytes[1024..1028].copy_from_slice(&0xe0f5_e1e2_u32.to_le_bytes());
    bytes[1036] = 12;
    bytes[1060..1064].copy_from_slice(&blocks.to_le_bytes());
    bytes
}

/// A small tree with what a file system can have: directories, modes, links, a capability-less binary, an os-release.
pub fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("usr/lib/modules")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=test\nIMAGE_ID=example\nIMAGE_VERSION=1.2\n").unwrap();
    std::os::unix::fs::symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
    fs::write(root.join("usr/lib/large"), noise_erofs(40)).unwrap();
    fs::write(root.join("usr/lib/text"), "the same line again and again\n".repeat(4000)).unwrap();
    fs::hard_link(root.join("usr/lib/text"), root.join("usr/lib/linked")).unwrap();
    fs::write(root.join("usr/lib/empty"), "").unwrap();
    fs::set_permissions(root.join("usr/lib/empty"), fs::Permissions::from_mode(0o4755)).unwrap();
}

/// The places of the partitions in a report, and on the disk.
pub const SIGNATURE: usize = 0;
pub const ROOT: usize = 1;
pub const VERITY: usize = 2;

/// The bytes of a partition, by its place in the facts.
pub fn partition<'a>(image: &'a [u8], facts: &serde_json::Value, number: usize) -> &'a [u8] {
    let partition = &facts["partitions"][number];
    let at = |name: &str| usize::try_from(partition[name].as_u64().unwrap()).unwrap();
    &image[at("offset")..at("offset") + at("size")]
}

/// Writes a file into `directory` and gives its path.
pub fn write(directory: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    path
}
