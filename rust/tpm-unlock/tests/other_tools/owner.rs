// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a TPM's owner does, which the boot stage never does: makes the storage root key, seals, clears. Written from part 3 of the
//! specification, without the crate's own wire, so that one mistake is not made twice.

use tpm_policy::name::Name;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::{Bank, PcrMask};
use tpm_unlock::Transport;
use tpm_unlock::unseal::{SealedKey, SignedPolicy};

use crate::machine::{Machine, Wire};

pub const SRK: u32 = 0x8100_0001;
const OWNER: u32 = 0x4000_0001;
const LOCKOUT: u32 = 0x4000_000a;

/// TPMT_PUBLIC of the storage root key, ECC: the TCG's template, with another `unique` for another key.
fn ecc_template(unique: &[u8]) -> Vec<u8> {
    // ECC, SHA-256, attributes, no policy, AES-128-CFB, no scheme, P-256, no KDF, x, y.
    let mut template = vec![0, 0x23, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 0, 3, 0, 0x10];
    template.extend(sized(unique));
    template.extend(sized(&[]));
    template
}

/// The same, RSA-2048.
fn rsa_template() -> Vec<u8> {
    let mut template = vec![0, 1, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 8, 0, 0, 0, 0, 0];
    template.extend(sized(&[]));
    template
}

pub fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut sized = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    sized.extend(bytes);
    sized
}

/// The `TPM2B` at `offset`.
fn part(bytes: &[u8], offset: usize) -> &[u8] {
    let len = usize::from(u16::from_be_bytes(bytes[offset..offset + 2].try_into().unwrap()));
    &bytes[offset + 2..offset + 2 + len]
}

/// A command with the empty password for each of `handles[..authorized]`; gives the response behind its header.
pub fn command(wire: &mut Wire, code: u32, handles: &[u32], authorized: usize, parameters: &[u8]) -> Vec<u8> {
    let (answer, body) = attempt(wire, code, handles, authorized, parameters);
    assert_eq!(answer, 0, "command {code:#x}: {answer:#x}");
    body
}

/// The same, whatever comes of it: the response code too.
fn attempt(wire: &mut Wire, code: u32, handles: &[u32], authorized: usize, parameters: &[u8]) -> (u32, Vec<u8>) {
    let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    if authorized > 0 {
        body.extend((9 * authorized as u32).to_be_bytes());
        body.extend([0x40, 0, 0, 9, 0, 0, 0, 0, 0].repeat(authorized));
    }
    body.extend(parameters);
    let mut message = if authorized > 0 { vec![0x80, 2] } else { vec![0x80, 1] };
    message.extend((body.len() as u32 + 10).to_be_bytes());
    message.extend(code.to_be_bytes());
    message.extend(body);
    let mut response = vec![0; 4096];
    let len = wire.exchange(&message, &mut response).unwrap();
    response.truncate(len);
    (u32::from_be_bytes(response[6..10].try_into().unwrap()), response.split_off(10))
}

/// A storage root key at its place; gives what systemd keeps of it in a token.
pub fn make_srk(wire: &mut Wire, template: &[u8]) -> Vec<u8> {
    let mut parameters = sized(&[0, 0, 0, 0]);
    parameters.extend(sized(template));
    parameters.extend([0, 0, 0, 0, 0, 0]);
    let response = command(wire, 0x131, &[OWNER], 1, &parameters);
    let transient = u32::from_be_bytes(response[..4].try_into().unwrap());
    let public = part(&response, 8).to_vec();
    command(wire, 0x120, &[OWNER, transient], 1, &SRK.to_be_bytes());
    command(wire, 0x165, &[], 0, &transient.to_be_bytes());
    let mut serialized = SRK.to_be_bytes().to_vec();
    serialized.extend(sized(Name::of_public_area(&public).unwrap().as_bytes()));
    serialized.extend([0, 0, 0, 1]);
    serialized.extend(sized(&public));
    serialized
}

pub fn make_ecc_srk(wire: &mut Wire) -> Vec<u8> {
    make_srk(wire, &ecc_template(&[0; 32]))
}

pub fn make_other_srk(wire: &mut Wire) -> Vec<u8> {
    make_srk(wire, &ecc_template(b"another key than before"))
}

pub fn make_rsa_srk(wire: &mut Wire) -> Vec<u8> {
    make_srk(wire, &rsa_template())
}

/// Removes the storage root key.
pub fn remove_srk(wire: &mut Wire) {
    command(wire, 0x120, &[OWNER, SRK], 1, &SRK.to_be_bytes());
}

/// `TPM2_Startup(CLEAR)`, as firmware does after a reset.
pub fn start_up(wire: &mut Wire) {
    command(wire, 0x144, &[], 0, &[0, 0]);
}

/// `TPM2_Clear`: a new owner, new seeds.
pub fn clear(wire: &mut Wire) {
    command(wire, 0x126, &[LOCKOUT], 1, &[]);
}

/// `TPM2_Create` of a secret under the storage root key, as systemd's template has it: its policy is the only way to it.
pub fn seal(wire: &mut Wire, secret: &[u8], policy: &PolicyDigest) -> Vec<u8> {
    let mut sensitive = sized(&[]);
    sensitive.extend(sized(secret));
    let mut parameters = sized(&sensitive);
    // KEYEDHASH, SHA-256, fixedTPM and fixedParent, policy, no scheme, no unique.
    let mut template = vec![0, 8, 0, 0x0b, 0, 0, 0, 0x12];
    template.extend(sized(policy.as_bytes()));
    template.extend([0, 0x10, 0, 0]);
    parameters.extend(sized(&template));
    parameters.extend([0, 0, 0, 0, 0, 0]);
    let response = command(wire, 0x153, &[SRK], 1, &parameters);
    let private = part(&response, 4);
    let public = part(&response, 4 + 2 + private.len());
    [sized(private), sized(public)].concat()
}

