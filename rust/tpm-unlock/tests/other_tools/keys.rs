// SPDX-License-Identifier: MIT OR Apache-2.0
//! The volume key is that which cryptsetup finds.

use tpm_unlock::keyslot::KeyslotError;
use tpm_unlock::volume::{VolumeError, passphrase};

use crate::workshop::{MINIMAL, Volume};

#[test]
fn the_volume_key_is_that_of_cryptsetup() {
    for options in [
        &["--sector-size=512", "--key-size=512", "--hash=sha256"][..],
        &["--sector-size=4096", "--key-size=512", "--hash=sha512"],
        &["--sector-size=512", "--key-size=256", "--hash=sha512"],
        &["--sector-size=4096", "--key-size=256", "--hash=sha256"],
        &["--sector-size=4096", "--keyslot-cipher=aes-xts-plain64", "--keyslot-key-size=256"],
    ] {
        let volume = Volume::make(b"a passphrase", &[options, &MINIMAL].concat());
        let expected = volume.key(b"a passphrase");
        assert!(matches!(expected.len(), 32 | 64));
        assert_eq!(volume.open(0, b"a passphrase"), Ok(expected), "{options:?}");
        let wrong = VolumeError::Keyslot(KeyslotError::Digest);
        assert_eq!(volume.open(0, b"a Passphrase"), Err(wrong));
        assert_eq!(volume.open(0, b""), Err(wrong));
        assert_eq!(wrong.to_string(), "the keyslot does not open by this secret");
    }
}

/// As systemd-cryptenroll does: beside what people remember, the base64 of a secret.
#[test]
fn the_secret_of_a_token_opens_the_keyslot_that_was_added_for_it() {
    let volume =
        Volume::make(b"remembered", &["--pbkdf", "argon2id", "--pbkdf-force-iterations=4", "--pbkdf-memory=1024"]);
    let secret: [u8; 32] = std::array::from_fn(|place| place as u8 * 7);
    let text = passphrase(&secret).unwrap();
    assert_eq!(text.as_slice(), b"AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tk=");

    let new = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(new.path(), &text).unwrap();
    let new_key = format!("--new-keyfile={}", new.path().display());
    volume.cryptsetup(b"remembered", &["luksAddKey", "--hash=sha512", &new_key], &MINIMAL);

    assert_eq!(volume.open(1, &text), Ok(volume.key(b"remembered")));
    let argon2 = volume.open(0, b"remembered").unwrap_err().to_string();
    assert!(argon2.ends_with("kdf \"argon2id\" is not known"), "{argon2}");
    assert_eq!(passphrase(&[0; 129]).map(|_| ()), Err(VolumeError::Secret { found: 129 }));
}
