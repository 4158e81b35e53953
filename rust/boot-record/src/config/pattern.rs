// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns whose only wildcard is `*`: any run of bytes, `/` and nothing included.

/// Whether the whole text fits. Takes steps in the order of the product of both lengths at worst.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last star seen, and the text it has not been tried on yet.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', after @ ..], _) => {
                retry = Some((after, text));
                pattern = after;
            }
            ([expected, after @ ..], [found, rest @ ..]) if expected == found => {
                (pattern, text) = (after, rest);
            }
            ([], []) => return true,
            // The star takes one byte more, if there is a star and a byte.
            _ => match retry {
                Some((after, [_, rest @ ..])) => {
                    retry = Some((after, rest));
                    (pattern, text) = (after, rest);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("/devices/a", "/devices/a", true),
            ("/devices/a", "/devices/ab", false),
            ("/devices/a", "/devices/", false),
            ("*", "", true),
            ("*", "/anything/at all", true),
            ("", "", true),
            ("", "x", false),
            ("/devices/*/block/vd*", "/devices/pci0000:00/0000:00:01.0/virtio0/block/vda", true),
            ("/devices/*/block/vd*", "/devices/pci0000:00/0000:00:01.0/virtio0/block/sda", false),
            ("/devices/*/block/vd*", "/devices/block/vda", false),
            ("*a*b", "aab", true),
            ("*a*b", "abab", true),
            ("*ab", "aaab", true),
            ("*ab", "aba", false),
            ("a*", "b", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }
}
