// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storage root key: of either kind, missing, replaced, and another than the token says.

use tpm_unlock::srk::{SrkError, StorageRootKey};
use tpm_unlock::unseal::Unsealed;
use tpm_unlock::wire::{CommandCode, Malformed};
use tpm_unlock::{UnsealError, unseal};

use crate::literal::SECRET;
use crate::machine::{Machine, Wire, tpm};
use crate::owner::{self, Enrolled, SRK, enrol, left_over, set_up};

fn attempt(wire: &mut Wire, enrolled: &Enrolled) -> Result<Vec<u8>, UnsealError> {
    let mut out = Unsealed::default();
    let result = unseal(&mut tpm(wire), &enrolled.key(), None, &mut out).map(|()| out.to_vec());
    assert!(result.is_ok() || out.is_empty());
    assert_eq!(left_over(wire), []);
    result
}

#[test]
fn without_the_tokens_copy_the_key_is_read_from_the_tpm() {
    let mut machine = Machine::start();
    let (mut wire, mut enrolled) = set_up(&mut machine, SECRET, &[11]);
    enrolled.srk = None;
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
    assert_eq!(wire.codes()[0], CommandCode::ReadPublic.value());
}

#[test]
fn rsa_key_salts_the_session_too() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    let srk = owner::make_rsa_srk(&mut wire);
    let mut enrolled = enrol(&mut wire, SECRET, srk, &[11]);
    wire.forget();
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
    assert!(!wire.has_seen(&SECRET[..8]));
    enrolled.srk = None;
    assert_eq!(attempt(&mut wire, &enrolled).unwrap(), SECRET);
}

#[test]
fn missing_key_is_named() {
    let mut machine = Machine::start();
    let (mut wire, mut enrolled) = set_up(&mut machine, SECRET, &[11]);
    owner::remove_srk(&mut wire);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::SrkMissing { handle: SRK }));
    enrolled.srk = None;
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::SrkMissing { handle: SRK }));
}

#[test]
fn key_of_another_owner_is_named() {
    let mut machine = Machine::start();
    let (mut wire, mut enrolled) = set_up(&mut machine, SECRET, &[11]);
    owner::clear(&mut wire);
    owner::make_ecc_srk(&mut wire);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::SrkReplaced { handle: SRK }));
    enrolled.srk = None;
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::SrkReplaced { handle: SRK }));
}

/// Whoever can write the disk puts his own public key into the token, to know the salt: the TPM does not, and says so.
#[test]
fn token_with_a_foreign_public_key_is_refused_by_the_tpm() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    let foreign = owner::make_other_srk(&mut wire);
    owner::remove_srk(&mut wire);
    let srk = owner::make_ecc_srk(&mut wire);
    let mut enrolled = enrol(&mut wire, SECRET, srk, &[11]);
    enrolled.srk = Some(foreign);
    assert_eq!(attempt(&mut wire, &enrolled), Err(UnsealError::AuthFail));
}

#[test]
fn bytes_that_are_no_storage_root_key() {
    let mut machine = Machine::start();
    let mut wire = machine.connect();
    let good = owner::make_ecc_srk(&mut wire);
    let refusal = |bytes: &[u8]| StorageRootKey::of_token(bytes).err();
    assert_eq!(refusal(&good), None);
    for len in 0..good.len() {
        assert!(
            matches!(refusal(&good[..len]), Some(SrkError::Malformed(Malformed::Truncated { .. }))),
            "{len}: {:?}",
            refusal(&good[..len])
        );
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(refusal(&longer), Some(SrkError::Malformed(Malformed::Trailing { offset: good.len(), len: 1 })));
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(refusal(&changed(0, 0x80)), Some(SrkError::Handle { found: 0x8000_0001 }));
    let kind = 4 + 2 + 34;
    assert_eq!(
        refusal(&changed(kind + 3, 2)),
        Some(SrkError::Malformed(Malformed::Value { offset: kind, found: 2, expected: 1 }))
    );
    assert_eq!(refusal(&changed(good.len() - 1, good[good.len() - 1] ^ 1)), Some(SrkError::Name));

    // From here on with the name that belongs to it.
    let named = |public: &[u8]| {
        let name = tpm_policy::name::Name::of_public_area(public).unwrap();
        [&SRK.to_be_bytes()[..], &owner::sized(name.as_bytes()), &[0, 0, 0, 1], &owner::sized(public)].concat()
    };
    let area = |at: usize, value: u8| {
        let mut public = good[kind + 4 + 2..].to_vec();
        public[at] = value;
        refusal(&named(&public))
    };
    assert_eq!(area(1, 8), Some(SrkError::Algorithm { found: 8 }));
    assert_eq!(area(5, 1), Some(SrkError::NoParent { attributes: 0x0001_0472 }));
    assert_eq!(area(19, 4), Some(SrkError::Algorithm { found: 4 }), "P-384");
    let last = good.len() - kind - 6 - 1;
    assert_eq!(area(last, good[good.len() - 1] ^ 1), Some(SrkError::Point));
}
