// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each bad input, the exact words that refuse it, and that it leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod support;

use std::fs;
use std::path::Path;

use support::{Pair, ddi_build, directory, make_pair, make_tree, names, noise_erofs, pair, refusal, run, tool, write};

/// Runs `ddi build OPTIONS` in `directory` with the shared pair, expects exactly `ddi: EXPECTED`, and nothing new.
fn assert_refused(directory: &Path, options: &[&str], expected: &str) {
    let Pair { key, certificate } = pair();
    let keys = ["--key", key.to_str().unwrap(), "--cert", certificate.to_str().unwrap()];
    assert_refused_with(directory, &[&keys, options].concat(), expected);
}

fn assert_refused_with(directory: &Path, options: &[&str], expected: &str) {
    let before = names(directory);
    let mut ddi = ddi_build(options);
    if !options.contains(&"--output") {
        ddi.args(["--output", "out.raw"]);
    }
    assert_eq!(refusal(ddi.current_dir(directory)), (format!("ddi: {expected}\n"), Some(1)));
    assert_eq!(names(directory), before);
}

/// A noise image with one field changed.
fn erofs_with(directory: &Path, offset: usize, bytes: &[u8]) {
    let mut image = noise_erofs(4);
    image[offset..][..bytes.len()].copy_from_slice(bytes);
    write(directory, "erofs", image);
}

#[test]
fn inputs_that_are_not_there_or_of_another_kind() {
    let directory = directory();
    let directory = directory.path();
    fs::create_dir(directory.join("tree")).unwrap();
    write(directory, "file", "");
    for input in ["--tree", "--tar", "--erofs"] {
        assert_refused(directory, &[input, "none"], "none: cannot open: No such file or directory (os error 2)");
    }
    assert_refused(directory, &["--tree", "file"], "file: expected a directory");
    assert_refused(directory, &["--tar", "tree"], "tree: expected a regular file, found a directory");
    assert_refused(directory, &["--erofs", "tree"], "tree: expected a regular file, found a directory");
    assert_refused(
        directory,
        &["--erofs", "/dev/null"],
        "/dev/null: expected a regular file, found a character device",
    );
}

#[test]
fn erofs_images_that_are_none() {
    let directory = directory();
    let directory = directory.path();
    for size in [0, 4095, 5000] {
        write(directory, "erofs", vec![0; size]);
        let expected = format!(
            "erofs: not an erofs image: expected a size that is a positive multiple of 4096 bytes, found {size}"
        );
        assert_refused(directory, &["--erofs", "erofs"], &expected);
    }
    erofs_with(directory, 1024, b"hsqs");
    assert_refused(
        directory,
        &["--erofs", "erofs"],
        "erofs: not an erofs image: at byte 1024 expected the magic number 0xe0f5e1e2, found 0x73717368",
    );
    erofs_with(directory, 1036, &[9]);
    assert_refused(
        directory,
        &["--erofs", "erofs"],
        "erofs: at byte 1036 expected a block size of 2^12 (4096 bytes), found 2^9",
    );
    erofs_with(directory, 1110, &[2, 0]);
    assert_refused(
        directory,
        &["--erofs", "erofs"],
        "erofs: at byte 1110 expected 0 extra devices, found 2: a DDI holds its file system whole",
    );
    erofs_with(directory, 1060, &[5, 0, 0, 0]);
    assert_refused(
        directory,
        &["--erofs", "erofs"],
        "erofs: truncated: at byte 1060 the superblock counts 5 blocks (20480 bytes), found 16384 bytes",
    );
}

/// With `EROFS_FEATURE_INCOMPAT_48BIT` the block count has a second part; without it, the same bytes are another field.
#[test]
fn block_count_of_48_bits_is_read_only_where_the_feature_says_so() {
    let directory = directory();
    let directory = directory.path();
    let mut image = noise_erofs(4);
    image[1038..1040].copy_from_slice(&[1, 0]);
    let erofs = write(directory, "erofs", &image);
    support::build("--erofs", &erofs, &directory.join("built"), &[]);

    image[1104] = 0x80;
    write(directory, "erofs", &image);
    assert_refused(
        directory,
        &["--erofs", "erofs"],
        "erofs: truncated: at byte 1060 the superblock counts 4294967300 blocks (17592186060800 bytes), found 16384 bytes",
    );
}

