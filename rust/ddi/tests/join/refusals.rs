// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures and images that are not taken, and the exact words. Each is tried into a new file and in place: neither
//! leaves a file, nor changes one.

use std::fs;

use crate::support::{VERITY, ddi, ddi_build, noise_erofs, refusal, run, tool, write};
use crate::workshop::{BARE, Workshop};

const REFUSED: &str = "p7: the boot stage would refuse this signature of the root hash ROOT_HASH by";

fn assert_signature_refused(workshop: &Workshop, certificate: &str, words: &str) {
    workshop.assert_refused(certificate, &format!("{REFUSED} {certificate}: {words}"));
}

fn workshop() -> Workshop {
    let workshop = Workshop::new(300);
    workshop.pair("good", "rsa:2048", &[]);
    workshop
}

#[test]
fn signature_by_another_key() {
    let workshop = workshop();
    workshop.pair("other", "rsa:2048", &[]);
    workshop.sign("other", "hash", &BARE);
    assert_signature_refused(&workshop, "good.pem", "the signer is another certificate");
}

/// Same name, same serial number: only the signature itself tells.
#[test]
fn signature_by_an_impostor() {
    let workshop = workshop();
    let serial =
        run(tool("openssl").args(["x509", "-noout", "-serial", "-in", "good.pem"]).current_dir(workshop.path()));
    let serial = String::from_utf8(serial).unwrap().trim().replace("serial=", "0x");
    workshop.pair("impostor", "rsa:2048", &["-subj", "/CN=good", "-set_serial", &serial]);
    workshop.sign("impostor", "hash", &BARE);
    assert_signature_refused(&workshop, "good.pem", "the certificate's key did not sign this root hash");
}

#[test]
fn signature_of_another_image_or_of_other_bytes() {
    let workshop = workshop();
    let other = Workshop::new(301);
    let rejected = "the certificate's key did not sign this root hash";
    write(workshop.path(), "other", other.root_hash());
    // What an editor, `echo` and the wrong letter case make of the right digits.
    write(workshop.path(), "line", format!("{}\n", workshop.root_hash()));
    write(workshop.path(), "capitals", workshop.root_hash().to_uppercase());
    for input in ["other", "line", "capitals", "unsigned"] {
        workshop.sign("good", input, &BARE);
        assert_signature_refused(&workshop, "good.pem", rejected);
    }
}

#[test]
fn signature_in_another_form() {
    let workshop = workshop();
    workshop.pair("other", "rsa:2048", &[]);
    for (options, words) in [
        (&["-nocerts", "-outform", "der"][..], "pkcs7: signed attributes, expected a bare signature"),
        (
            &["-nocerts", "-noattr", "-nodetach", "-outform", "der"],
            "pkcs7: not detached: the signed contents are inside",
        ),
        (
            &["-nocerts", "-noattr", "-outform", "der", "-md", "sha1"],
            "pkcs7: digest algorithm 1.3.14.3.2.26, expected SHA-256, SHA-384 or SHA-512",
        ),
        (
            &["-nocerts", "-noattr", "-outform", "der", "-signer", "other.pem", "-inkey", "other.key"],
            "pkcs7: 2 signers, expected 1",
        ),
        (
            &["-noattr", "-outform", "der", "-certfile", "other.pem"],
            "pkcs7: a list of 2 embedded certificates, expected 1 or no list",
        ),
    ] {
        workshop.sign("good", "hash", options);
        assert_signature_refused(&workshop, "good.pem", words);
    }
    workshop.openssl(&[
        "cms", "-sign", "-binary", "-nocerts", "-noattr", "-keyid", "-outform", "der", "-in", "hash", "-out", "p7",
        "-signer", "good.pem", "-inkey", "good.key",
    ]);
    let words = "pkcs7: signer named by key identifier, expected issuer and serial number";
    assert_signature_refused(&workshop, "good.pem", words);
}

#[test]
fn signature_that_is_cut_or_none() {
    let workshop = workshop();
    workshop.sign("good", "hash", &BARE);
    let der = fs::read(workshop.path().join("p7")).unwrap();
    let (have, need) = (der.len() - 10, der.len());
    write(workshop.path(), "p7", &der[..have]);
    let words = format!("pkcs7: der: out of range at byte 4: need {}, have {}", need - 4, have - 4);
    assert_signature_refused(&workshop, "good.pem", &words);

    let text = "-----BEGIN PKCS7-----\nMAMC\n";
    write(workshop.path(), "p7", text);
    workshop.assert_refused(
        "good.pem",
        "p7: the PEM block at byte 0 is malformed: PEM error in pre-encapsulation boundary",
    );
    for (bytes, words) in [
        (&b""[..], "expected a PEM block \"PKCS7\", found no PEM block at all"),
        (b"\xff\xfe", "expected PEM text, found a byte that is no UTF-8 at byte 0"),
    ] {
        write(workshop.path(), "p7", bytes);
        workshop.assert_refused("good.pem", &format!("p7: {words}"));
    }
    fs::remove_file(workshop.path().join("p7")).unwrap();
    workshop.assert_refused("good.pem", "p7: cannot open: No such file or directory (os error 2)");
}

#[test]
fn image_that_is_signed_already() {
    let workshop = workshop();
    workshop.sign("good", "hash", &BARE);
    run(&mut workshop.join("good.pem", &["--in-place"]));
    workshop.assert_refused("good.pem", "unsigned: the image is signed already");
}

