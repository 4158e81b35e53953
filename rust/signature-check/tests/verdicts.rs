// SPDX-License-Identifier: MIT OR Apache-2.0
//! The corpus in user space. The kernel's half is in tests/boot/signatures.rs: it boots one and asks it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod corpus;

use std::path::Path;

use base64ct::{Base64, Encoding};
use corpus::{ACCEPTED, ROOT_HASH};
use signature_check::verify;

fn certificate(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(format!("{name}.crt"));
    std::fs::read(path).unwrap()
}

#[test]
fn each_signature_gets_its_verdict() {
    let mut wrong = Vec::new();
    for entry in corpus::entries().unwrap() {
        let pkcs7 = Base64::decode_vec(entry.base64).unwrap();
        let found = match verify(&pkcs7, ROOT_HASH.as_bytes(), &certificate(entry.certificate)) {
            Ok(_) => ACCEPTED.to_owned(),
            Err(error) => error.to_string(),
        };
        if found != entry.user_space {
            wrong.push(format!("{} | {found} | {}", entry.name, entry.kernel));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The list of verdicts itself: nothing that we accept is refused by the kernel, and where we are stricter it says so.
#[test]
fn nothing_is_accepted_that_the_kernel_refuses() {
    for entry in corpus::entries().unwrap() {
        let (here, there) = (entry.user_space == ACCEPTED, entry.kernel == ACCEPTED);
        assert!(there || !here, "{}: accepted here, refused by the kernel", entry.name);
        assert_eq!(entry.stricter, there && !here, "{}", entry.name);
    }
}

/// A good signature is good with its own certificate alone.
#[test]
fn no_other_certificate_accepts_it() {
    let names = ["rsa2048", "rsa3072", "rsa4096", "rsa2048-e3", "p256", "p384", "stranger", "stranger-impostor"];
    let certificates = names.map(|name| (name, certificate(name)));
    for entry in corpus::entries().unwrap().iter().filter(|entry| entry.user_space == ACCEPTED) {
        let pkcs7 = Base64::decode_vec(entry.base64).unwrap();
        for (name, certificate) in &certificates {
            let accepted = verify(&pkcs7, ROOT_HASH.as_bytes(), certificate).is_ok();
            assert_eq!(accepted, *name == entry.certificate, "{} with {name}", entry.name);
        }
    }
}