#[test]
fn archives_that_mkfs_would_choke_on_or_mangle() {
    let directory = directory();
    let directory = directory.path();
    let tree = directory.join("tree");
    make_tree(&tree);
    fs::write(tree.join("sparse"), [&[0; 200_000][..], b"end"].concat()).unwrap();
    let tar = |options: &[&str]| {
        run(tool("tar").args(options).arg("-C").arg(&tree).arg("-cf").arg(directory.join("tar")).arg("sparse"));
    };
    for format in ["gnu", "pax"] {
        fs::File::options().write(true).open(tree.join("sparse")).unwrap().set_len(0).unwrap();
        fs::File::options().write(true).open(tree.join("sparse")).unwrap().set_len(300_000).unwrap();
        tar(&[&format!("--format={format}"), "--sparse"]);
        let offset = if format == "gnu" { 0 } else { 1024 };
        let expected = format!(
            "tar: at byte {offset} expected a file, directory, link, device or pipe, found a sparse file sparse"
        );
        assert_refused(directory, &["--tar", "tar"], &expected);
    }

    // mkfs.erofs 1.8.6 reads the end of this one for ever.
    tar(&["--format=gnu"]);
    let whole = fs::read(directory.join("tar")).unwrap();
    write(directory, "tar", &whole[..100_000]);
    assert_refused(
        directory,
        &["--tar", "tar"],
        "tar: truncated: at byte 512 expected 300000 bytes of sparse, found 99488",
    );
    write(directory, "tar", &whole[..301_056]);
    assert_refused(
        directory,
        &["--tar", "tar"],
        "tar: truncated: at byte 300544 expected a tar header or the end mark (1024 zero bytes), found 512 bytes",
    );
    let mut other = whole.clone();
    other[0] ^= 1;
    write(directory, "tar", other);
    assert_refused(
        directory,
        &["--tar", "tar"],
        "tar: at byte 0 expected a tar header: archive header checksum mismatch",
    );
    write(directory, "tar", "");
    assert_refused(
        directory,
        &["--tar", "tar"],
        "tar: truncated: at byte 0 expected a tar header or the end mark (1024 zero bytes), found 0 bytes",
    );
    write(directory, "tar", [0x1f, 0x8b, 8, 0]);
    assert_refused(
        directory,
        &["--tar", "tar"],
        "tar: at byte 0 expected an uncompressed tar archive, found gzip data: decompress it first",
    );
}

#[test]
fn outputs_that_cannot_be_replaced_or_lie_in_the_input() {
    let directory = directory();
    let directory = directory.path();
    let tree = directory.join("tree");
    make_tree(&tree);
    write(directory, "erofs", noise_erofs(1));
    std::os::unix::fs::symlink("erofs", directory.join("link")).unwrap();
    let erofs = ["--erofs", "erofs", "--output"];
    let to = |output| [&erofs[..], &[output]].concat();
    assert_refused(directory, &to("tree"), "tree: expected a regular file or nothing to replace, found a directory");
    assert_refused(
        directory,
        &to("link"),
        "link: expected a regular file or nothing to replace, found a symbolic link",
    );
    assert_refused(
        directory,
        &to("/dev/null"),
        "/dev/null: expected a regular file or nothing to replace, found a character device",
    );
    assert_refused(directory, &to(".."), "..: expected the name of a file to write");
    assert_refused(directory, &to("none/out"), "none: cannot open: No such file or directory (os error 2)");
    assert_refused(directory, &to("erofs"), "erofs: the output lies in the input erofs");
    assert_refused(directory, &to("tree/../erofs"), "tree/../erofs: the output lies in the input erofs");
    assert_refused(
        directory,
        &["--tree", "tree", "--output", "tree/usr/out"],
        "tree/usr/out: the output lies in the input tree",
    );
    assert_eq!(names(&tree.join("usr")), ["lib"]);
}

