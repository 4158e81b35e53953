// SPDX-License-Identifier: MIT OR Apache-2.0
//! PBKDF2-HMAC (RFC 8018, 5.2).

use boot_formats::luks2::{Hash, Pbkdf2};
use sha2::{Sha256, Sha512};

/// Fills `out`.
pub fn pbkdf2(by: &Pbkdf2, password: &[u8], out: &mut [u8]) {
    let derive = match by.hash {
        Hash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>,
        Hash::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>,
    };
    derive(password, &by.salt, by.iterations, out);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use boot_formats::hex::Hex;

    /// RFC 7914, 11.
    #[test]
    fn known_answer() {
        let by = Pbkdf2 { hash: Hash::Sha256, iterations: 1, salt: heapless::Vec::from_slice(b"salt").unwrap() };
        let mut out = [0; 64];
        pbkdf2(&by, b"passwd", &mut out);
        assert_eq!(
            Hex(&out).to_string(),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
    }
}
