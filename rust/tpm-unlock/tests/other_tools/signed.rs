// SPDX-License-Identifier: MIT OR Apache-2.0
//! Policies that a key signs anew for each release.

use tpm_policy::event::LATCH;
use tpm_policy::name::Name;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::signing_key::{self, Exponent};
use tpm_policy::{Bank, PcrMask, signatures};
use tpm_unlock::unseal::Unsealed;
use tpm_unlock::wire::CommandCode;
use tpm_unlock::{UnsealError, unseal};

use crate::literal::SECRET;
use crate::machine::{Machine, Wire, measure, tpm};
use crate::owner::{self, Enrolled, left_over, literal_policy, seal};
use crate::signer::{Signer, json};

/// A TPM, a signer, and a secret enrolled to whatever he signs about registers 11 and 13; and the policy that they are as they are.
fn set_up(machine: &mut Machine, literal: &[u8], form: Exponent) -> (Wire, Signer, Enrolled, PolicyDigest) {
    let mut wire = machine.connect();
    let signer = Signer::rsa();
    let enrolled = enrol(&mut wire, &signer, literal, form);
    let policy = current(&mut wire);
    (wire, signer, enrolled, policy)
}

/// Enrolled to whatever `signer` signs about registers 11 and 13, and to `literal` as they are.
fn enrol(wire: &mut Wire, signer: &Signer, literal: &[u8], form: Exponent) -> Enrolled {
    let srk = owner::make_ecc_srk(wire);
    let name: Name = signer.key().name(form).unwrap();
    let pcrs = PcrMask::of(literal).unwrap();
    let mut policy = PolicyDigest::authorize(&name, &[]);
    if !pcrs.is_empty() {
        let values = owner::read_pcrs(wire, Bank::Sha256, pcrs);
        policy = policy.pcr(Bank::Sha256, pcrs, &values).unwrap();
    }
    Enrolled {
        blob: seal(wire, SECRET, &policy),
        policy,
        pcrs,
        srk: Some(srk),
        public_key: signer.pem.clone(),
        signed_pcrs: PcrMask::of(&[11, 13]).unwrap(),
        signatures: Vec::new(),
    }
}

fn attempt(wire: &mut Wire, enrolled: &Enrolled) -> Result<Vec<u8>, UnsealError> {
    let mut out = Unsealed::default();
    wire.forget();
    let result = unseal(&mut tpm(wire), &enrolled.key(), Some(&enrolled.signatures), &mut out).map(|()| out.to_vec());
    let sent = wire.sent.len();
    assert!(result.is_ok() || out.is_empty());
    assert_eq!(left_over(wire), []);
    wire.sent.truncate(sent);
    result
}

fn current(wire: &mut Wire) -> PolicyDigest {
    literal_policy(wire, PcrMask::of(&[11, 13]).unwrap())
}

#[test]
fn one_signature_costs_nine_commands_and_several_cost_ten() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, policy) = set_up(&mut machine, &[], Exponent::Number);
    let good = signer.entry(&[11, 13], &policy);
    enrolled.signatures = json(std::slice::from_ref(&good));
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
    let expected = [
        CommandCode::Load,
        CommandCode::StartAuthSession,
        CommandCode::LoadExternal,
        CommandCode::VerifySignature,
        CommandCode::PolicyPcr,
        CommandCode::FlushContext,
        CommandCode::PolicyAuthorize,
        CommandCode::Unseal,
        CommandCode::FlushContext,
    ];
    assert_eq!(wire.codes(), expected.map(CommandCode::value));
    assert!(!wire.has_seen(&SECRET[..8]));

    // Other registers, an older release, another phase: the digest says which one it is.
    let other = PolicyDigest::of_bytes([1; 32]);
    enrolled.signatures =
        json(&[signer.entry(&[11], &policy), signer.entry(&[11, 13], &other), good, signer.entry(&[13, 11], &other)]);
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
    assert_eq!(wire.sent.len(), 10, "{:x?}", wire.codes());
}

#[test]
fn with_extend_and_latch_there_are_twelve_commands_and_none_unseals_after_it() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, _) = set_up(&mut machine, &[], Exponent::Number);
    measure(&mut wire, 13, "release 2");
    let policy = current(&mut wire);
    enrolled.signatures =
        json(&[signer.entry(&[11, 13], &PolicyDigest::of_bytes([1; 32])), signer.entry(&[11, 13], &policy)]);
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
    measure(&mut wire, 13, LATCH);
    let extend_before = 1;
    assert_eq!(wire.sent.len() + extend_before, 12, "{:x?}", wire.codes());
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::PcrMismatch));
}

