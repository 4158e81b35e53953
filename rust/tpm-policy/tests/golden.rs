// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values that Python's hashlib computed from the specification's formulas, written down here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use tpm_policy::event::{DdiEvent, LEN};
use tpm_policy::log_record::{MAX_RECORD, Record};
use tpm_policy::name::Name;
use tpm_policy::policy::PolicyDigest;
use tpm_policy::{Bank, Digest, PcrMask, digests, pcr};

const EVENT: DdiEvent = DdiEvent { root_hash: [0x11; 32], signer: [0xab; 32] };

#[test]
fn event_of_a_ddi_and_the_register_after_it() {
    let data = EVENT.data();
    assert_eq!(data.as_str(), format!("initoverlayfs-ddi:{}:{}", "11".repeat(32), "ab".repeat(32)));
    assert_eq!(data.len(), LEN);
    let expected = [
        ("sha1", "128c6e581e3eaa700bc65e766a67c3e0d5f5a0d9", "18b74b45d3aa20deaf6c21faa339f225826e5437"),
        (
            "sha256",
            "3db5be321709a730ae62fdb1b423da7c5c2a3e6bb3f70d90c67c8d68d97d0427",
            "a856b92d9e49132134449ba6a2b9ac0ad7b7eca435856b57ed93e744d323484e",
        ),
        (
            "sha384",
            "2e0dfed3919dfd38d727f561ebe15e8a213cbf099ffca1342a21226abdf9fb54fdf4c3e4aab5baa0fafe6770d4c27e6f",
            "382948ef8d84d9d9f9d084d3f2ae572b47f7e375b2f294df00b4681197ca6d020e7d3ee8fc051e2e2b90fbafb934f963",
        ),
        (
            "sha512",
            "ece1da5856cdc268d05286b214af9e8709c578db89ba04b2b246be98c63e4f9dd517475d8c1f173c7b5e8295808a6fa125eba68f1d3dfcb69629532f673de4af",
            "b7a825f049fd377d4c9dcbcc21cf6ef1955f82ac86e40ca5efb71d8d68965173560464fd24288782c40ddefa7cfff0e18f16e76b897134a6d85319fe22ec9074",
        ),
    ];
    for (name, event, register) in expected {
        let bank = Bank::of(name).unwrap();
        assert_eq!(bank.digest(&[data.as_bytes()]).to_string(), event);
        assert_eq!(pcr::after(bank, [data.as_bytes()]).to_string(), register);
    }
}

fn values() -> [Digest; 2] {
    [Bank::Sha256.digest(&[b"eleven"]), pcr::after(Bank::Sha256, [EVENT.data().as_bytes()])]
}

#[test]
fn policies() {
    let mask = PcrMask::of(&[13, 11]).unwrap();
    let policy = PolicyDigest::new().pcr(Bank::Sha256, mask, &values()).unwrap();
    assert_eq!(policy.to_string(), "4e36211f2f1d30519421a8b2b11e19c11b391bdd9602e551bcdb200b9a28debd");
    assert_eq!(policy.auth_value().to_string(), "a44e3d8c23b3d3a729d5e1a5d83ec9a346b40d443a4d5e88806729c473a5c7b5");
    assert_eq!(
        PolicyDigest::of_bytes(policy.to_be_signed(b"")).to_string(),
        "808b1c06c24383b9763adb523fbdd84003dad089a5b8cc71aef2eeae28b296f8"
    );
    let name = Name::of_public_area(b"\0\x01\0\x0bpub").unwrap();
    assert_eq!(name.to_string(), "000b3a1d68a4fd993e2e17774bd7b1829f13c1eed8b8243fbfb73b7b7f06a0e84e17");
    assert_eq!(
        PolicyDigest::authorize(&name, b"").to_string(),
        "c59830fca4bc17afea37e304073c740fcd798c96b53ec32da58e24db0ec696a5"
    );
}

#[test]
fn what_is_no_policy_or_name() {
    let mask = PcrMask::of(&[11, 13]).unwrap();
    let [eleven, thirteen] = values();
    assert_eq!(PolicyDigest::new().pcr(Bank::Sha256, mask, &[eleven]), None, "a value too few");
    assert_eq!(PolicyDigest::new().pcr(Bank::Sha1, mask, &[eleven, thirteen]), None, "values of another bank");
    assert_eq!(Name::of_public_area(b"\0\x01\0\x0cpub"), None, "a name by SHA-384");
    assert_eq!(Name::of_public_area(b"\0\x01\0"), None);
}

#[test]
fn registers() {
    let mask = PcrMask::of(&[0, 11, 23]).unwrap();
    assert_eq!((mask.bits(), mask.select()), (0x0080_0801, [0x01, 0x08, 0x80]));
    assert_eq!((mask.to_string(), mask.iter().collect::<Vec<_>>()), ("0+11+23".to_owned(), vec![0, 11, 23]));
    assert_eq!(PcrMask::of(&[24]), None);
    assert_eq!(PcrMask::of_bits(1 << 24), None);
    assert_eq!(PcrMask::of_bits(mask.bits()), Some(mask));
    assert!(!mask.contains(32) && !mask.contains(12) && mask.contains(11));
}

#[test]
fn record_of_the_log_is_one_json_object_with_a_separator() {
    let record = Record {
        pcr: 13,
        digests: &digests(&[Bank::Sha256, Bank::Sha1, Bank::Sha256], b"x"),
        text: "x\"\\\n",
        boot_id: &[0xfe; 16],
        boottime_us: 7,
    };
    let text = record.to_string();
    let expected = concat!(
        "\x1e{\"pcr\":13,\"digests\":[",
        "{\"hashAlg\":\"sha256\",\"digest\":\"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"},",
        "{\"hashAlg\":\"sha1\",\"digest\":\"11f6ad8ec52a2984abaafd7c3b516503785c2072\"}],",
        "\"content_type\":\"systemd\",\"content\":{\"string\":\"x\",",
        "\"bootId\":\"fefefefefefefefefefefefefefefefe\",\"timestamp\":7}}\n"
    );
    assert_eq!(text, expected);
    let json: serde_json::Value = serde_json::from_str(text.trim_start_matches('\x1e')).unwrap();
    assert_eq!(json["content"]["timestamp"], 7);
}

#[test]
fn the_largest_record_fits() {
    let record = Record {
        pcr: 23,
        digests: &digests(&Bank::ALL, b"x"),
        text: &"x".repeat(192),
        boot_id: &[0; 16],
        boottime_us: u64::MAX,
    };
    assert!(record.to_string().len() <= MAX_RECORD, "{}", record.to_string().len());
}
