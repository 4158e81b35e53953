// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is not enrolled, and in which words. The header stays as it was, to the byte.

use initoverlayfs_tpm::measured::Extensions;
use initoverlayfs_tpm::policy::Request;
use tpm_policy::log_record::Record;
use tpm_policy::{Bank, digests};
use tpm_unlock::unlock::Rules;
use tpm_unlock::wire::CommandCode;

use crate::desk::{Desk, RULES, literal, signed};
use crate::machine::{Machine, measure};
use crate::signer::Signer;
use crate::workshop::Volume;

#[test]
fn tpm_that_nobody_set_up() {
    let mut machine = Machine::start();
    let mut desk = Desk::without_srk(machine.connect());
    assert_eq!(
        desk.refuses(&literal("11+13")),
        "no storage root key at 0x81000001: systemd-tpm2-setup makes it, or `tpm2_createprimary -C o` with tpm2-tools and \
         `tpm2_evictcontrol -C o 0x81000001`"
    );
}

#[test]
fn policies_that_the_boot_refuses() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let signer = Signer::rsa();
    let of_key = |registers: &[u8]| {
        let mut request = signed(&signer);
        request.signer.as_mut().unwrap().registers = tpm_policy::PcrMask::of(registers).unwrap();
        request
    };
    for (request, expected) in [
        (literal("13"), "policy over register 13 alone, which any kernel can extend"),
        (literal("11+13+16"), "policy over register 16, which a running system can reset"),
        (literal("11+23"), "policy over register 23, which a running system can reset"),
        (literal("7+11"), "policy without register 13, so open to every image and not closed by the latch"),
        (Request { literals: Default::default(), ..literal("11") }, "policy over no register"),
        (of_key(&[13]), "policy over register 13 alone, which any kernel can extend"),
        (of_key(&[11]), "policy without register 13, so open to every image and not closed by the latch"),
    ] {
        assert_eq!(desk.refuses(&request), expected);
        assert_eq!(desk.wire.sent.len(), 0, "the TPM was asked");
    }
}

#[test]
fn the_same_policies_with_the_dangerous_switch() {
    let mut machine = Machine::start();
    for pcrs in ["13", "11+13+16", "7+11"] {
        let mut desk = Desk::of(&mut machine);
        let rules = Rules { any_registers: true, ..RULES };
        desk.enroll(&Request { rules, ..literal(pcrs) }).unwrap();
        assert!(desk.shut(None).starts_with("token 0: policy "), "the boot's own rules are as before");
        crate::owner::remove_srk(&mut desk.wire);
    }
}

#[test]
fn devices_that_are_no_luks2() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.volume.file.set_len(0).unwrap();
    desk.volume.file.set_len(crate::workshop::BYTES).unwrap();
    assert_eq!(
        desk.refuses(&literal("11+13")),
        r#"DEVICE: luks2: signature "\x00\x00\x00\x00\x00\x00", expected "LUKS\xba\xbe""#
    );
    let passphrase = std::fs::read(desk.key_file.path()).unwrap();
    desk.volume.cryptsetup(&passphrase, &["luksFormat", "--batch-mode", "--type", "luks1"], &["--iter-time=1"]);
    assert_eq!(desk.refuses(&literal("11+13")), "DEVICE: luks2: version 1, expected 2");
    desk.volume = Volume::make(&passphrase, &["--cipher=aes-xts-plain"]);
    let other_cipher = desk.refuses(&literal("11+13"));
    assert!(other_cipher.ends_with("cipher \"aes-xts-plain\" is not known"), "{other_cipher}");
    std::fs::remove_file(desk.volume.path()).unwrap();
    assert_eq!(desk.refuses(&literal("11+13")), "DEVICE: open: No such file or directory (os error 2)");
    assert_eq!(desk.wire.sent.len(), 0, "the TPM was asked");
}

