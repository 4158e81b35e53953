// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tokens as systemd writes them, through cryptsetup and back.

use boot_formats::{json, luks2};
use tpm_policy::{Bank, PcrMask};
use tpm_unlock::token::{KIND, Token, TokenError, WeakPolicy, check_registers};

use crate::workshop::{MINIMAL, Volume};

/// The token that cryptsetup stored, read by us.
fn stored(volume: &Volume, json: &str) -> Result<Token, TokenError> {
    volume.import_token(json);
    let token = volume.with_metadata(|metadata| {
        let tokens = metadata.tokens()?;
        let token = tokens.last().unwrap();
        assert_eq!(token.kind, KIND);
        Ok(Token::parse(token))
    });
    token.unwrap()
}

/// As of systemd 257, whose blob and key are shorter here; with more members, or others in place of these.
fn token_text(change: &[(&str, &str)]) -> String {
    let hash = "0123456789abcdef".repeat(4);
    let hash = format!("\"{hash}\"");
    let mut members = vec![
        ("type", "\"systemd-tpm2\""),
        ("keyslots", "[\"0\"]"),
        ("tpm2-blob", "\"AQIDBA==\""),
        ("tpm2-pcrs", "[11,13]"),
        ("tpm2-pcr-bank", "\"sha256\""),
        ("tpm2-primary-alg", "\"ecc\""),
        ("tpm2-policy-hash", hash.as_str()),
        ("tpm2-pin", "false"),
        ("tpm2_pcrlock", "false"),
        ("tpm2_srk", "\"BQY=\""),
    ];
    for (name, value) in change {
        match members.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => *old = value,
            None => members.push((name, value)),
        }
    }
    let members: Vec<_> = members
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_literal_policy_is_read_whole() {
    let volume = Volume::make(b"secret", &MINIMAL);
    let token = stored(&volume, &token_text(&[])).unwrap();
    assert_eq!((token.keyslot, token.is_signed()), (0, false));
    assert_eq!(token.registers(), PcrMask::of(&[11, 13]).unwrap());
    let key = token.sealed_key();
    assert_eq!((key.blob, key.srk, key.bank), (&[1, 2, 3, 4][..], Some(&[5, 6][..]), Bank::Sha256));
    assert_eq!(key.pcrs, PcrMask::of(&[11, 13]).unwrap());
    assert_eq!(key.policy_hash[..3], [0x01, 0x23, 0x45]);
    assert!(key.signed.is_none());

    // What systemd before 250 did not write, and does not write where it is false.
    let old = token_text(&[
        ("tpm2-pcr-bank", ""),
        ("tpm2-primary-alg", ""),
        ("tpm2-pin", ""),
        ("tpm2_pcrlock", ""),
        ("tpm2_srk", ""),
    ]);
    let token = stored(&volume, &old).unwrap();
    let key = token.sealed_key();
    assert_eq!((key.srk, key.bank), (None, Bank::Sha256));
}

#[test]
fn a_signed_policy_has_its_key_and_its_registers() {
    let volume = Volume::make(b"secret", &MINIMAL);
    let change = [("tpm2-pcrs", "[7]"), ("tpm2_pubkey_pcrs", "[11,13]"), ("tpm2_pubkey", "\"LS0tLQ==\"")];
    let token = stored(&volume, &token_text(&change)).unwrap();
    assert!(token.is_signed());
    assert_eq!(token.registers(), PcrMask::of(&[7, 11, 13]).unwrap());
    let signed = token.sealed_key().signed.unwrap();
    assert_eq!((signed.public_key, signed.pcrs), (&b"----"[..], PcrMask::of(&[11, 13]).unwrap()));
}

