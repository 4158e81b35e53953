// SPDX-License-Identifier: MIT OR Apache-2.0
//! Key and certificate files that cannot sign, and the exact words that refuse them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod support;

use std::fs;
use std::path::Path;

use support::{ddi_build, directory, make_pair, noise_erofs, refusal, run, tool, write};

/// A directory with an image and the pairs the tests need: "good" (RSA-2048) and what else is asked for.
fn workshop(pairs: &[(&str, &str, &[&str])]) -> tempfile::TempDir {
    let directory = directory();
    write(directory.path(), "erofs", noise_erofs(1));
    make_pair(directory.path(), "good", "rsa:2048", &[]);
    for (name, algorithm, options) in pairs {
        make_pair(directory.path(), name, algorithm, options);
    }
    directory
}

fn assert_refused(directory: &Path, key: &str, certificate: &str, expected: &str) {
    let mut ddi = ddi_build(["--erofs", "erofs", "--output", "out", "--key", key, "--cert", certificate]);
    assert_eq!(refusal(ddi.current_dir(directory)), (format!("ddi: {expected}\n"), Some(1)));
    assert!(!directory.join("out").exists());
}

fn openssl(directory: &Path, arguments: &[&str]) {
    run(tool("openssl").args(arguments).current_dir(directory));
}

#[test]
fn files_without_the_wanted_block() {
    let workshop = workshop(&[]);
    let directory = workshop.path();
    let both = [fs::read(directory.join("good.pem")).unwrap(), fs::read(directory.join("good.pem")).unwrap()].concat();
    write(directory, "twice.pem", &both);
    write(directory, "empty", "");
    write(directory, "binary", [b'a', 0xff]);
    write(directory, "large", vec![b'\n'; 65537]);
    assert_refused(directory, "none", "good.pem", "none: cannot open: No such file or directory (os error 2)");
    assert_refused(directory, "good.key", "none", "none: cannot open: No such file or directory (os error 2)");
    assert_refused(
        directory,
        "good.pem",
        "good.pem",
        "good.pem: expected a PEM block \"PRIVATE KEY\", found \"CERTIFICATE\"",
    );
    assert_refused(
        directory,
        "good.key",
        "good.key",
        "good.key: expected a PEM block \"CERTIFICATE\", found \"PRIVATE KEY\"",
    );
    assert_refused(
        directory,
        "good.key",
        "empty",
        "empty: expected a PEM block \"CERTIFICATE\", found no PEM block at all",
    );
    let second = both.len() / 2;
    assert_refused(
        directory,
        "good.key",
        "twice.pem",
        &format!("twice.pem: expected one PEM block \"CERTIFICATE\", found a second one at byte {second}"),
    );
    assert_refused(
        directory,
        "binary",
        "good.pem",
        "binary: expected PEM text, found a byte that is no UTF-8 at byte 1",
    );
    assert_refused(directory, "large", "good.pem", "large: expected a PEM file of at most 65536 bytes, found more");
}

#[test]
fn encrypted_keys() {
    let workshop = workshop(&[]);
    let directory = workshop.path();
    openssl(
        directory,
        &["pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:secret", "-in", "good.key", "-out", "pkcs8"],
    );
    openssl(
        directory,
        &["rsa", "-traditional", "-aes256", "-passout", "pass:secret", "-in", "good.key", "-out", "pkcs1"],
    );
    for name in ["pkcs8", "pkcs1"] {
        let expected = format!(
            "{name}: expected an unencrypted private key, found an encrypted one at byte 0: \
             decrypt it with `openssl pkey -in KEY -out PLAIN-KEY`"
        );
        assert_refused(directory, name, "good.pem", &expected);
    }
}

#[test]
fn keys_and_certificates_of_other_algorithms() {
    let workshop = workshop(&[
        ("curve", "ec", &["-pkeyopt", "ec_paramgen_curve:P-521"]),
        ("edwards", "ed25519", &[]),
        ("pss", "rsa-pss", &["-pkeyopt", "rsa_keygen_bits:2048"]),
    ]);
    let directory = workshop.path();
    for (name, found, refused) in [
        ("curve", "on the curve 1.3.132.0.35", "curve 1.3.132.0.35, expected P-256 or P-384"),
        ("edwards", "for Ed25519", "algorithm 1.3.101.112, expected RSA or an elliptic curve"),
        ("pss", "for RSA-PSS", "algorithm 1.2.840.113549.1.1.10, expected RSA or an elliptic curve"),
    ] {
        assert_refused(
            directory,
            &format!("{name}.key"),
            "good.pem",
            &format!("{name}.key: expected a key for RSA, P-256 or P-384, found one {found}"),
        );
        assert_refused(
            directory,
            "good.key",
            &format!("{name}.pem"),
            &format!("{name}.pem: the boot stage takes no signature by this certificate: x509: public key: {refused}"),
        );
    }
    openssl(directory, &["ec", "-in", "curve.key", "-out", "old.key"]);
    assert_refused(
        directory,
        "old.key",
        "good.pem",
        "old.key: expected a key for RSA, P-256 or P-384, found one for EC in its old form \
         (`openssl pkey -in KEY -out KEY` writes the new one)",
    );
}

#[test]
fn rsa_keys_of_other_sizes() {
    let workshop = workshop(&[("small", "rsa:1024", &[]), ("odd", "rsa:2560", &[])]);
    let directory = workshop.path();
    for (name, bits) in [("small", 1024), ("odd", 2560)] {
        assert_refused(
            directory,
            &format!("{name}.key"),
            "good.pem",
            &format!("{name}.key: expected an RSA key of 2048, 3072 or 4096 bits, found {bits}"),
        );
        assert_refused(
            directory,
            "good.key",
            &format!("{name}.pem"),
            &format!(
                "{name}.pem: the boot stage takes no signature by this certificate: \
                 x509: public key: RSA of {bits} bits, expected 2048, 3072 or 4096"
            ),
        );
    }
}

#[test]
fn blocks_that_do_not_decode() {
    let workshop = workshop(&[]);
    let directory = workshop.path();
    let key = fs::read_to_string(directory.join("good.key")).unwrap();
    write(directory, "cut", &key[..key.len() / 2]);
    write(directory, "noise", key.replacen("M", "!", 1).replacen("-----\n", "-----\nnot base64, at all\n", 1));
    write(directory, "short", "text\n-----BEGIN PRIVATE KEY-----\nMAMCAQA=\n-----END PRIVATE KEY-----\n");
    write(directory, "odd", "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n");
    assert_refused(
        directory,
        "cut",
        "good.pem",
        "cut: the PEM block at byte 0 is malformed: PEM error in pre-encapsulation boundary",
    );
    assert_refused(
        directory,
        "noise",
        "good.pem",
        "noise: the PEM block at byte 0 is malformed: PEM Base64 error: invalid Base64 encoding",
    );
    assert_refused(
        directory,
        "short",
        "good.pem",
        "short: malformed PKCS#8 in the PEM block at byte 5: PKCS#8 ASN.1 error: \
         ASN.1 DER message is incomplete: expected 6, actual 5 at DER byte 8",
    );
    assert_refused(
        directory,
        "good.key",
        "odd",
        "odd: expected an X.509 certificate in the PEM block at byte 0: \
         unexpected ASN.1 DER tag: expected SEQUENCE, got INTEGER at DER byte 2",
    );
}