#[test]
fn trees_that_say_they_are_something_else() {
    let directory = directory();
    let directory = directory.path();
    let tree = directory.join("tree");
    make_tree(&tree);
    assert_refused(
        directory,
        &["--tree", "tree", "--image-id", "other"],
        "tree/etc/os-release: expected IMAGE_ID=other, found IMAGE_ID=example",
    );
    assert_refused(
        directory,
        &["--tree", "tree", "--image-id", "example", "--image-version", "1.20"],
        "tree/etc/os-release: expected IMAGE_VERSION=1.20, found IMAGE_VERSION=1.2",
    );
    // The link leads to the file inside the tree, whatever the machine it is built on says it is.
    fs::remove_file(tree.join("etc/os-release")).unwrap();
    std::os::unix::fs::symlink("/usr/lib/os-release", tree.join("etc/os-release")).unwrap();
    assert_refused(
        directory,
        &["--tree", "tree", "--image-id", "other"],
        "tree/etc/os-release: expected IMAGE_ID=other, found IMAGE_ID=example",
    );
    write(&tree, "usr/lib/os-release", "IMAGE_ID=a\nIMAGE_ID=b\n");
    assert_refused(
        directory,
        &["--tree", "tree"],
        "tree/etc/os-release: the boot stage would refuse this image: os-release: line 2: second IMAGE_ID",
    );
    fs::remove_file(tree.join("usr/lib/os-release")).unwrap();
    assert_refused(
        directory,
        &["--tree", "tree", "--image-version", "1.2"],
        "tree/usr/lib/os-release: expected IMAGE_VERSION=1.2, found none",
    );
}