#[test]
fn image_that_ddi_build_did_not_leave_unsigned() {
    let workshop = workshop();
    let path = workshop.path().join("unsigned");
    workshop.sign("good", "hash", &BARE);
    let image = fs::read(&path).unwrap();
    let verity = usize::try_from(tree_offset(&workshop)).unwrap();
    let assert_refused = |edit: &dyn Fn(&mut Vec<u8>), words: &str| {
        let mut edited = image.clone();
        edit(&mut edited);
        fs::write(&path, edited).unwrap();
        workshop.assert_refused("good.pem", &format!("unsigned: {words}"));
    };
    // The block whose digest is the root hash.
    let words = "the topmost block of the hash tree is not that of the root hash ROOT_HASH";
    assert_refused(&|bytes| bytes[verity + 4096] ^= 1, words);
    assert_refused(&|bytes| bytes[verity + 8] ^= 1, "verity: superblock version 0, expected 1");
    assert_refused(&|bytes| bytes.clear(), "gpt: disk of 0 bytes, need 3072");

    // Signed once, and the signature partition deleted by another tool: its place is not known to be free.
    fs::write(&path, &image).unwrap();
    run(&mut workshop.join("good.pem", &["--in-place"]));
    run(tool("sfdisk").args(["--quiet", "--delete", "unsigned", "3"]).current_dir(workshop.path()));
    let words = "expected an image that `ddi build --unsigned-out` made: ddi: no root-verity partition";
    workshop.assert_refused("good.pem", &format!("unsigned: {words}"));
}

/// An image of another tool has no place for the signature before its data.
#[test]
fn image_with_another_layout() {
    let workshop = workshop();
    workshop.sign("good", "hash", &BARE);
    let image = fs::read(workshop.path().join("unsigned")).unwrap();
    // The tree's partition begins one block later, as if the place for the signature were larger.
    let (offset, size) = (tree_offset(&workshop), workshop.facts["partitions"][VERITY]["size"].as_u64().unwrap());
    let line = format!("start={}, size={}", offset / 512 + 8, size / 512 - 8);
    let script = format!("echo '{line}' | sfdisk --quiet --no-tell-kernel -N 2 unsigned");
    run(tool("sh").args(["-c", &script]).current_dir(workshop.path()));
    let words = format!(
        "unsigned: expected an image that `ddi build --unsigned-out` made: root-verity partition of {} bytes at \
         {offset}, found {} bytes at {}",
        size - 4096,
        size - 4096,
        offset + 4096
    );
    workshop.assert_refused("good.pem", &words);

    let mut longer = image[..image.len() - 33 * 512].to_vec();
    longer.resize(image.len() + (1 << 20), 0);
    write(workshop.path(), "unsigned", longer);
    // Moves the backup table to the new end, and leaves the partitions where they are.
    run(tool("sfdisk").args(["--quiet", "--relocate", "gpt-bak-std", "unsigned"]).current_dir(workshop.path()));
    let (size, found) = (image.len(), image.len() + (1 << 20));
    let words =
        format!("unsigned: expected an image that `ddi build --unsigned-out` made: {size} bytes, found {found}");
    workshop.assert_refused("good.pem", &words);
}

fn tree_offset(workshop: &Workshop) -> u64 {
    workshop.facts["partitions"][VERITY]["offset"].as_u64().unwrap()
}

#[test]
fn command_line_that_is_wrong() {
    let workshop = workshop();
    write(workshop.path(), "erofs", noise_erofs(1));
    let build = |options: &[&str]| {
        let (text, status) = refusal(ddi_build(["--erofs", "erofs"]).args(options).current_dir(workshop.path()));
        assert_eq!(status, Some(2));
        text
    };
    let missing = "error: the following required arguments were not provided:\n";
    for (options, words) in [
        (&["--key", "good.key", "--output", "out"][..], format!("{missing}  --cert <FILE>\n")),
        (&["--cert", "good.pem", "--output", "out"], format!("{missing}  --key <FILE>\n")),
        (&["--output", "out"], format!("{missing}  --key <FILE>\n  --cert <FILE>\n")),
        (
            &["--key", "good.key", "--cert", "good.pem", "--output", "out", "--to-sign", "digits"],
            "error: the argument '--key <FILE>' cannot be used with '--to-sign <FILE>'\n".to_owned(),
        ),
        (
            &["--unsigned-out", "out", "--key", "good.key"],
            "error: the argument '--unsigned-out <FILE>' cannot be used with '--key <FILE>'\n".to_owned(),
        ),
        (
            &["--unsigned-out", "out", "--output", "out"],
            "error: the argument '--unsigned-out <FILE>' cannot be used with '--output <FILE>'\n".to_owned(),
        ),
    ] {
        let text = build(options);
        assert!(text.starts_with(&words), "{options:?}: {text}");
    }
    let same = ["--erofs", "erofs", "--unsigned-out", "same", "--to-sign", "./same"];
    let expected = "ddi: ./same: expected another file than that of the image\n".to_owned();
    assert_eq!(refusal(ddi_build(same).current_dir(workshop.path())), (expected, Some(1)));

    workshop.sign("good", "hash", &BARE);
    let join = |options: &[&str]| refusal(&mut workshop.join("good.pem", options));
    let (text, status) = join(&[]);
    assert!(text.starts_with(&format!("{missing}  --output <FILE>\n")), "{text}");
    assert_eq!(status, Some(2));
    let (text, _) = join(&["--output", "out", "--in-place"]);
    let words = "error: the argument '--output <FILE>' cannot be used with '--in-place'\n";
    assert!(text.starts_with(words), "{text}");
    let expected = "ddi: unsigned: the output lies in the input unsigned\n".to_owned();
    assert_eq!(join(&["--output", "unsigned"]), (expected, Some(1)));
    let directory = ddi(["join-signature", ".", "--signature", "p7", "--cert", "good.pem", "--output", "out"]);
    let expected = "ddi: .: expected a regular file or a block device, found a directory\n".to_owned();
    assert_eq!(refusal({ directory }.current_dir(workshop.path())), (expected, Some(1)));
}
