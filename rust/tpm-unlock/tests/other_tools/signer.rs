// SPDX-License-Identifier: MIT OR Apache-2.0
//! A key that signs policies, by openssl, and systemd's JSON around what it signs.

use std::process::Command;

use base64ct::{Base64, Encoding as _};
use tempfile::TempDir;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signing_key::SigningKey;

pub struct Signer {
    folder: TempDir,
    pub pem: Vec<u8>,
}

impl Signer {
    pub fn new(algorithm: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("key-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(&folder).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        openssl(&[&["genpkey", "-out", "key", "-algorithm"], algorithm].concat());
        openssl(&["pkey", "-in", "key", "-pubout", "-out", "pem"]);
        let pem = std::fs::read(folder.path().join("pem")).unwrap();
        Self { folder, pem }
    }

    pub fn rsa() -> Self {
        Self::new(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    }

    pub fn sign(&self, policy: &PolicyDigest) -> Vec<u8> {
        let message = self.folder.path().join("message");
        std::fs::write(&message, policy.as_bytes()).unwrap();
        let output = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", "key", "message"])
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// SHA-256 of the key's PKCS#1 form, by openssl: not by the code that is tested.
    pub fn fingerprint(&self) -> String {
        let script = "openssl rsa -pubin -in pem -RSAPublicKey_out -outform DER 2>/dev/null | openssl dgst -sha256 -r";
        let output = Command::new("sh").args(["-c", script]).current_dir(&self.folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    }

    /// An entry of the JSON.
    pub fn entry(&self, pcrs: &[u8], policy: &PolicyDigest) -> String {
        let signature = Base64::encode_string(&self.sign(policy));
        let fingerprint = self.fingerprint();
        format!(r#"{{"pcrs":{pcrs:?},"pkfp":"{fingerprint}","pol":"{policy}","sig":"{signature}"}}"#)
    }

    pub fn key(&self) -> SigningKey {
        SigningKey::parse(&self.pem).unwrap()
    }
}

pub fn json(entries: &[String]) -> Vec<u8> {
    format!(r#"{{"sha256":[{}]}}"#, entries.join(",")).into_bytes()
}
