// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signers of signatures that openssl and systemd-repart made, and of such that no tool here makes.

use crate::golden;
use boot_formats::pkcs7::{self, Algorithm, Digest, Error, Oid, Scheme, sole_signer};
use boot_formats::{signature_json, x509};

#[test]
fn the_signer_is_the_certificate_that_signed() {
    let development = golden::bytes("development.crt");
    let development = x509::parse(&development).unwrap();
    let others = ["product", "nameless", "ecdsa"].map(|name| golden::bytes(&format!("{name}.crt")));
    let repart = signature_json::parse(&golden::bytes("repart.json")).unwrap().pkcs7;
    let compact = signature_json::parse(&golden::bytes("compact.json")).unwrap().pkcs7;
    let files = ["bare.p7", "cms.p7", "embedded.p7"].map(golden::bytes);
    for der in files.iter().map(Vec::as_slice).chain([&*repart, &*compact]) {
        let signer = sole_signer(der).unwrap();
        assert!(development.is_signer(&signer));
        for other in &others {
            assert!(!x509::parse(other).unwrap().is_signer(&signer));
        }
        assert_eq!(signer.digest_algorithm, pkcs7::OID_SHA256);
        assert_eq!(signer.signature_algorithm, pkcs7::OID_RSA);
        assert_eq!(signer.signature.len(), 256);
    }
    let ecdsa = golden::bytes("ecdsa.p7");
    assert!(x509::parse(&others[2]).unwrap().is_signer(&sole_signer(&ecdsa).unwrap()));
}

#[test]
fn what_openssl_and_repart_sign_is_within_the_policy() {
    let repart = signature_json::parse(&golden::bytes("repart.json")).unwrap().pkcs7;
    for der in ["bare.p7", "cms.p7", "embedded.p7"].map(golden::bytes).iter().map(Vec::as_slice).chain([&*repart]) {
        let rsa = Algorithm { digest: Digest::Sha256, scheme: Scheme::Rsa };
        assert_eq!(sole_signer(der).unwrap().algorithm(), Ok(rsa));
    }
    let ecdsa = Algorithm { digest: Digest::Sha256, scheme: Scheme::Ecdsa };
    assert_eq!(sole_signer(&golden::bytes("ecdsa.p7")).unwrap().algorithm(), Ok(ecdsa));
}

#[test]
fn ecdsa_names_the_digest_twice_and_both_must_be_the_same() {
    let der = golden::bytes("ecdsa.p7");
    let good = sole_signer(&der).unwrap();
    let names = [
        (Digest::Sha256, pkcs7::OID_SHA256, pkcs7::OID_ECDSA_SHA256),
        (Digest::Sha384, pkcs7::OID_SHA384, pkcs7::OID_ECDSA_SHA384),
        (Digest::Sha512, pkcs7::OID_SHA512, pkcs7::OID_ECDSA_SHA512),
    ];
    for (digest, digest_algorithm, _) in names {
        for (signature, _, signature_algorithm) in names {
            let signer = pkcs7::Signer { digest_algorithm, signature_algorithm, ..good };
            let expected = if digest == signature {
                Ok(Algorithm { digest, scheme: Scheme::Ecdsa })
            } else {
                Err(Error::DigestsDiffer { digest, signature })
            };
            assert_eq!(signer.algorithm(), expected);
        }
    }
    let error = Error::DigestsDiffer { digest: Digest::Sha256, signature: Digest::Sha384 };
    assert_eq!(error.to_string(), "pkcs7: signed by ECDSA with sha384, but the digest is sha256");
}

#[test]
fn the_policy_names_the_algorithm_it_refuses() {
    let der = golden::bytes("bare.p7");
    let good = sole_signer(&der).unwrap();
    let sha = |last: u8| [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last];
    let rsa = |last: u8| [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last];
    for last in [4, 8] {
        let signer = pkcs7::Signer { digest_algorithm: &sha(last), ..good };
        let error = signer.algorithm().unwrap_err();
        assert_eq!(error, Error::DigestAlgorithm { found: Oid::new(&sha(last)) });
        let line = format!("pkcs7: digest algorithm 2.16.840.1.101.3.4.2.{last}, expected SHA-256, SHA-384 or SHA-512");
        assert_eq!(error.to_string(), line);
    }
    // RSA-PSS, with SHA-1, with SHA-256 (a name the kernel does not know here), with SHA-512; one that starts as RSA does; none.
    for oid in [&rsa(10)[..], &rsa(5), &rsa(11), &rsa(13), &[&rsa(1)[..], &[1]].concat(), &[]] {
        let signer = pkcs7::Signer { signature_algorithm: oid, ..good };
        assert_eq!(signer.algorithm(), Err(Error::SignatureAlgorithm { found: Oid::new(oid) }));
    }
}

