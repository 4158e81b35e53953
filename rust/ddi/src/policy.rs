// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi sign-policy`: what the TPM's registers will be when a kernel has booted an image, signed, so that a disk's key is
//! unsealed for this pair and for the next one, without enrolling anew.
//!
//! * The image is held to the certificate first, block by block: nothing is signed that the boot would refuse.
//! * What is signed is the digest of TPM2_PolicyPCR over registers 11 and that of the image, for each kernel and boot phase; how it is
//!   written down is systemd's tpm2-pcr-signature JSON.
//! * Whoever holds the key elsewhere signs the digests there: `to_sign` writes them down, `signatures` takes what came of it.

use std::fs;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use boot_formats::hex::{self, Hex};
use boot_record::reason::Reason;
use rsa::pkcs1v15::{Signature as Pkcs1v15, VerifyingKey};
use rsa::pkcs8::DecodePublicKey;
use rsa::sha2::Sha256;
use rsa::signature::Verifier;
use serde::Serialize;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signatures::MAX_ENTRIES;
use tpm_policy::signing_key::{self, SigningKey};
use tpm_policy::{Bank, Digest, PcrMask};

use crate::file_error::{Action, FileError};
use crate::key::{self, PrivateKey};
use crate::output::{self, Output};
use crate::pem;
use crate::uki::{self, KERNEL_PCR, Uki};
use crate::verify;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image.
    pub image: PathBuf,
    /// The certificate of its signer, which the boot stage measures.
    pub certificate: PathBuf,
    /// The kernels that may boot it.
    pub kernels: Vec<PathBuf>,
    /// Phase paths: where in the boot the key is to be had.
    pub phases: Vec<String>,
    /// Of the registers.
    pub bank: Bank,
    /// The register that the image is measured into; `None` for policies over the kernel's alone.
    pub image_register: Option<u8>,
    /// Who signs.
    pub signing: Signing,
}

