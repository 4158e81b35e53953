// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures: the views of a signer lie inside the file, and where the crate cms can read the file too, both see the
//! same signer. (What DER says of sets and integers is not ours to check, so cms may refuse more.)
#![no_main]

use boot_formats::pkcs7;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::{Decode, Encode};
use fuzz::position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(signer) = pkcs7::sole_signer(data) else { return };
    for view in [signer.issuer, signer.serial, signer.digest_algorithm, signer.signature_algorithm, signer.signature] {
        position(data, view);
    }
    if let Some(certificate) = signer.embedded_certificate {
        position(data, certificate);
    }
    if let Err(error) = signer.algorithm() {
        assert!(error.to_string().starts_with("pkcs7: "));
    }
    let Some((theirs, certificates)) = read_by_cms(data) else { return };
    let SignerIdentifier::IssuerAndSerialNumber(identifier) = &theirs.sid else { panic!("a signer without a name") };
    assert_eq!(identifier.issuer.to_der().expect("a name that was read"), signer.issuer);
    assert_eq!(identifier.serial_number.as_bytes(), signer.serial);
    assert_eq!(theirs.digest_alg.oid.as_bytes(), signer.digest_algorithm);
    assert_eq!(theirs.signature_algorithm.oid.as_bytes(), signer.signature_algorithm);
    assert_eq!(theirs.signature.as_bytes(), signer.signature);
    assert!(theirs.signed_attrs.is_none() && theirs.unsigned_attrs.is_none());
    assert_eq!(certificates, usize::from(signer.embedded_certificate.is_some()));
});

/// The signer and the number of embedded certificates, if cms finds exactly one signer and detached contents.
fn read_by_cms(data: &[u8]) -> Option<(SignerInfo, usize)> {
    let signed: SignedData = ContentInfo::from_der(data).ok()?.content.decode_as().ok()?;
    assert!(signed.encap_content_info.econtent.is_none(), "contents that we did not see");
    assert!(signed.crls.is_none(), "revocation lists that we did not see");
    let [signer] = signed.signer_infos.0.as_slice() else { panic!("{} signers", signed.signer_infos.0.len()) };
    Some((signer.clone(), signed.certificates.map_or(0, |set| set.0.len())))
}