#[test]
fn object_identifiers_are_printed_with_dots() {
    for (contents, text) in [
        (pkcs7::OID_SHA256, "2.16.840.1.101.3.4.2.1"),
        (pkcs7::OID_RSA, "1.2.840.113549.1.1.1"),
        (pkcs7::OID_ECDSA_SHA384, "1.2.840.10045.4.3.3"),
        (&[0x27, 0x7f], "0.39.127"),
        (&[0x88, 0x37, 0x03], "2.999.3"),
        (&[], ""),
        (&[0x2a; 16], "1.2.42.42.42.42.42.42.42.42.42.42.42.42.42.42.42"),
        (&[0x2a; 17], "1.2.42.42.42.42.42.42.42.42.42.42.42.42.42.42.42..."),
        (&[0xff; 40], "..."),
    ] {
        assert_eq!(Oid::new(contents).to_string(), text);
    }
}

#[test]
fn the_certificate_that_systemd_repart_embeds_is_seen() {
    let development = golden::bytes("development.crt");
    let repart = signature_json::parse(&golden::bytes("repart.json")).unwrap();
    assert_eq!(sole_signer(&repart.pkcs7).unwrap().embedded_certificate, Some(&*development));
    assert_eq!(repart.certificate_fingerprint, Some(x509::parse(&development).unwrap().fingerprint()));
    assert_eq!(sole_signer(&golden::bytes("bare.p7")).unwrap().embedded_certificate, None);
}

#[test]
fn an_embedded_certificate_that_only_shares_issuer_and_serial_number_is_not_the_signer() {
    let development = golden::bytes("development.crt");
    let mut der = golden::bytes("embedded.p7");
    let at = der.windows(development.len()).position(|window| window == development).unwrap();
    // A byte of the signature of the embedded certificate.
    der[at + development.len() - 1] ^= 1;
    assert!(!x509::parse(&development).unwrap().is_signer(&sole_signer(&der).unwrap()));
}

fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let len = u16::try_from(contents.len()).unwrap();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len.to_le_bytes()[0]),
        0x80..=0xff => out.extend([0x81, len.to_le_bytes()[0]]),
        _ => out.extend([&[0x82][..], &len.to_be_bytes()].concat()),
    }
    out.extend(contents);
    out
}

const OID_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const OID_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const OID_DIGESTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x05];

/// The parts of a signature that tests vary.
struct Parts<'a> {
    version: &'a [u8],
    digests: &'a [u8],
    contents: &'a [u8],
    revocation_lists: &'a [u8],
    signers: &'a [&'a [u8]],
}

fn signed_data(parts: &Parts<'_>) -> Vec<u8> {
    let signed_data = tlv(
        0x30,
        &[
            &tlv(2, &[parts.version]),
            &tlv(0x31, &[parts.digests]),
            &tlv(0x30, &[&tlv(6, &[parts.contents])]),
            parts.revocation_lists,
            &tlv(0x31, parts.signers),
        ],
    );
    tlv(0x30, &[&tlv(6, &[OID_SIGNED_DATA]), &tlv(0xa0, &[&signed_data])])
}

fn signer(version: u8, behind: &[u8]) -> Vec<u8> {
    let identifier = tlv(0x30, &[&tlv(0x30, &[]), &tlv(2, &[&[7]])]);
    let algorithm = |oid: &[u8]| tlv(0x30, &[&tlv(6, &[oid])]);
    tlv(
        0x30,
        &[
            &tlv(2, &[&[version]]),
            &identifier,
            &algorithm(pkcs7::OID_SHA256),
            &algorithm(pkcs7::OID_RSA),
            &tlv(4, &[&[0xaa; 4]]),
            behind,
        ],
    )
}

