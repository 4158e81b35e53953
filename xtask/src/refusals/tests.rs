// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines as tests leave them, and the rows they become.

#![allow(clippy::unwrap_used)]

use super::*;

fn of(lines: &[&str]) -> BTreeSet<Row> {
    lines.iter().map(|line| row(line, "boot").unwrap()).collect()
}

#[test]
fn rows_are_in_the_order_of_the_reasons_and_without_doubles() {
    let rows = of(&[
        "image_of_another_id_is_refused\timage-id\tvda1\tos-release has IMAGE_ID=a, expected b",
        "unsigned_image_is_refused\tunsigned\tvda1\tddi: no root-verity-sig partition",
        "unsigned_image_is_refused\tunsigned\tvda2\tddi: no root-verity-sig partition",
    ]);
    let table = render(&rows);
    let lines: Vec<&str> = table.strip_prefix(HEAD).unwrap().lines().take(2).collect();
    assert_eq!(
        lines,
        [
            "| unsigned image | storage-init: verify | `unsigned` | `ddi: no root-verity-sig partition` | boot |",
            "| image of another id | storage-init: activate | `image-id` | `os-release has IMAGE_ID=a, expected b` | boot |",
        ]
    );
}

#[test]
fn what_differs_from_run_to_run_is_normalised() {
    let hash = "0123456789abcdef".repeat(4);
    for (detail, expected) in [
        (format!("root hash says {hash}, found none"), "root hash says HASH, found none"),
        ("checksum 00f1e2d3c4b5a697…, computed 0123456789012345…".into(), "checksum SUM…, computed SUM…"),
        ("root partition is 0f0e0d0c-1111-2222-3333-444455556666, no".into(), "root partition is UUID, no"),
        ("of the key of /w/rust/target/tmp/pair-verify/key.pem".into(), "of the key of key.pem"),
        ("file system of 3313664 bytes, 1 of 4096 blocks".into(), "file system of N bytes, 1 of 4096 blocks"),
        (
            "the kernel rejected the signature: Bad message (os error 74)".into(),
            "the kernel rejected the signature: Invalid argument (os error 22) or Bad message (os error 74)",
        ),
        (
            "the kernel rejected the signature: Key was rejected by service (os error 129)".into(),
            "the kernel rejected the signature: Key was rejected by service (os error 129)",
        ),
        ("init /sbin/init, block 1 at byte 4096".into(), "init /sbin/init, block 1 at byte 4096"),
    ] {
        assert_eq!(normalised(&detail), expected);
    }
}

#[test]
fn an_errno_is_the_kernel_speaking() {
    let refuser = |reason, device, detail| refuser(reason, device, detail, "boot");
    let rejected = "the signature does not fit: Key was rejected by service (os error 129)";
    assert_eq!(refuser(Reason::SignatureRejected, "vda1", rejected), "kernel: dm-verity, at table load");
    assert_eq!(refuser(Reason::SignatureRejected, "vda1", "it does not fit"), "storage-init: verify");
    let mount = "mount: Invalid argument (os error 22)";
    assert_eq!(refuser(Reason::FileSystem, "vda1", mount), "kernel: vfat");
    assert_eq!(refuser(Reason::FileSystem, "vda1:/initoverlayfs/a_1.raw", mount), "kernel: erofs");
}

#[test]
fn a_line_that_is_none_and_a_reason_without_a_test_are_errors() {
    assert_eq!(
        row("test\tunsigned\tvda1", "boot").unwrap_err().to_string(),
        "expected test, reason, device and detail"
    );
    assert_eq!(row("test\tno-such\tvda1\t", "boot").unwrap_err().to_string(), "no reason is called no-such");
    let error = require_every_reason(&of(&["test\tunsigned\tvda1\t"])).unwrap_err();
    assert_eq!(error.to_string(), "no test is refused for config-invalid");
}