#[test]
fn what_is_not_known_is_left_to_the_system_by_name() {
    for (change, expected) in [
        (&[("tpm2-pin", "true")][..], "wants a PIN"),
        (&[("tpm2_pcrlock", "true")], "wants a pcrlock policy"),
        (&[("tpm2_pcrlock_nv", "\"AAAA\"")], "wants a pcrlock policy"),
        (&[("tpm2_salt", "\"AAAA\"")], "unknown member \"tpm2_salt\""),
        (&[("tpm2_fido2", "true")], "unknown member \"tpm2_fido2\""),
        (&[("tpm2-blob", "[\"AQID\",\"BAUG\"]")], "2 sealed objects, expected 1"),
        (&[("tpm2-policy-hash", "[\"00\",\"01\"]")], "2 sealed objects, expected 1"),
        (&[("tpm2-blob", "")], "no \"tpm2-blob\""),
        (&[("tpm2-blob", "\"\"")], "bad value of \"tpm2-blob\""),
        (&[("tpm2-blob", "\"AQI\"")], "bad value of \"tpm2-blob\""),
        (&[("tpm2-blob", "7")], "expected a string"),
        (&[("tpm2-pcrs", "")], "no \"tpm2-pcrs\""),
        (&[("tpm2-pcrs", "[24]")], "bad value of \"tpm2-pcrs\""),
        (&[("tpm2-pcrs", "[-1]")], "expected an integer from 0 to 2^64 - 1"),
        (&[("tpm2-pcr-bank", "\"sm3\"")], "bad value of \"tpm2-pcr-bank\""),
        (&[("tpm2-primary-alg", "\"dsa\"")], "bad value of \"tpm2-primary-alg\""),
        (&[("tpm2-policy-hash", "\"0123\"")], "bad value of \"tpm2-policy-hash\""),
        (&[("tpm2-pin", "\"no\"")], "expected true or false"),
        (&[("tpm2_pubkey_pcrs", "[11]")], "no \"tpm2_pubkey\""),
        (&[("tpm2_pubkey", "\"LS0tLQ==\"")], "no \"tpm2_pubkey_pcrs\""),
        (&[("keyslots", "[]")], "0 keyslots, expected 1"),
    ] {
        // Not by cryptsetup, which writes no token that cannot be.
        let text = token_text(change);
        let (value, _) = json::parse(text.as_bytes()).unwrap();
        let error = Token::parse(&luks2::Token { id: 0, kind: KIND, value }).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{change:?}: {error}");
    }
}

#[test]
fn a_policy_depends_on_what_ran_before_the_kernel_and_on_nothing_that_can_be_reset() {
    let check = |registers: &[u8]| check_registers(PcrMask::of(registers).unwrap(), 13);
    assert_eq!(check(&[11, 13]), Ok(()));
    assert_eq!(check(&[7, 13]), Ok(()));
    assert_eq!(check(&[7]), Err(WeakPolicy::NotMeasured { register: 13 }));
    assert_eq!(check(&[7, 11]), Err(WeakPolicy::NotMeasured { register: 13 }));
    assert_eq!(check(&[]), Err(WeakPolicy::NoRegister));
    assert_eq!(check(&[13]), Err(WeakPolicy::OnlyMeasuredByUs { register: 13 }));
    for register in 16..=23 {
        assert_eq!(check(&[11, 13, register]), Err(WeakPolicy::Resettable { register }));
    }
    assert_eq!(check_registers(PcrMask::of(&[12, 13]).unwrap(), 12), Ok(()), "another register is the measured one");
    let texts = [
        (WeakPolicy::NoRegister, "policy over no register"),
        (WeakPolicy::OnlyMeasuredByUs { register: 13 }, "policy over register 13 alone, which any kernel can extend"),
        (
            WeakPolicy::NotMeasured { register: 13 },
            "policy without register 13, so open to every image and not closed by the latch",
        ),
        (WeakPolicy::Resettable { register: 16 }, "policy over register 16, which a running system can reset"),
    ];
    for (policy, text) in texts {
        assert_eq!(policy.to_string(), text);
    }
}
