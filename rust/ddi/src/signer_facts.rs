// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a PKCS#7 says about its signer, in words. A claim: whether it is true, [`verify`](crate::verify) says.

use std::fmt;

use boot_formats::pkcs7::{self, Oid, Signer};
use boot_formats::x509;
use der::Decode;
use serde::Serialize;
use x509_cert::name::Name;

use crate::printable::Printable;
use crate::signature::hex;

/// The sole signer that a signature names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignerFacts {
    /// Name of who issued the signer's certificate (RFC 4514), or its DER in hexadecimal digits where that is no name.
    pub issuer: String,
    /// Serial number of that certificate, hexadecimal digits.
    pub serial: String,
    /// `sha256`, `sha384`, `sha512`, or the object identifier of another digest.
    pub digest: String,
    /// `rsaEncryption`, `ecdsa-with-SHA256` and so on, or the object identifier of another algorithm.
    pub algorithm: String,
    /// Bits of the signature: those of the key.
    pub bits: usize,
    /// The certificate in the PKCS#7, if there is one. It is no trust anchor.
    pub embedded_certificate: Option<EmbeddedCertificate>,
}

/// A certificate inside the PKCS#7.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbeddedCertificate {
    /// SHA-256 of its DER, hexadecimal digits.
    pub sha256: String,
    /// Common name of its subject.
    pub common_name: Option<String>,
}

impl SignerFacts {
    /// In words.
    ///
    /// # Errors
    /// The embedded certificate is none.
    pub fn of(signer: &Signer<'_>) -> Result<Self, x509::Error> {
        let embedded_certificate = signer.embedded_certificate.map(x509::parse).transpose()?;
        Ok(Self {
            issuer: Name::from_der(signer.issuer).map_or_else(|_| hex(signer.issuer), |name| name.to_string()),
            serial: hex(signer.serial),
            digest: match signer.digest_algorithm {
                pkcs7::OID_SHA256 => "sha256".to_owned(),
                pkcs7::OID_SHA384 => "sha384".to_owned(),
                pkcs7::OID_SHA512 => "sha512".to_owned(),
                other => Oid::new(other).to_string(),
            },
            algorithm: match signer.signature_algorithm {
                pkcs7::OID_RSA => "rsaEncryption".to_owned(),
                pkcs7::OID_ECDSA_SHA256 => "ecdsa-with-SHA256".to_owned(),
                pkcs7::OID_ECDSA_SHA384 => "ecdsa-with-SHA384".to_owned(),
                pkcs7::OID_ECDSA_SHA512 => "ecdsa-with-SHA512".to_owned(),
                other => Oid::new(other).to_string(),
            },
            bits: signer.signature.len().saturating_mul(8),
            embedded_certificate: embedded_certificate.map(|certificate| EmbeddedCertificate {
                sha256: hex(&certificate.fingerprint()),
                common_name: certificate.subject_common_name.map(str::to_owned),
            }),
        })
    }
}

impl fmt::Display for SignerFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "signer")?;
        writeln!(f, "  issuer            {}", Printable(&self.issuer))?;
        writeln!(f, "  serial number     {}", self.serial)?;
        writeln!(f, "  algorithm         {} with {}, {} bits", self.algorithm, self.digest, self.bits)?;
        match &self.embedded_certificate {
            None => write!(f, "  certificate       not embedded"),
            Some(EmbeddedCertificate { sha256, common_name }) => {
                write!(f, "  certificate       embedded, {sha256}")?;
                common_name.iter().try_for_each(|name| write!(f, " ({})", Printable(name)))
            }
        }
    }
}