#[test]
fn structures_no_tool_here_makes() {
    let one = signer(1, &[]);
    let digest = tlv(0x30, &[&tlv(6, &[pkcs7::OID_SHA256])]);
    let good = Parts { version: &[1], digests: &digest, contents: OID_DATA, revocation_lists: &[], signers: &[&one] };
    let der = signed_data(&good);
    let expected = pkcs7::Signer {
        issuer: &[0x30, 0],
        serial: &[7],
        digest_algorithm: pkcs7::OID_SHA256,
        signature_algorithm: pkcs7::OID_RSA,
        signature: &[0xaa; 4],
        embedded_certificate: None,
    };
    assert_eq!(sole_signer(&der), Ok(expected));

    let (with_attributes, of_version_3) = (signer(1, &tlv(0xa1, &[])), signer(3, &[]));
    let with_more = signer(1, &tlv(4, &[]));
    let lists = tlv(0xa1, &[]);
    let no_certificates = tlv(0xa0, &[]);
    let null = tlv(5, &[]);
    let other_digest = tlv(0x30, &[&tlv(6, &[pkcs7::OID_SHA384])]);
    let with_number = tlv(0x30, &[&tlv(6, &[pkcs7::OID_SHA256]), &tlv(2, &[&[0]])]);
    let with_long_null = tlv(0x30, &[&tlv(6, &[pkcs7::OID_SHA256]), &tlv(5, &[&[0]])]);
    let with_parameters = tlv(0x30, &[&tlv(6, &[pkcs7::OID_SHA256]), &null, &null]);
    for (parts, line) in [
        (Parts { signers: &[], ..good }, "pkcs7: 0 signers, expected 1"),
        (Parts { signers: &[&one, &one], ..good }, "pkcs7: 2 signers, expected 1"),
        (Parts { signers: &[&one, &one, &one], ..good }, "pkcs7: 3 signers, expected 1"),
        (Parts { signers: &[&[4, 0]], ..good }, "pkcs7: der: at byte 50: tag 0x04, expected 0x30"),
        (Parts { signers: &[&with_attributes], ..good }, "pkcs7: unsigned attributes, expected a bare signature"),
        (Parts { signers: &[&with_more], ..good }, "pkcs7: der: at byte 94: 2 bytes too many"),
        (Parts { signers: &[&of_version_3], ..good }, "pkcs7: at byte 52: version is not 1"),
        (Parts { revocation_lists: &lists, ..good }, "pkcs7: embedded revocation lists"),
        (Parts { contents: OID_DIGESTED_DATA, ..good }, "pkcs7: signed contents are not plain data"),
        (Parts { digests: &[], ..good }, "pkcs7: a list of 0 digest algorithms, expected 1"),
        (
            Parts { digests: &[&digest[..], &digest].concat(), ..good },
            "pkcs7: a list of 2 digest algorithms, expected 1",
        ),
        (Parts { digests: &other_digest, ..good }, "pkcs7: the signer's digest algorithm is not the one listed"),
        (Parts { digests: &null, ..good }, "pkcs7: der: at byte 22: tag 0x05, expected 0x30"),
        (Parts { digests: &with_number, ..good }, "pkcs7: at byte 35: algorithm with parameters, expected none"),
        (Parts { digests: &with_long_null, ..good }, "pkcs7: at byte 35: algorithm with parameters, expected none"),
        (Parts { digests: &with_parameters, ..good }, "pkcs7: der: at byte 37: 2 bytes too many"),
        (
            Parts { revocation_lists: &no_certificates, ..good },
            "pkcs7: a list of 0 embedded certificates, expected 1 or no list",
        ),
        (Parts { version: &[3], ..good }, "pkcs7: at byte 17: version is not 1"),
        (Parts { version: &[0, 1], ..good }, "pkcs7: at byte 17: version is not 1"),
    ] {
        assert_eq!(sole_signer(&signed_data(&parts)).unwrap_err().to_string(), line);
    }
}

#[test]
fn a_key_identifier_is_named_although_its_version_is_wrong_too() {
    assert_eq!(sole_signer(&golden::bytes("key-identifier.p7")), Err(Error::SubjectKeyIdentifier));
}

#[test]
fn a_signature_cut_anywhere_is_refused() {
    let der = golden::bytes("embedded.p7");
    for len in 0..der.len() {
        let error = sole_signer(&der[..len]).unwrap_err();
        assert!(matches!(error, Error::Der(boot_formats::der::Error::Truncated { .. })), "{len}: {error}");
    }
}