/// Locks the TPM: one wrong password for a secret of its own, where one is too many.
pub fn lock_out(wire: &mut Wire) {
    const AUTH_FAIL: u32 = 0x98e;
    const LOCKED: u32 = 0x921;
    const RETRY: u32 = 0x922;
    // TPM2_DictionaryAttackParameters: one try, a day, a day.
    let parameters: Vec<u8> = [1_u32, 86400, 86400].iter().flat_map(|number| number.to_be_bytes()).collect();
    command(wire, 0x13a, &[LOCKOUT], 1, &parameters);
    let mut sensitive = sized(b"password");
    sensitive.extend(sized(b"secret"));
    let mut parameters = sized(&sensitive);
    // As in `seal`, but that a password is enough.
    parameters.extend(sized(&[0, 8, 0, 0x0b, 0, 0, 0, 0x52, 0, 0, 0, 0x10, 0, 0]));
    parameters.extend([0, 0, 0, 0, 0, 0]);
    let created = command(wire, 0x153, &[SRK], 1, &parameters);
    let private = part(&created, 4);
    let public = part(&created, 4 + 2 + private.len());
    let loaded = command(wire, 0x157, &[SRK], 1, &[sized(private), sized(public)].concat());
    let handle = u32::from_be_bytes(loaded[..4].try_into().unwrap());
    for expected in [AUTH_FAIL, LOCKED] {
        // Before the first of them it writes down that there may be some.
        let answers = std::iter::repeat_with(|| attempt(wire, 0x15e, &[handle], 1, &[]).0);
        let answer = answers.take(10).find(|answer| *answer != RETRY).unwrap();
        assert_eq!(answer, expected, "{answer:#x}");
    }
    command(wire, 0x165, &[], 0, &handle.to_be_bytes());
}

/// Handles in the TPM's volatile memory: transient objects, and sessions.
pub fn left_over(wire: &mut Wire) -> Vec<u32> {
    let mut handles = Vec::new();
    for first in [0x8000_0000_u32, 0x0200_0000, 0x0300_0000] {
        let mut parameters = vec![0, 0, 0, 1];
        parameters.extend(first.to_be_bytes());
        parameters.extend(64_u32.to_be_bytes());
        let response = command(wire, 0x17a, &[], 0, &parameters);
        handles.extend(response[9..].chunks(4).map(|handle| u32::from_be_bytes(handle.try_into().unwrap())));
    }
    handles
}

/// Values of registers.
pub fn read_pcrs(wire: &mut Wire, bank: Bank, mask: PcrMask) -> Vec<tpm_policy::Digest> {
    let response = command(wire, 0x17e, &[], 0, &tpm_policy::policy::selection(bank, mask));
    // Counter, selection of one bank, count.
    let mut at = 4 + 10 + 4;
    let mut values = Vec::new();
    while at < response.len() {
        let value = part(&response, at);
        at += 2 + value.len();
        values.push(tpm_policy::Digest::of_bytes(bank, value).unwrap());
    }
    values
}

/// The policy that these registers are as they are now.
pub fn literal_policy(wire: &mut Wire, mask: PcrMask) -> PolicyDigest {
    let values = read_pcrs(wire, Bank::Sha256, mask);
    PolicyDigest::new().pcr(Bank::Sha256, mask, &values).unwrap()
}

/// A sealed key, owned.
pub struct Enrolled {
    pub blob: Vec<u8>,
    pub policy: PolicyDigest,
    pub pcrs: PcrMask,
    pub srk: Option<Vec<u8>>,
    pub public_key: Vec<u8>,
    pub signed_pcrs: PcrMask,
    pub signatures: Vec<u8>,
}

impl Enrolled {
    pub fn key(&self) -> SealedKey<'_> {
        let signed = SignedPolicy { public_key: &self.public_key, pcrs: self.signed_pcrs };
        SealedKey {
            blob: &self.blob,
            policy_hash: *self.policy.as_bytes(),
            pcrs: self.pcrs,
            bank: Bank::Sha256,
            srk: self.srk.as_deref(),
            signed: (!self.public_key.is_empty()).then_some(signed),
        }
    }
}

/// A TPM with a storage root key, and a secret enrolled to its registers as they are.
pub fn set_up(machine: &mut Machine, secret: &[u8], pcrs: &[u8]) -> (Wire, Enrolled) {
    let mut wire = machine.connect();
    let srk = make_ecc_srk(&mut wire);
    let enrolled = enrol(&mut wire, secret, srk, pcrs);
    wire.forget();
    (wire, enrolled)
}

/// Enrols a secret to registers as they are.
pub fn enrol(wire: &mut Wire, secret: &[u8], srk: Vec<u8>, pcrs: &[u8]) -> Enrolled {
    let pcrs = PcrMask::of(pcrs).unwrap();
    let policy = literal_policy(wire, pcrs);
    Enrolled {
        blob: seal(wire, secret, &policy),
        policy,
        pcrs,
        srk: Some(srk),
        public_key: Vec::new(),
        signed_pcrs: PcrMask::EMPTY,
        signatures: Vec::new(),
    }
}
