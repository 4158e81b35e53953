// SPDX-License-Identifier: MIT OR Apache-2.0
//! The check of a signature in user space: what it accepts is what a key has signed, and nothing near it.
//!
//! Input: length of the PKCS#7 and of the certificate, both of them, the content. All seeds are of one content, and nobody
//! can sign another by changing bytes: accepted for anything else, it is a forgery.
#![no_main]

use boot_formats::{pkcs7, x509};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use signature_check::verify;

/// What fuzz/make-seeds signs.
const SIGNED: &[u8; 64] = b"4392712ba01368efdf14b05c76f9e4df0d53664630b5d48632ed17a137f39076";

fuzz_target!(|data: &[u8]| {
    let _ = run(Input::new(data));
});

fn run(mut input: Input<'_>) -> Option<()> {
    let [signature_len, certificate_len] =
        [input.array()?, input.array()?].map(|len| usize::from(u16::from_le_bytes(len)));
    let (signature, rest) = input.rest().split_at_checked(signature_len)?;
    let (certificate, content) = rest.split_at_checked(certificate_len)?;
    let found = verify(signature, content, certificate);
    assert_eq!(verify(signature, content, certificate), found);
    let verified = found.ok()?;

    assert_eq!(content, SIGNED, "a forgery");
    assert_eq!(verified.certificate(), <[u8; 32]>::from(Sha256::digest(certificate)));
    let signer = pkcs7::sole_signer(signature).expect("a signer that was checked");
    assert_eq!(signer.algorithm(), Ok(verified.algorithm()));
    assert!(x509::parse(certificate).expect("a certificate that was read").is_signer(&signer));
    // Not for the hash with a bit flipped, nor cut, nor empty.
    let mut other = SIGNED.to_vec();
    other[63] ^= 1;
    for other in [other.as_slice(), &SIGNED[..63], &[]] {
        assert!(verify(signature, other, certificate).is_err(), "accepted for {other:?}");
    }
    Some(())
}