#[test]
fn signed_and_literal_registers_in_one_policy() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, policy) = set_up(&mut machine, &[7], Exponent::Number);
    enrolled.signatures = json(&[signer.entry(&[11, 13], &policy)]);
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
    assert_eq!(wire.sent.len(), 10);
    measure(&mut wire, 7, "other keys of Secure Boot");
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::PcrMismatch));
}

#[test]
fn updated_image_with_a_signed_policy_gets_the_key_and_an_unsigned_one_does_not() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, first) = set_up(&mut machine, &[], Exponent::Number);
    enrolled.signatures = json(&[signer.entry(&[11, 13], &first)]);
    measure(&mut wire, 13, "release 2");
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::PcrMismatch), "one signature");
    let second = current(&mut wire);
    let unsigned = json(&[signer.entry(&[11, 13], &first), signer.entry(&[11, 13], &PolicyDigest::new())]);
    enrolled.signatures = unsigned;
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::PcrMismatch), "several");
    enrolled.signatures = json(&[signer.entry(&[11, 13], &first), signer.entry(&[11, 13], &second)]);
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
}

/// TPMs write the exponent 65537 as 0, and systemd has enrolled that form too: another name, another policy.
#[test]
fn policy_of_the_other_form_of_the_same_key_is_recognised() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, policy) = set_up(&mut machine, &[], Exponent::Default);
    enrolled.signatures = json(&[signer.entry(&[11, 13], &policy)]);
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
}

#[test]
fn signature_of_another_key_is_refused() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, policy) = set_up(&mut machine, &[], Exponent::Number);
    let other = Signer::rsa();

    enrolled.signatures = json(&[other.entry(&[11, 13], &policy)]);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::NoSignature));
    assert_eq!(wire.sent.len(), 0, "known without the TPM");

    // It claims to be by the right one.
    let lie = other.entry(&[11, 13], &policy).replace(&other.fingerprint(), &signer.fingerprint());
    enrolled.signatures = json(std::slice::from_ref(&lie));
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::SignatureRejected));
    enrolled.signatures = json(&[signer.entry(&[11, 13], &PolicyDigest::new()), lie]);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::SignatureRejected));

    // The token's key is replaced as well: the policy is not that key's.
    enrolled.public_key.clone_from(&other.pem);
    enrolled.signatures = json(&[other.entry(&[11, 13], &policy)]);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::OtherPolicyKey));

    // And the object's policy with it: only the TPM knows that the object is another.
    let name = other.key().name(Exponent::Number).unwrap();
    enrolled.policy = PolicyDigest::authorize(&name, &[]);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::OtherPolicy));
}

#[test]
fn keys_and_signatures_that_cannot_be_used() {
    let mut machine = Machine::start();
    let (mut wire, signer, mut enrolled, policy) = set_up(&mut machine, &[], Exponent::Number);
    let good = signer.entry(&[11, 13], &policy);
    let mut refusal = |signatures: &[u8]| {
        enrolled.signatures = signatures.to_vec();
        let error = attempt(&mut wire, &enrolled).unwrap_err();
        assert_eq!(wire.sent.len(), 0);
        error
    };
    assert_eq!(refusal(b"{}"), UnsealError::NoSignature);
    assert_eq!(refusal(br#"{"sha1":[]}"#), UnsealError::NoSignature);
    assert!(matches!(refusal(b"x"), UnsealError::Signatures(signatures::Error::Json(_))));
    assert!(matches!(refusal(br#"{"sha256":[],"md5":[]}"#), UnsealError::Signatures(signatures::Error::Json(_))));
    let of = |from: &str, to: &str| json(&[good.clone(), good.replace(from, to)]);
    assert_eq!(
        refusal(&of("[11, 13]", "[11, 24]")),
        UnsealError::Signatures(signatures::Error::Register { entry: 1, found: 24 })
    );
    assert_eq!(
        refusal(&of("\"sig\":\"", "\"sig\":\"!")),
        UnsealError::Signatures(signatures::Error::Signature { entry: 1 })
    );
    assert_eq!(
        refusal(&of("\"pol\":\"", "\"pol\":\"0")),
        UnsealError::Signatures(signatures::Error::Digest {
            entry: 1,
            error: boot_formats::hex::HexError::Length { found: 65 }
        })
    );
    assert_eq!(refusal(&vec![b' '; 70_000]), UnsealError::Signatures(signatures::Error::TooLarge { found: 70_000 }));
    enrolled.public_key = Signer::new(&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]).pem;
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::PolicyKey(signing_key::Error::NotRsa)));
    enrolled.public_key = b"-----BEGIN CERTIFICATE-----".to_vec();
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::PolicyKey(signing_key::Error::Pem)));
}
