// SPDX-License-Identifier: MIT OR Apache-2.0
//! What we build is what veritysetup, erofs-utils, openssl and sfdisk make or accept.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics"
)]

mod support;

use std::fs;
use std::path::Path;

use base64ct::{Base64, Encoding};
use support::{
    Pair, ROOT, SIGNATURE, VERITY, build, ddi_build, directory, make_pair, make_tree, noise_erofs, partition, run,
    tool, write,
};

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

/// PKCS#7 of an image's signature partition.
fn pkcs7(image: &[u8], facts: &serde_json::Value) -> Vec<u8> {
    let partition = partition(image, facts, SIGNATURE);
    let end = partition.iter().position(|byte| *byte == 0).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&partition[..end]).unwrap();
    assert_eq!(json["rootHash"], facts["root_hash"]);
    assert_eq!(json["certificateFingerprint"], facts["signer"]["sha256"]);
    Base64::decode_vec(text(&json["signature"])).unwrap()
}

#[test]
fn image_of_a_tree_is_accepted_by_every_tool() {
    let directory = directory();
    let (tree, image_path) = (directory.path().join("tree"), directory.path().join("example_1.2.raw"));
    make_tree(&tree);
    let facts = build("--tree", &tree, &image_path, &["--image-id=example", "--image-version=1.2"]);
    let image = fs::read(&image_path).unwrap();
    assert_eq!(facts["size"], image.len());
    assert_eq!(facts["image_id"], "example");
    assert_eq!(facts["image_version"], "1.2");
    assert_eq!(facts["signer"]["development"], true);
    let root_hash = text(&facts["root_hash"]);

    let verified = String::from_utf8(run(tool("sfdisk").arg("--verify").arg(&image_path))).unwrap();
    assert!(verified.contains("No errors detected."), "{verified}");

    let root = write(directory.path(), "root", partition(&image, &facts, ROOT));
    let offset = facts["partitions"][VERITY]["offset"].to_string();
    run(tool("veritysetup").arg("verify").arg(&root).arg(&image_path).arg(root_hash).arg("--hash-offset").arg(offset));
    run(tool("fsck.erofs").arg(&root));

    let pair = support::pair();
    let signature = write(directory.path(), "signature", pkcs7(&image, &facts));
    let signed = write(directory.path(), "signed", root_hash);
    for command in ["cms", "smime"] {
        let arguments = [command, "-verify", "-binary", "-inform", "der", "-purpose", "any", "-in"];
        let mut openssl = tool("openssl");
        openssl.args(arguments).arg(&signature).arg("-content").arg(&signed);
        openssl.arg("-certfile").arg(&pair.certificate).arg("-CAfile").arg(&pair.certificate);
        assert_eq!(run(&mut openssl), root_hash.as_bytes());
    }
}

