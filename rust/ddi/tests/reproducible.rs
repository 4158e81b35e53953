// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same input gives the same bytes, wherever, whenever and by how many threads it is packed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::thread::{CpuSet, sched_setaffinity};
use support::{Pair, build, ddi_build, directory, make_tree, pair, run, tool};

fn image_of(input: &str, source: &Path, output: &Path, options: &[&str]) -> Vec<u8> {
    build(input, source, output, options);
    fs::read(output).unwrap()
}

#[test]
fn second_build_under_another_name_elsewhere_gives_the_same_bytes() {
    let (here, there) = (directory(), directory());
    let tree = here.path().join("tree");
    make_tree(&tree);
    let first = image_of("--tree", &tree, &here.path().join("first"), &[]);
    let second = image_of("--tree", &tree, &there.path().join("second_9"), &[]);
    assert!(first == second);
}

/// A copy differs in inode numbers, in the order of its directories, and in its times.
#[test]
fn copy_made_in_another_order_at_another_time_gives_the_same_bytes() {
    let directory = directory();
    let (tree, copy) = (directory.path().join("tree"), directory.path().join("copy"));
    make_tree(&tree);
    fs::create_dir_all(copy.join("usr/lib")).unwrap();
    fs::write(copy.join("usr/lib/zzz"), "").unwrap();
    let mut names = support::names(&tree.join("usr/lib"));
    names.reverse();
    for name in names {
        let (from, to) = (tree.join("usr/lib").join(&name), copy.join("usr/lib"));
        if name != "linked" {
            run(tool("cp").arg("-R").arg("--preserve=mode").arg(from).arg(to));
        }
    }
    fs::hard_link(copy.join("usr/lib/text"), copy.join("usr/lib/linked")).unwrap();
    run(tool("cp").args(["-R", "-P", "--preserve=mode"]).arg(tree.join("etc")).arg(&copy));
    fs::remove_file(copy.join("usr/lib/zzz")).unwrap();
    let last_century = SystemTime::UNIX_EPOCH + Duration::from_secs(915_148_800);
    File::open(copy.join("usr/lib/large")).unwrap().set_modified(last_century).unwrap();

    let first = image_of("--tree", &tree, &directory.path().join("first"), &[]);
    let second = image_of("--tree", &copy, &directory.path().join("second"), &[]);
    assert!(first == second);
}

#[test]
fn tar_archive_of_a_tree_gives_the_bytes_of_the_tree() {
    let directory = directory();
    let (tree, archive) = (directory.path().join("tree"), directory.path().join("tree.tar"));
    make_tree(&tree);
    for format in ["gnu", "pax"] {
        run(tool("tar").arg(format!("--format={format}")).arg("-C").arg(&tree).arg("-cf").arg(&archive).arg("."));
        let first = image_of("--tree", &tree, &directory.path().join("first"), &[]);
        let second = image_of("--tar", &archive, &directory.path().join("second"), &[]);
        assert!(first == second, "{format}");
    }
}

#[test]
fn one_processor_gives_the_bytes_of_many() {
    let directory = directory();
    let tree = directory.path().join("tree");
    make_tree(&tree);
    let many = image_of("--tree", &tree, &directory.path().join("many"), &[]);
    // For this thread, and so for what it starts.
    let mut processors = CpuSet::new();
    processors.set(0);
    sched_setaffinity(None, &processors).unwrap();
    let one = image_of("--tree", &tree, &directory.path().join("one"), &[]);
    assert!(many == one);
}

#[test]
fn source_date_epoch_is_the_time_of_everything_and_comes_from_the_environment_too() {
    let directory = directory();
    let tree = directory.path().join("tree");
    make_tree(&tree);
    let epoch = |name: &str, options: &[&str]| image_of("--tree", &tree, &directory.path().join(name), options);
    let (zero, later) = (epoch("zero", &[]), epoch("later", &["--source-date-epoch=1700000000"]));
    assert!(zero == epoch("explicit", &["--source-date-epoch=0"]));
    assert!(zero != later);

    let Pair { key, certificate } = pair();
    let mut ddi = ddi_build(["--tree"]);
    ddi.arg(&tree).arg("--key").arg(key).arg("--cert").arg(certificate);
    run(ddi.arg("--output").arg(directory.path().join("environment")).env("SOURCE_DATE_EPOCH", "1700000000"));
    assert!(later == fs::read(directory.path().join("environment")).unwrap());
}

/// What the file system says decides all other bytes, and another content gives another salt.
#[test]
fn finished_erofs_image_gives_the_bytes_of_its_tree() {
    let directory = directory();
    let tree = directory.path().join("tree");
    make_tree(&tree);
    let facts = build("--tree", &tree, &directory.path().join("first"), &[]);
    let first = fs::read(directory.path().join("first")).unwrap();
    let erofs = support::write(directory.path(), "erofs", support::partition(&first, &facts, support::ROOT));
    assert!(first == image_of("--erofs", &erofs, &directory.path().join("second"), &[]));

    fs::write(tree.join("usr/lib/more"), "more").unwrap();
    let other = build("--tree", &tree, &directory.path().join("third"), &[]);
    assert_ne!(facts["salt"], other["salt"]);
    assert_ne!(facts["root_hash"], other["root_hash"]);
}

#[test]
fn compression_is_what_was_asked_for() {
    let directory = directory();
    let tree = directory.path().join("tree");
    make_tree(&tree);
    let size = |name: &str, options: &[&str]| image_of("--tree", &tree, &directory.path().join(name), options).len();
    let default = size("default", &[]);
    assert_eq!(default, size("lz4hc", &["--compress=lz4hc"]));
    assert!(default < size("none", &["--compress=none"]));
    size("zstd", &["--compress=zstd"]);
}
