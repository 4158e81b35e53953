// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the configured certificates a signature names. Whether its key made the signature is asked elsewhere: of the
//! kernel, or of [`user_space`](super::user_space).

use boot_formats::{pkcs7, signature_json};
use boot_record::reason::Reason;

use super::Blame;
use crate::config::Anchor;
use crate::failure::{Failure, text};

/// Who signed.
#[derive(Clone, Debug)]
pub struct Signer {
    /// SHA-256 of the configured certificate.
    pub sha256: [u8; 32],
    /// The common name of its subject.
    pub common_name: heapless::String<64>,
    /// Whether the name says DEVELOPMENT.
    pub development: bool,
}

/// The configured certificate whose issuer and serial number the sole signer names.
pub fn find<'a>(
    signature: &signature_json::Signature,
    anchors: &'a [Anchor],
    blame: &Blame<'_>,
) -> Result<(Signer, &'a Anchor), Failure> {
    let signer =
        pkcs7::sole_signer(&signature.pkcs7).map_err(|error| blame.failure(Reason::SignatureMalformed, error))?;
    // A kernel takes weaker digests where it has them; nothing we build needs one.
    signer.algorithm().map_err(|error| blame.failure(Reason::SignatureMalformed, error))?;
    let (anchor, certificate) = anchors
        .iter()
        .filter_map(|anchor| Some((anchor, anchor.certificate()?)))
        .find(|(_, certificate)| certificate.is_signer(&signer))
        .ok_or_else(|| blame.failure(Reason::SignerUnknown, "the signer is none of the configured certificates"))?;
    let sha256 = certificate.fingerprint();
    if signature.certificate_fingerprint.is_some_and(|claimed| claimed != sha256) {
        return Err(blame.failure(Reason::SignerUnknown, "certificateFingerprint is of another certificate"));
    }
    let signer = Signer {
        sha256,
        common_name: text(certificate.subject_common_name.unwrap_or_default()),
        development: certificate.is_development(),
    };
    Ok((signer, anchor))
}