#[test]
fn fingerprint_is_what_openssl_says() {
    let directory = directory();
    let erofs = write(directory.path(), "erofs", noise_erofs(1));
    let facts = build("--erofs", &erofs, &directory.path().join("out"), &[]);
    let certificate = &support::pair().certificate;
    let line = run(tool("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(certificate));
    let line = String::from_utf8(line).unwrap().replace(':', "").to_lowercase();
    assert!(line.trim().ends_with(text(&facts["signer"]["sha256"])), "{line}");
}

/// One block, whole and partly filled hash blocks, and three levels, each with another salt: the bytes of the whole
/// partition are those of `veritysetup format`.
#[test]
fn hash_trees_of_every_shape_are_those_of_veritysetup() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let salts = ["-", "00", "ab0cd1", &"5a".repeat(32), &"77".repeat(256)];
    for (blocks, salt) in [1, 2, 127, 128, 129, 255, 257, 16384, 16385].into_iter().zip(salts.into_iter().cycle()) {
        let erofs = write(directory.path(), "erofs", noise_erofs(blocks));
        let facts = build("--erofs", &erofs, &path("out"), &["--salt", salt]);
        let image = fs::read(path("out")).unwrap();
        assert!(partition(&image, &facts, ROOT) == fs::read(&erofs).unwrap(), "{blocks} blocks");

        let ours = partition(&image, &facts, VERITY);
        let uuid = boot_formats::Guid::from_uuid_bytes(ours[16..32].try_into().unwrap()).to_string();
        let _ = fs::remove_file(path("theirs"));
        let mut format = tool("veritysetup");
        format.arg("format").arg(&erofs).arg(path("theirs")).arg(format!("--salt={salt}"));
        let said = String::from_utf8(run(format.arg(format!("--uuid={uuid}")))).unwrap();
        let root_hash = said.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim().to_owned();
        assert_eq!(text(&facts["root_hash"]), root_hash, "{blocks} blocks, salt {salt}");
        // A single data block has no tree: veritysetup writes no more than its superblock then.
        let theirs = fs::read(path("theirs")).unwrap();
        let (theirs_padded, padding) = ours.split_at(theirs.len().min(ours.len()));
        assert!(theirs == theirs_padded && padding.iter().all(|byte| *byte == 0), "{blocks} blocks, salt {salt}");
    }
}

/// `openssl smime -sign -nocerts -noattr -binary` is what the kernel's documentation signs with.
fn assert_signature_is_that_of_openssl(directory: &Path, pair: &Pair) {
    let erofs = write(directory, "erofs", noise_erofs(3));
    let output = directory.join("out");
    let mut ddi = ddi_build(["--erofs"]);
    ddi.arg(&erofs).arg("--key").arg(&pair.key).arg("--cert").arg(&pair.certificate).arg("--output").arg(&output);
    let facts: serde_json::Value = serde_json::from_slice(&run(ddi.arg("--json"))).unwrap();
    let signed = write(directory, "signed", text(&facts["root_hash"]));
    let mut openssl = tool("openssl");
    openssl.args(["smime", "-sign", "-nocerts", "-noattr", "-binary", "-outform", "der", "-signer"]);
    let theirs = run(openssl.arg(&pair.certificate).arg("-inkey").arg(&pair.key).arg("-in").arg(&signed));
    assert_eq!(pkcs7(&fs::read(&output).unwrap(), &facts), theirs);
}

#[test]
fn signature_by_a_key_of_each_size_is_that_of_openssl() {
    let directory = directory();
    for bits in [2048, 3072, 4096] {
        let pair = make_pair(directory.path(), &format!("rsa-{bits}"), &format!("rsa:{bits}"), &[]);
        assert_signature_is_that_of_openssl(directory.path(), &pair);
    }
}

#[test]
fn signature_by_a_pkcs1_key_is_that_of_openssl() {
    let directory = directory();
    let Pair { key, certificate } = make_pair(directory.path(), "traditional", "rsa:2048", &[]);
    let pkcs1 = directory.path().join("pkcs1.key");
    run(tool("openssl").args(["rsa", "-traditional", "-in"]).arg(key).arg("-out").arg(&pkcs1));
    assert!(fs::read_to_string(&pkcs1).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    assert_signature_is_that_of_openssl(directory.path(), &Pair { key: pkcs1, certificate });
}

#[test]
fn signature_that_names_a_long_issuer_and_a_serial_with_its_high_bit_set_is_that_of_openssl() {
    let directory = directory();
    let subject = "/C=DE/O=Bj\u{f6}rn & S\u{f6}hne/OU=Platform+CN=Release 7/emailAddress=release@example.com";
    let options = ["-utf8", "-subj", subject, "-set_serial", "0xf0123456789abcdef0123456789abcdef0"];
    let pair = make_pair(directory.path(), "long", "rsa:2048", &options);
    assert_signature_is_that_of_openssl(directory.path(), &pair);
}

#[test]
fn signature_by_a_certificate_that_an_authority_issued_is_that_of_openssl() {
    let directory = directory();
    let authority = make_pair(directory.path(), "authority", "rsa:2048", &[]);
    let options = ["-CA", authority.certificate.to_str().unwrap(), "-CAkey", authority.key.to_str().unwrap()];
    let pair = make_pair(directory.path(), "issued", "rsa:2048", &options);
    assert_signature_is_that_of_openssl(directory.path(), &pair);
}

/// A certificate is a pin. No clock is asked, so that a build today and one in ten years give the same bytes.
#[test]
fn expired_certificate_signs() {
    let directory = directory();
    let pair = make_pair(directory.path(), "expired", "rsa:2048", &[]);
    // Of all of openssl's commands only `ca` takes dates in the past in every version.
    let path = |name: &str| directory.path().join(name);
    let (database, serial, request) = (path("database"), path("serial"), path("request"));
    let configuration = format!(
        "[ca]\ndefault_ca = tests\n[tests]\ndatabase = {}\nserial = {}\nnew_certs_dir = {}\npolicy = any\n\
         [any]\ncommonName = supplied\n",
        database.display(),
        serial.display(),
        directory.path().display()
    );
    let configuration = write(directory.path(), "configuration", configuration);
    write(directory.path(), "database", "");
    write(directory.path(), "serial", "01\n");
    let mut openssl = tool("openssl");
    run(openssl.args(["req", "-new", "-subj", "/CN=expired", "-key"]).arg(&pair.key).arg("-out").arg(&request));
    let mut openssl = tool("openssl");
    openssl.args(["ca", "-batch", "-selfsign", "-notext", "-md", "sha256", "-config"]).arg(configuration);
    openssl.args(["-startdate", "20010101000000Z", "-enddate", "20020101000000Z", "-keyfile"]).arg(&pair.key);
    run(openssl.arg("-in").arg(&request).arg("-out").arg(&pair.certificate));
    assert_signature_is_that_of_openssl(directory.path(), &pair);
}

/// Key and certificate in one file, with openssl's text between them.
#[test]
fn key_and_certificate_may_lie_in_one_file() {
    let directory = directory();
    let Pair { key, certificate } = make_pair(directory.path(), "both", "rsa:2048", &[]);
    let certificate_text = run(tool("openssl").args(["x509", "-text", "-in"]).arg(certificate));
    let both = write(directory.path(), "both", [fs::read(key).unwrap(), certificate_text].concat());
    assert_signature_is_that_of_openssl(directory.path(), &Pair { key: both.clone(), certificate: both });
}