/// A program that answers `-V` with `version`, and otherwise does what `body` says.
fn fake_mkfs(directory: &Path, version: &str, body: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let script = format!("#!/bin/sh\nif [ \"$1\" = -V ]; then echo '{version}'; exit; fi\n{body}\n");
    let path = write(directory, "mkfs", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn mkfs_that_is_missing_too_old_something_else_or_fails() {
    let directory = directory();
    let directory = directory.path();
    make_tree(&directory.join("tree"));
    let with = |program: &str, expected: &str| {
        assert_refused(directory, &["--tree", "tree", "--mkfs-erofs", program], expected);
    };
    with("no-mkfs", "no-mkfs: not found: install erofs-utils 1.8 or newer, or name the program with --mkfs-erofs PATH");
    let program = fake_mkfs(directory, "mkfs.erofs 1.5", "exit 0");
    with(&program, &format!("{program}: expected erofs-utils 1.8 or newer, found mkfs.erofs 1.5"));
    let program = fake_mkfs(directory, "mke2fs 1.47.0", "exit 0");
    with(
        &program,
        &format!("{program}: expected `-V` to answer \"mkfs.erofs (erofs-utils) VERSION\", found \"mke2fs 1.47.0\""),
    );
    let program = fake_mkfs(directory, "mkfs.erofs (erofs-utils) 1.8.6", "echo no space left >&2; exit 3");
    with(&program, &format!("{program}: failed on tree (exit status: 3): no space left"));
    // The image that is then not there has a name that changes, so only the end of the words is compared.
    let program = fake_mkfs(directory, "mkfs.erofs (erofs-utils) 1.8.6", "exit 0");
    let Pair { key, certificate } = pair();
    let mut ddi = ddi_build(["--tree", "tree", "--output", "out", "--mkfs-erofs", &program]);
    ddi.current_dir(directory).arg("--key").arg(key).arg("--cert").arg(certificate);
    let (words, status) = refusal(&mut ddi);
    assert!(words.ends_with("/root.erofs: cannot open: No such file or directory (os error 2)\n"), "{words}");
    assert_eq!(status, Some(1));
    assert_eq!(names(directory), ["mkfs", "tree"]);
}

#[test]
fn file_that_was_there_before_survives_a_failed_build_and_is_replaced_by_a_good_one() {
    let directory = directory();
    let directory = directory.path();
    write(directory, "erofs", vec![0; 4096]);
    let output = write(directory, "out.raw", "before");
    assert_refused(
        directory,
        &["--erofs", "erofs"],
        "erofs: not an erofs image: at byte 1024 expected the magic number 0xe0f5e1e2, found 0x00000000",
    );
    assert_eq!(fs::read(&output).unwrap(), b"before");
    let erofs = write(directory, "erofs", noise_erofs(1));
    let facts = support::build("--erofs", &erofs, &output, &[]);
    assert_eq!(fs::metadata(&output).unwrap().len(), facts["size"].as_u64().unwrap());
    assert_eq!(names(directory), ["erofs", "out.raw"]);
}

#[test]
fn key_of_another_certificate() {
    let directory = directory();
    let directory = directory.path();
    write(directory, "erofs", noise_erofs(1));
    make_pair(directory, "a", "rsa:2048", &[]);
    make_pair(directory, "b", "rsa:2048", &[]);
    let digest = |name: &str| {
        let path = directory.join(name);
        let public = run(tool("openssl").args(["pkey", "-pubout", "-outform", "der", "-in"]).arg(path));
        ddi::signature::hex(&<sha2::Sha256 as sha2::Digest>::digest(public))
    };
    let expected = format!(
        "b.key: the key does not belong to the certificate a.pem: expected the public key with SHA-256 {}, found {}",
        digest("a.key"),
        digest("b.key")
    );
    assert_refused_with(directory, &["--erofs", "erofs", "--key", "b.key", "--cert", "a.pem"], &expected);
}

#[test]
fn key_that_would_be_in_the_image() {
    let directory = directory();
    let directory = directory.path();
    make_tree(&directory.join("tree"));
    make_pair(directory, "a", "rsa:2048", &[]);
    fs::rename(directory.join("a.key"), directory.join("tree/etc/a.key")).unwrap();
    assert_refused_with(
        directory,
        &["--tree", "tree", "--key", "tree/etc/a.key", "--cert", "a.pem"],
        "tree/etc/a.key: the private key lies in the tree tree and would be in the image",
    );
}

#[test]
fn command_line_mistakes_end_with_status_2() {
    for (options, expected) in [
        (&["--erofs", "e"][..], "error: the following required arguments were not provided:"),
        (&["--key", "k", "--cert", "c", "-o", "o"], "error: the following required arguments were not provided:"),
        (
            &["--tree", "t", "--erofs", "e", "--key", "k", "--cert", "c", "-o", "o"],
            "error: the argument '--tree <DIR>' cannot be used with '--erofs <FILE>'",
        ),
        (
            &["--tar", "t", "--image-id", "i", "--key", "k", "--cert", "c", "-o", "o"],
            "error: the argument '--tar <FILE>' cannot be used with '--image-id <NAME>'",
        ),
        (
            &["--erofs", "e", "--compress", "none", "--key", "k", "--cert", "c", "-o", "o"],
            "error: the argument '--erofs <FILE>' cannot be used with '--compress <HOW>'",
        ),
        (
            &["--erofs", "e", "--salt", "abc", "--key", "k", "--cert", "c", "-o", "o"],
            "error: invalid value 'abc' for '--salt <HEX>': expected an even number of hexadecimal digits, found 3",
        ),
        (
            &["--tree", "t", "--source-date-epoch", "now", "--key", "k", "--cert", "c", "-o", "o"],
            "error: invalid value 'now' for '--source-date-epoch <SECONDS>': invalid digit found in string",
        ),
    ] {
        let (words, status) = refusal(&mut ddi_build(options));
        assert_eq!(words.lines().next(), Some(expected));
        assert_eq!(status, Some(2));
    }
}