#[test]
fn banks_that_are_not_to_be_had() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let of = |bank| Request { bank, ..literal("11+13") };
    assert_eq!(desk.refuses(&of(Bank::Sha1)), "expected a bank of sha256, sha384 or sha512, found sha1");
    // A TPM that does not use a bank gives no value of it: counter, one selection of nothing, no digest.
    desk.wire.spoil = Box::new(|_, command, response| {
        if command[6..10] == CommandCode::PcrRead.value().to_be_bytes() {
            response.truncate(14);
            response.extend([0, 0, 0, 1, command[14], command[15], 3, 0, 0, 0, 0, 0, 0, 0]);
            response[5] = 28;
        }
    });
    assert_eq!(desk.refuses(&of(Bank::Sha384)), "the TPM has no bank sha384");
    assert_eq!(desk.refuses(&Request { bank: Bank::Sha512, ..signed(&Signer::rsa()) }), "the TPM has no bank sha512");
}

#[test]
fn value_that_is_no_digest_of_the_bank() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    assert_eq!(desk.refuses(&literal("11=0011+13")), "register 11: a value of 2 bytes, those of bank sha256 have 32");
}

/// In a running system register 11 has systemd's boot phases in it, and 13 the latch: no boot would ever meet such a policy.
#[test]
fn registers_that_were_extended_after_the_boot_stage() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let digests = digests(&[Bank::Sha256], b"enter-initrd");
    let record = Record { pcr: 11, digests: &digests, text: "enter-initrd", boot_id: &[1; 16], boottime_us: 1 };
    desk.log = Extensions::parse(&record.to_string()).unwrap();
    assert_eq!(
        desk.refuses(&literal("11+13")),
        "register 11 was extended since the boot stage opened volumes, by \"enter-initrd\": give the value that it has there, 11=HEX \
         (`ddi sign-policy` prints it), or enrol a key that signs policies"
    );
    desk.enroll(&literal(&format!("11={}+13", "00".repeat(32)))).unwrap();
    desk.opens(None);
}

#[test]
fn keys_that_sign_no_policy() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let of = |pem: &[u8]| {
        let mut request = signed(&Signer::rsa());
        request.signer.as_mut().unwrap().pem = pem.to_vec();
        request
    };
    let elliptic = Signer::new(&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    assert_eq!(desk.refuses(&of(&elliptic.pem)), "policy key: not RSA, which systemd's signed policies need");
    let no_pem = "policy key: neither DER nor PEM of a public key";
    assert_eq!(desk.refuses(&of(b"-----BEGIN CERTIFICATE-----")), no_pem);
    assert_eq!(desk.refuses(&of(&[0x30, 0x82])), no_pem);
}

#[test]
fn passphrase_that_is_none_of_the_volume_s() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    std::fs::write(desk.key_file.path(), b"forgotten").unwrap();
    assert_eq!(desk.refuses(&literal("11+13")), "DEVICE: cryptsetup luksAddKey: that is no passphrase of the volume");
}

#[test]
fn answers_that_are_changed_on_the_bus() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    let flip = |code: CommandCode, byte: usize| {
        Box::new(move |_: usize, command: &[u8], response: &mut Vec<u8>| {
            if command[6..10] == code.value().to_be_bytes() {
                response[byte] ^= 1;
            }
        })
    };
    // Bytes of the private part and of the public one.
    for byte in [20, 200] {
        desk.wire.spoil = flip(CommandCode::Create, byte);
        let error = desk.refuses(&literal("11+13"));
        assert_eq!(error, "TPM2_Create: the response was changed on its way", "byte {byte}");
    }
    desk.wire.spoil = flip(CommandCode::PcrRead, 30 + 20);
    let error = desk.refuses(&literal("11+13"));
    assert_eq!(error, "what was sealed is not given out: the registers are not as the policy wants them");
    measure(&mut desk.wire, 13, "after all of this");
    desk.wire.spoil = Box::new(|_, _, _| ());
    desk.enroll(&literal("11+13")).unwrap();
    desk.opens(None);
}
