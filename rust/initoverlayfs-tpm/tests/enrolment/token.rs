// SPDX-License-Identifier: MIT OR Apache-2.0
//! The token beside one of systemd-cryptenroll 257, member by member.

use base64ct::{Base64, Encoding};
use boot_formats::json::{self, Value};
use tpm_unlock::token::KIND;
use tpm_unlock::volume::{Copies, Disk};
use tpm_unlock::wire::Reader;

use crate::desk::{Desk, literal, signed};
use crate::machine::Machine;
use crate::owner::make_rsa_srk;
use crate::signer::Signer;

/// Of `systemd-cryptenroll --tpm2-device=auto --tpm2-pcrs= --tpm2-public-key=policy.pem --tpm2-public-key-pcrs=11+13` of Debian 13,
/// exported by `cryptsetup token export`.
const SYSTEMD: &[u8] = include_bytes!("systemd-257.json");
/// Members that only a signed policy has.
const OF_A_SIGNED_POLICY: [&str; 2] = ["tpm2_pubkey_pcrs", "tpm2_pubkey"];
/// Members whose values are the TPM's, the key's or the policy's.
const PARTICULAR: [&str; 4] = ["tpm2-blob", "tpm2-policy-hash", "tpm2_pubkey", "tpm2_srk"];

/// Names and values, in order.
fn members(token: &[u8]) -> Vec<(String, String)> {
    let text = token.trim_ascii();
    let (value, _) = json::parse(text).unwrap();
    of_value(&value)
}

fn of_value(value: &Value<'_>) -> Vec<(String, String)> {
    let text = |value: Value<'_>| String::from_utf8(value.text().to_vec()).unwrap();
    value.members().unwrap().map(|(name, value)| (name.to_owned(), text(value))).collect()
}

/// The token that is in the header.
fn stored(desk: &Desk) -> Vec<(String, String)> {
    let copies = Copies::read(&desk.volume);
    let metadata = copies.header().unwrap().metadata(desk.volume.bytes()).unwrap();
    let tokens = metadata.tokens().unwrap();
    assert_eq!((tokens.len(), tokens[0].kind), (1, KIND));
    of_value(&tokens[0].value)
}

fn names(members: &[(String, String)]) -> Vec<&str> {
    members.iter().map(|(name, _)| name.as_str()).collect()
}

fn value<'a>(members: &'a [(String, String)], name: &str) -> &'a str {
    &members.iter().find(|(member, _)| member == name).unwrap().1
}

fn binary(members: &[(String, String)], name: &str) -> Vec<u8> {
    Base64::decode_vec(value(members, name).trim_matches('"')).unwrap()
}

#[test]
fn signed_policy_s_token_is_systemd_s_member_by_member() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let signer = Signer::rsa();
    desk.enroll(&signed(&signer)).unwrap();
    let (ours, theirs) = (stored(&desk), members(SYSTEMD));
    assert_eq!(names(&ours), names(&theirs));
    for (name, value) in &theirs {
        if !PARTICULAR.contains(&name.as_str()) {
            assert_eq!(self::value(&ours, name), value, "{name}");
        }
    }
    // As systemd: the file's bytes, its last newline included.
    assert_eq!(binary(&ours, "tpm2_pubkey"), signer.pem);
    assert!(binary(&theirs, "tpm2_pubkey").starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    assert!(binary(&theirs, "tpm2_pubkey").ends_with(b"-----END PUBLIC KEY-----\n"));
    assert_eq!(shape_of_blob(&binary(&ours, "tpm2-blob")), shape_of_blob(&binary(&theirs, "tpm2-blob")));
    let (ours_srk, theirs_srk) = (binary(&ours, "tpm2_srk"), binary(&theirs, "tpm2_srk"));
    assert_eq!(shape_of_srk(&ours_srk), shape_of_srk(&theirs_srk));
    assert_eq!(value(&ours, "tpm2-policy-hash").len(), value(&theirs, "tpm2-policy-hash").len());
}

#[test]
fn literal_policy_s_token_has_no_members_of_a_signed_one() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.enroll(&literal("13+11")).unwrap();
    let (ours, theirs) = (stored(&desk), members(SYSTEMD));
    let of_both: Vec<&str> = names(&theirs).into_iter().filter(|name| !OF_A_SIGNED_POLICY.contains(name)).collect();
    assert_eq!(names(&ours), of_both);
    assert_eq!(value(&ours, "tpm2-pcrs"), "[11,13]");
}

#[test]
fn rsa_storage_root_key_is_named() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    make_rsa_srk(&mut wire);
    let mut desk = Desk::without_srk(wire);
    desk.enroll(&literal("11+13")).unwrap();
    assert_eq!(value(&stored(&desk), "tpm2-primary-alg"), "\"rsa\"");
}

/// Sizes of the parts, and of the public area all but policy and `unique`.
fn shape_of_blob(blob: &[u8]) -> (usize, u16, u16, u32, usize, u16, usize) {
    let mut reader = Reader::new(blob);
    let private = reader.sized().unwrap().len();
    let mut public = Reader::new(reader.sized().unwrap());
    reader.end().unwrap();
    let (kind, name, attributes) = (public.u16().unwrap(), public.u16().unwrap(), public.u32().unwrap());
    let shape = (private, kind, name, attributes, public.sized().unwrap().len(), public.u16().unwrap(), {
        public.sized().unwrap().len()
    });
    public.end().unwrap();
    shape
}

/// Handle, size of the name and its algorithm, kind of resource, and the template of the key without its point.
fn shape_of_srk(srk: &[u8]) -> (u32, usize, Vec<u8>, u32, Vec<u8>) {
    let mut reader = Reader::new(srk);
    let handle = reader.u32().unwrap();
    let name = reader.sized().unwrap();
    let kind = reader.u32().unwrap();
    let public = reader.sized().unwrap();
    reader.end().unwrap();
    (handle, name.len(), name[..2].to_vec(), kind, public[..22].to_vec())
}