/// Who signs, and what is written.
#[derive(Debug, Clone)]
pub enum Signing {
    /// The key in this file; the signatures are written.
    Key {
        /// PEM.
        key: PathBuf,
        /// The JSON.
        output: PathBuf,
    },
    /// Somebody else, who is to find the digests in this folder.
    Elsewhere {
        /// PEM.
        public_key: PathBuf,
        /// Must exist.
        to_sign: PathBuf,
    },
    /// Somebody else, who has put the signatures into this folder; the JSON is written.
    Signed {
        /// PEM.
        public_key: PathBuf,
        /// With a file for each digest.
        signatures: PathBuf,
        /// The JSON.
        output: PathBuf,
    },
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by the messages")]
pub enum Error {
    /// Each is the error of the module of its name.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    #[error(transparent)]
    Uki(#[from] uki::Error),
    #[error(transparent)]
    Key(#[from] key::Error),
    #[error(transparent)]
    Pem(#[from] pem::Error),
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error(transparent)]
    File(#[from] FileError),
    /// The boot would refuse it.
    #[error("{}: the boot would refuse this image ({reason}): `ddi verify` says more", image.display())]
    Refused { image: PathBuf, reason: Reason },
    /// The key is not one that a TPM takes for this.
    #[error("{}: {source}", path.display())]
    PolicyKey { path: PathBuf, source: signing_key::Error },
    /// A bank whose digests nobody should rely on.
    #[error("expected a bank of sha256, sha384 or sha512, found {found}")]
    Bank { found: Bank },
    /// The image's register is the kernel's, or one that a running system can reset.
    #[error("expected a register from 0 to 15 other than {KERNEL_PCR} for the image, found {found}")]
    Register { found: u8 },
    /// More than a boot stage reads.
    #[error("{found} signatures, expected at most {MAX_ENTRIES}: one for each kernel and phase")]
    TooMany { found: usize },
    /// Not by this key, or not about this.
    #[error("{}: expected a signature (RSASSA-PKCS1-v1_5 with SHA-256) of {policy} by the key in {}", path.display(), key.display())]
    Signature { path: PathBuf, policy: String, key: PathBuf },
    /// It does not encode.
    #[error("cannot put signatures as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A kernel that boots the image, in a phase of that boot.
#[derive(Debug, Clone, Serialize)]
pub struct Prediction {
    /// The kernel's file.
    pub kernel: String,
    /// The phase path.
    pub phase: String,
    /// The registers and their values then, in hexadecimal digits.
    pub registers: Vec<Register>,
    /// The digest of the policy over them.
    pub policy: String,
}

/// A register and its value.
#[derive(Debug, Clone, Serialize)]
pub struct Register {
    /// Its number.
    pub pcr: u8,
    /// Its value, in hexadecimal digits.
    pub value: String,
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Format of this object; it changes when a member changes its meaning.
    pub format: u32,
    /// What was written: a file, or a folder of digests to sign.
    pub output: String,
    /// The bank of the registers.
    pub bank: &'static str,
    /// SHA-256 of the key that signs, as the JSON names it.
    pub key: String,
    /// What was predicted.
    pub predictions: Vec<Prediction>,
}

impl Outcome {
    /// One line of JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`]; there is no known cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "written    {}", self.output)?;
        write!(f, "key        {}", self.key)?;
        for Prediction { kernel, phase, registers, policy } in &self.predictions {
            let phase = if phase.is_empty() { "before any phase" } else { phase };
            write!(f, "\n{kernel}, {phase}")?;
            for Register { pcr, value } in registers {
                write!(f, "\n  pcr {pcr:<4} {value}")?;
            }
            write!(f, "\n  policy   {policy}")?;
        }
        Ok(())
    }
}

/// Predicts, signs, writes.
///
/// # Errors
/// See [`Error`]; nothing is written then, or some of the digests to sign.
pub fn sign(request: &Request) -> Result<Outcome, Error> {
    if request.bank == Bank::Sha1 {
        return Err(Error::Bank { found: request.bank });
    }
    if let Some(found) = request.image_register.filter(|pcr| *pcr == KERNEL_PCR || *pcr > 15) {
        return Err(Error::Register { found });
    }
    let found = request.kernels.len().saturating_mul(request.phases.len());
    if found > MAX_ENTRIES {
        return Err(Error::TooMany { found });
    }
    let policies = predict(request)?;
    let (output, key) = match &request.signing {
        Signing::Key { key, output } => {
            let key = PrivateKey::load(key)?;
            let signing_key = policy_key(&key.path, &key.public_key)?;
            let sign = |policy: &PolicyDigest| Ok(key.sign(policy.as_bytes())?);
            (write_json(request, &policies, &signing_key, sign, output)?, signing_key)
        }
        Signing::Elsewhere { public_key, to_sign } => {
            let (_, signing_key) = read_public_key(public_key)?;
            for (policy, _) in &policies {
                publish(&to_sign.join(format!("{policy}.policy")), policy.as_bytes())?;
            }
            (to_sign.clone(), signing_key)
        }
        Signing::Signed { public_key, signatures, output } => {
            let (der, signing_key) = read_public_key(public_key)?;
            let read = |policy: &PolicyDigest| read_signature(policy, signatures, public_key, &der);
            (write_json(request, &policies, &signing_key, read, output)?, signing_key)
        }
    };
    Ok(Outcome {
        format: 1,
        output: output.display().to_string(),
        bank: request.bank.name(),
        key: Hex(&key.fingerprint()).to_string(),
        predictions: policies.into_iter().map(|(_, prediction)| prediction).collect(),
    })
}

fn predict(request: &Request) -> Result<Vec<(PolicyDigest, Prediction)>, Error> {
    let image = request.image_register.map(|pcr| Ok::<_, Error>((pcr, image_register(request)?))).transpose()?;
    let mut policies = Vec::new();
    for path in &request.kernels {
        let kernel = Uki::open(path)?;
        for phase in &request.phases {
            let mut registers = vec![(KERNEL_PCR, kernel.kernel_register(request.bank, phase))];
            registers.extend(image);
            registers.sort_by_key(|(pcr, _)| *pcr);
            let (numbers, values): (Vec<u8>, Vec<Digest>) = registers.iter().copied().unzip();
            let mask = PcrMask::of(&numbers).unwrap_or_default();
            // One value of the bank for each register: there is no other way.
            let policy = PolicyDigest::new().pcr(request.bank, mask, &values).unwrap_or_default();
            let prediction = Prediction {
                kernel: path.display().to_string(),
                phase: phase.clone(),
                registers: registers
                    .iter()
                    .map(|(pcr, value)| Register { pcr: *pcr, value: value.to_string() })
                    .collect(),
                policy: policy.to_string(),
            };
            policies.push((policy, prediction));
        }
    }
    Ok(policies)
}

/// The value of the image's register, if the boot accepts the image.
fn image_register(request: &Request) -> Result<Digest, Error> {
    let verdict = verify::verify(&request.image, std::slice::from_ref(&request.certificate))?;
    let refused = |reason| Error::Refused { image: request.image.clone(), reason };
    let (true, Some(root_hash), Some(signer)) = (verdict.valid, &verdict.root_hash, &verdict.signer) else {
        return Err(refused(verdict.reason.unwrap_or(Reason::SignatureRejected)));
    };
    let digest = |text: &str| hex::decode(text).map_err(|_| refused(Reason::Internal));
    Ok(uki::ddi_register(request.bank, digest(root_hash)?, digest(&signer.sha256)?))
}

fn policy_key(path: &Path, der: &[u8]) -> Result<SigningKey, Error> {
    SigningKey::parse(der).map_err(|source| Error::PolicyKey { path: path.to_owned(), source })
}

/// The DER of the SubjectPublicKeyInfo, and the key in it.
fn read_public_key(path: &Path) -> Result<(Vec<u8>, SigningKey), Error> {
    let bytes = pem::read(path)?;
    let block = pem::sole_block(path, pem::text(path, &bytes)?, "PUBLIC KEY", |label| label == "PUBLIC KEY")?;
    let der = pem::decode(path, &block)?.to_vec();
    let key = policy_key(path, &der)?;
    Ok((der, key))
}

/// A signature that was made elsewhere, if it is one.
fn read_signature(policy: &PolicyDigest, folder: &Path, key: &Path, der: &[u8]) -> Result<Vec<u8>, Error> {
    let path = folder.join(format!("{policy}.sig"));
    let bytes = fs::read(&path).map_err(FileError::on(&path, Action::Read(0)))?;
    let verified = rsa::RsaPublicKey::from_public_key_der(der).is_ok_and(|key| {
        let signature = Pkcs1v15::try_from(bytes.as_slice());
        signature.is_ok_and(|signature| VerifyingKey::<Sha256>::new(key).verify(policy.as_bytes(), &signature).is_ok())
    });
    if verified { Ok(bytes) } else { Err(Error::Signature { path, policy: policy.to_string(), key: key.to_owned() }) }
}

/// A signature as systemd writes it.
#[derive(Serialize)]
struct Entry {
    pcrs: Vec<u8>,
    pkfp: String,
    pol: String,
    sig: String,
}

fn write_json(
    request: &Request,
    policies: &[(PolicyDigest, Prediction)],
    key: &SigningKey,
    sign: impl Fn(&PolicyDigest) -> Result<Vec<u8>, Error>,
    output: &Path,
) -> Result<PathBuf, Error> {
    let pkfp = Hex(&key.fingerprint()).to_string();
    let mut entries: Vec<Entry> = Vec::new();
    for (policy, prediction) in policies {
        // Two files of one kernel come to the same.
        if entries.iter().any(|entry| entry.pol == prediction.policy) {
            continue;
        }
        entries.push(Entry {
            pcrs: prediction.registers.iter().map(|register| register.pcr).collect(),
            pkfp: pkfp.clone(),
            pol: prediction.policy.clone(),
            sig: Base64::encode_string(&sign(policy)?),
        });
    }
    let json = serde_json::to_string(&std::collections::BTreeMap::from([(request.bank.name(), entries)]))?;
    publish(output, format!("{json}\n").as_bytes())?;
    Ok(output.to_owned())
}

fn publish(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let output = Output::new(path, &[])?;
    let work = output.work_file("policy");
    fs::write(&work, bytes).map_err(FileError::on(&work, Action::Write(0)))?;
    let file = fs::File::open(&work).map_err(FileError::on(&work, Action::Open))?;
    Ok(output.publish(&file, &work)?)
}
