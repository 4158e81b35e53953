// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden signatures of openssl (rust/boot-formats/tests/golden/make-golden): each is by its own certificate, and no
//! damage to any of them goes through. The corpus that the kernel judges too is in tests/boot/signatures.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use boot_formats::pkcs7::{self, Algorithm, Digest, Scheme};
use boot_record::reason::Reason;
use signature_check::{Error, verify};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../boot-formats/tests/golden/", $name))
    };
}

const ROOT_HASH: &[u8] = b"4392712ba01368efdf14b05c76f9e4df0d53664630b5d48632ed17a137f39076";
const RSA: &[u8] = golden!("development.crt");
const ECDSA: &[u8] = golden!("ecdsa.crt");
const OTHER: &[u8] = golden!("product.crt");
const SIGNATURES: [(&[u8], &[u8]); 4] =
    [(golden!("bare.p7"), RSA), (golden!("cms.p7"), RSA), (golden!("embedded.p7"), RSA), (golden!("ecdsa.p7"), ECDSA)];

#[test]
fn what_openssl_signed_is_verified() {
    for (pkcs7, certificate) in SIGNATURES {
        let verified = verify(pkcs7, ROOT_HASH, certificate).unwrap();
        let scheme = if certificate == RSA { Scheme::Rsa } else { Scheme::Ecdsa };
        assert_eq!(verified.algorithm(), Algorithm { digest: Digest::Sha256, scheme });
        assert_eq!(verified.certificate(), boot_formats::x509::parse(certificate).unwrap().fingerprint());
    }
}

#[test]
fn another_content_or_certificate_is_refused() {
    for (pkcs7, certificate) in SIGNATURES {
        let other = [&ROOT_HASH[..63], b"7"].concat();
        for content in
            [&other[..], &ROOT_HASH[..63], &[ROOT_HASH, b"\n"].concat(), &ROOT_HASH.to_ascii_uppercase(), b""]
        {
            assert_eq!(verify(pkcs7, content, certificate), Err(Error::Rejected));
        }
        assert_eq!(verify(pkcs7, ROOT_HASH, OTHER), Err(Error::OtherSigner));
    }
    assert_eq!(Error::Rejected.reason(), Reason::SignatureRejected);
    assert_eq!(Error::OtherSigner.reason(), Reason::SignerUnknown);
}

#[test]
fn no_flipped_bit_goes_through() {
    for (pkcs7, certificate) in SIGNATURES {
        let signature = pkcs7::sole_signer(pkcs7).unwrap().signature.as_ptr_range();
        for bit in 0..pkcs7.len() * 8 {
            // One bit of each byte is enough where every one means the arithmetic of a key.
            if signature.contains(&pkcs7[bit / 8..].as_ptr()) && bit % 8 != bit / 8 % 8 {
                continue;
            }
            let mut damaged = pkcs7.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&damaged, ROOT_HASH, certificate).is_err(), "bit {bit}");
        }
    }
}
